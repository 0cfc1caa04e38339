"""How long a series takes from the last byte of C-STORE to all results in Orthanc, beside `score` in the same run.

python -m tests.pacs.speed RUN [SLICES]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.phantom.series import draw_volume, encode_slice
from tests.support.calls import wait_until
from tests.support.listening import listening
from tests.support.orthanc import running

DRAWN = 20  # slices that differ; drawing them all would take minutes
QUIET_S = 1.0


def write_series(folder: Path, count: int, name: str) -> list[Path]:
    import io

    from pydicom import dcmread

    folder.mkdir()
    drawn = [dcmread(io.BytesIO(body)).pixel_array.astype("int32") - 1024 for body in draw_volume(DRAWN, "spiculated")]
    paths = [folder / f"{number:04}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_slice(drawn[number % DRAWN].astype("int16"), number, name))
    return paths


def find_family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def read_peak(pid: int) -> int:
    """The most that a process has held, kB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def main() -> None:
    run, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as temp:
        root = Path(temp)
        paths = write_series(root / "in", count, "speed")
        command = compose("score", root / "in", "--run", run, "--format", "jsonl")
        for name in ("warm", "score"):
            started = time.monotonic()
            subprocess.run([*command, str(root / name)], cwd=ROOT, check=True, capture_output=True)
            score_s = time.monotonic() - started
        (root / "orthanc").mkdir()
        with (
            running(root / "orthanc") as orthanc,
            listening(run, root / "spool", "--to", orthanc.web, "--quiet", str(QUIET_S)) as listener,
        ):
            started = time.monotonic()
            assert listener.send(*paths).returncode == 0
            sent = time.monotonic()
            wait_until(lambda: listener.events("built"), 300, "built")
            built = time.monotonic()
            seen: dict[str, float] = {}

            def confirmed() -> bool:
                for kind, uids in orthanc.results().items():
                    seen.update({f"{kind} {uid}": time.monotonic() for uid in uids if f"{kind} {uid}" not in seen})
                return bool(listener.events("sent"))

            wait_until(confirmed, 300, "all is stored and confirmed")
            stored = time.monotonic()
            confirmed()
            memory = sum(map(read_peak, find_family(listener.process.pid)))
    report = next(moment for name, moment in seen.items() if name.startswith("report"))
    others = max(moment for name, moment in seen.items() if not name.startswith("report"))
    built, report, others, stored = (moment - sent - QUIET_S for moment in (built, report, others, stored))
    sys.stdout.write(
        f"{count} slices: score {score_s:.1f} s; C-STORE {sent - started:.1f} s; from its last byte, without "
        f"{QUIET_S:g} s of quiet: built {built:.1f} s, report stands {report:.1f} s, the last other object "
        f"{others:.1f} s; all confirmed {stored:.1f} s, {stored / score_s:.1f} x score; "
        f"most memory, its reader of headers included: {memory / 1024:.0f} MiB\n"
    )


if __name__ == "__main__":
    main()
