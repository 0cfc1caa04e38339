"""Score files and folders with the running server. Research use only.

    python scripts/predict.py slice.png --overlay overlay.png
    python scripts/predict.py folder/ --json > scores.jsonl

Exit codes: 0 all scored, 1 some refused, 2 nothing to score or no place for the overlay, 3 server down or busy,
130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lungct import NOTICE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from scripts.client import Client, RefusedError, ServerError, TokenError
from scripts.health import connect
from scripts.instance import add_run_option, add_scoring_options, make_parser


def find_files(places: Iterable[Path]) -> list[Path]:
    """Files as given, folders walked, in order of name."""
    return [
        f
        for place in places
        for f in (sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place])
    ]


def score_file(client: Client, path: Path, options: dict[str, str]) -> dict[str, Any]:
    """The server's reply with the file's name; a refusal becomes a row with `error`."""
    try:
        body = path.read_bytes()
    except OSError as error:
        return {"file": str(path), "error": "unreadable_file", "message": str(error.strerror)}
    try:
        return {"file": str(path), **client.predict(body, **options)}
    except RefusedError as error:
        return {"file": str(path), "error": error.code, "message": str(error), "request_id": error.request_id}


def score_files(
    client: Client, files: list[Path], options: dict[str, str], concurrency: int
) -> Iterator[dict[str, Any]]:
    """Rows in the order of the files, with that many requests in flight so that the server can batch."""
    with ThreadPoolExecutor(concurrency) as pool:
        yield from pool.map(lambda path: score_file(client, path, options), files)


def make_table(rows: list[dict[str, Any]]) -> Table:
    """One line a scored file: class, confidence, decision, probabilities."""
    table = Table(title="Lung-CT slices", caption=NOTICE, row_styles=("", "dim"))
    classes = tuple(rows[0]["probabilities"])
    for name in ("file", "class", "confidence", "decision", *classes):
        table.add_column(name, justify="left" if name in ("file", "class", "decision") else "right", overflow="fold")
    for row in rows:
        shares = (f"{row['probabilities'][name]:.3f}" for name in classes)
        table.add_row(Path(row["file"]).name, row["label"], f"{row['confidence']:.3f}", row["decision"], *shares)
    return table


def show(rows: list[dict[str, Any]]) -> None:
    """The table, then each warning once, then what was refused and why."""
    console = Console()
    scored = [row for row in rows if "error" not in row]
    if scored:
        console.print(make_table(scored))
    for warning in dict.fromkeys(warning for row in scored for warning in row["warnings"]):
        console.print(f"[yellow]warning[/] {warning}", highlight=False)
    for row in rows:
        if "error" in row:
            console.print(
                f"[red]refused[/] {Path(row['file']).name}: {row['error']}. {row['message']}", highlight=False
            )


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("paths", type=Path, nargs="+", help="files or folders")
    add_scoring_options(parser)
    parser.add_argument("--overlay", type=Path, help="write the heatmap over the slice here (one file only)")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    args = parser.parse_args()
    if missing := [p for p in args.paths if not p.exists()]:
        print(f"predict: {missing[0]} does not exist.", file=sys.stderr)
        return 2
    files = find_files(args.paths)
    if not files or (args.overlay and len(files) != 1):
        print("predict: --overlay needs exactly one file." if files else "predict: no files there.", file=sys.stderr)
        return 2
    if args.overlay and not args.overlay.parent.is_dir():  # said before anything is scored
        print(f"predict: there is no folder {args.overlay.parent}.", file=sys.stderr)
        return 2
    options = {"heatmap": args.heatmap} | ({"window": args.window} if args.window else {})
    rows = []
    try:
        client = connect(args.run)
        scored = score_files(client, files, options, args.concurrency)
        errors = Console(stderr=True)
        for row in track(scored, "Scoring", total=len(files), console=errors, transient=True, disable=len(files) < 8):
            if args.json:
                print(json.dumps(row), flush=True)
            rows.append(row)
        if not args.json:
            show(rows)
        if args.overlay and "error" not in rows[0]:
            kind = "jpeg" if args.overlay.suffix.lower() in (".jpg", ".jpeg") else "png"
            picture = client.overlay(files[0].read_bytes(), kind, **options)
            try:
                args.overlay.write_bytes(picture)
            except OSError as error:
                print(f"predict: cannot write {args.overlay}: {error.strerror}.", file=sys.stderr)
                return 2
            if not args.json:
                print(f"Overlay: {args.overlay}")
    except (ServerError, TokenError) as error:
        print(f"predict: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"predict: stopped after {len(rows)} of {len(files)} files.", file=sys.stderr)
        return 130
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
