"""What set-up costs: packages, MiB downloaded, MB on disk and seconds, in a fresh clone with empty caches.

    lungct footprint                # what serves, beside what was last measured for everything
    lungct footprint --all          # everything too (gigabytes), and writes each extra's size

Everything is what `make demo` installed up to version 1.4. Seconds are of set-up alone, on this machine and network;
the sizes are those of the files that this Python and machine take. Exit codes: 0 measured, 1 set-up failed.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from rich.console import Console
from rich.table import Table

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser
from lungct_tools.packages.lacking import SIZES
from lungct_tools.setup import SERVES, choose_rows, name_package, read_extras

EVERYTHING = "test"  # the extra that has all others


class Footprint(NamedTuple):
    """Of an environment: packages, MiB to download, MB on disk, seconds that set-up took."""

    packages: int
    download_mib: int
    disk_mb: int
    seconds: int


def measure_downloads(rows: dict[str, list[str]], uv: Path) -> dict[str, int]:
    """Package -> bytes of the file that this Python takes of it, as the index tells them."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder, "rows.txt"), Path(folder, "pylock.toml")
        wanted.write_text("".join(block for blocks in rows.values() for block in blocks))
        command = [uv, "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", wanted, "-o", found]
        subprocess.run([*command, "--python", sys.executable], check=True)
        listed = tomllib.loads(found.read_text())["packages"]
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    sizes = {}
    for package in listed:
        fitting = [
            (min(ranks[tag] for tag in tags), wheel["size"])
            for wheel in package.get("wheels", ())
            if (tags := parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))[3] & ranks.keys())
        ]
        sizes[package["name"]] = min(fitting)[1] if fitting else package["sdist"]["size"]
    return sizes


def measure_disk(folder: Path) -> int:
    """Bytes that a folder occupies; a file with several names counts once."""
    states = {state.st_ino: state for path in folder.rglob("*") if (state := path.lstat())}
    return sum(state.st_blocks * 512 for state in states.values())


def measure_installed(site: Path) -> dict[str, int]:
    """Package -> bytes of its files, as its own record tells them."""
    sizes = {}
    for each in distributions(path=[str(site)]):
        record = csv.reader((each.read_text("RECORD") or "").splitlines())
        sizes[name_package(each.name)] = sum(int(size or 0) for _, _, size in record)
    return sizes


def set_up(clone: Path, extra: str) -> int:
    """Clone this checkout, run its set-up as a user with empty caches would, and return the seconds it took."""
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)  # noqa: S607 -- the user's own git
    began = time.monotonic()
    fresh = {**os.environ, "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    fresh.pop("PYTHONDONTWRITEBYTECODE", None)  # has set-up compile everything, which few machines want
    command = [sys.executable, "-P", "scripts/setup.py", extra]
    subprocess.run(command, cwd=clone, env=fresh, check=True, stdout=sys.stderr)
    return round(time.monotonic() - began)


def measure(clone: Path, extra: str) -> Footprint:
    """The footprint of an extra with what serves, in a fresh clone."""
    seconds = set_up(clone, extra)
    downloads = measure_downloads(choose_rows([SERVES, extra]), clone / ".venv" / "bin" / "uv")
    return Footprint(
        len(downloads), round(sum(downloads.values()) / 2**20), round(measure_disk(clone / ".venv") / 1e6), seconds
    )


def measure_extras(clone: Path) -> dict[str, dict[str, int]]:
    """Extra -> what it adds to what serves; `clone` has everything."""
    downloads = measure_downloads(choose_rows([EVERYTHING]), clone / ".venv" / "bin" / "uv")
    (site,) = (clone / ".venv" / "lib").glob("python3*/site-packages")
    installed, served = measure_installed(site), choose_rows([SERVES]).keys()
    sizes = {}
    for extra in sorted(read_extras().keys() - {"", SERVES}):
        added = (choose_rows([extra]).keys() - served) & downloads.keys()
        sizes[extra] = {
            "download_mib": round(sum(downloads[name] for name in added) / 2**20),
            "disk_mb": round(sum(installed.get(name, 0) for name in added) / 1e6),
        }
    return sizes


def show(lean: Footprint, everything: Footprint) -> None:
    """Print both, and the share of the one in the other."""
    table = Table("", "packages", "MiB down", "MB on disk", "seconds")
    shares = [f"{one / other:.3f}" for one, other in zip(lean, everything, strict=True)]
    table.add_row("what serves", *(f"{each:,}" for each in lean))
    table.add_row("everything", *(f"{each:,}" for each in everything))
    table.add_row("share", *shares)
    Console().print(table)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--all", action="store_true", help="install everything too, and write the sizes of the extras")
    args = parser.parse_args()
    known = json.loads(SIZES.read_text())
    try:
        with tempfile.TemporaryDirectory(prefix="lung-ct-footprint-") as folder:
            lean = measure(Path(folder, "lean"), SERVES)
            if args.all:
                everything = measure(clone := Path(folder, "everything"), EVERYTHING)
                known = {**measure_extras(clone), "everything": everything._asdict()}
                SIZES.write_text(json.dumps(known, indent=2) + "\n")
    except subprocess.CalledProcessError as error:
        print(f"footprint: this step failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    show(lean, Footprint(**known["everything"]))
    return 0
