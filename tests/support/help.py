"""What commands say of themselves, asked where they could go astray."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lungct.settings import list_given_folders
from lungct_tools.commandline import compose


def outside_make() -> dict[str, str]:
    """The environment of a make of its own: `make test ARGS=...` hands its ARGS down to every make below it."""
    handed_down = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    return {name: value for name, value in os.environ.items() if name not in handed_down}


@dataclass(frozen=True)
class Help:
    """What a command says of itself; whether it imported what lies in the working directory."""

    returncode: int
    stdout: str
    stderr: str
    strayed: bool


@cache
def show_help(name: str) -> Help:
    """Ask a command for its help, in a folder of decoys; some import for seconds, so each is asked once."""
    with tempfile.TemporaryDirectory() as folder:
        for module in ("requests", "pydicom", "cv2", "rich", "lungct", "lungct_tools", "lungct_client", "argparse"):
            (Path(folder) / f"{module}.py").write_text("import pathlib\npathlib.Path('strayed').touch()\n")
        settings = {**os.environ, "PYTHONPATH": os.pathsep.join(list_given_folders())}
        done = subprocess.run(
            compose(name, "--help"), capture_output=True, text=True, timeout=240, check=False, cwd=folder, env=settings
        )
        return Help(done.returncode, done.stdout, done.stderr, (Path(folder) / "strayed").exists())
