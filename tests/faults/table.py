"""The table of faults in docs/operations.md, written by the tests that measured it."""

from pathlib import Path

HEAD = (
    "| fault | what a user without retries sees | lost with our client | longest gap without an answer "
    "| all workers ready again after |"
)
RULE = "|---|---|---|---|---|"


def count(failures):
    """What came instead of answers, in words."""
    return ", ".join(f"{number} x {outcome}" for outcome, number in failures.most_common()) or "nothing"


def format_row(fault, sees, lost=None, gap_s=None, back_s=None):
    """Args: `lost` and `gap_s` are None where the fault has no before and after, `back_s` where nothing was unready."""
    cells = ["-" if lost is None else str(lost), *("-" if s is None else f"{s:.1f} s" for s in (gap_s, back_s))]
    return f"| {' | '.join([fault, sees, *cells])} |"


def write_table(file: Path, rows):
    """Replace the rows below HEAD; a fault that was not measured now keeps its row."""
    lines = file.read_text().splitlines()
    start = lines.index(HEAD) + 2
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    kept = {line.split("|")[1]: line for line in lines[start:end]}
    kept.update({row.split("|")[1]: row for row in rows})
    file.write_text("\n".join([*lines[:start], *kept.values(), *lines[end:], ""]))
