"""From a fresh clone to a scored slice: build, start, wait, score a synthetic slice, draw its heatmap.

    make demo

The server is left running. The slice is drawn by `lungct phantom`: no patient is behind it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from lungct import NOTICE
from lungct_tools.commandline import add_run_option, compose, make_parser
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import write_dicom
from lungct_tools.phantom.picture import write_png
from lungct_tools.server.instance import Instance
from lungct_tools.server.runfolder import claim, resolve

NEXT = """
What to try next
  make status                                   workers, model, engine
  make predict IN={sample}/slice.dcm ARGS='--overlay my_overlay.png'
  make scale WORKERS=2                          more workers
  curl {metrics}/metrics | grep lung_ct    what Prometheus sees
  make stop                                     end the server
"""


def step(*command: str) -> None:
    """Run one of our commands; stop here with its exit code when it fails."""
    done = subprocess.run(compose(*command), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    args = parser.parse_args()
    sample = resolve(args.run) / "sample"
    claim(sample.parent)
    claim(sample)
    for left in sample.glob("slice.*"):  # a link, perhaps
        left.unlink()
    hu = draw_slice(5, "spiculated")
    write_dicom(hu, sample / "slice.dcm")
    write_png(hu, sample / "slice.png")
    step("archive")
    step("serve", "--run", str(args.run))
    overlay = args.run / "overlay.png"
    step("predict", str(sample / "slice.png"), "--run", str(args.run), "--overlay", str(overlay))
    metrics = Instance.read(args.run).url("metrics").removeprefix("http://")
    Console().print(
        f"[bold]{NOTICE}[/] The slice is synthetic: the model never saw anything drawn, so mind the idea, "
        f"not the class.{NEXT.format(sample=_short(sample), metrics=metrics)}",
        highlight=False,
    )
    return 0


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
