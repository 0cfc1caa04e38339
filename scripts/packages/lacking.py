"""What a command lacks in this environment, in a sentence: which extra, how large it is, what installs it."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from lungct_tools import TOOLS
from lungct_tools.setup import expand, read_extras

SIZES = TOOLS / "packages" / "sizes.json"  # `lungct footprint --all` writes it


def find_lacking(extras: Iterable[str]) -> list[str]:
    """Packages that extras name for this Python and machine and that are not installed, sorted."""
    wanted = map(Requirement, expand(extras))
    return sorted(each.name for each in wanted if each.marker is None or each.marker.evaluate() if not has(each.name))


def find_barred(extra: str) -> list[str]:
    """Packages that an extra itself names for other Pythons or machines only, and that are not installed, sorted."""
    named = map(Requirement, read_extras()[extra])
    return sorted(each.name for each in named if each.marker and not each.marker.evaluate() and not has(each.name))


def has(package: str) -> bool:
    """Whether a package is installed, by its name in the registry."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def explain_lacking(extra: str) -> str | None:
    """The sentence for what needs `extra`; None when it lacks nothing, or in an image, which has no extras."""
    try:
        lacking = find_lacking([extra])
    except FileNotFoundError:
        return None
    if barred := find_barred(extra):
        return (
            f"{', '.join(barred)} cannot be had for Python {platform.python_version()} on this machine; pyproject.toml "
            f"says why. Take another Python, as in `make setup PYTHON=python3.13 EXTRAS={extra}`."
        )
    if not lacking:
        return None
    size = json.loads(SIZES.read_text())[extra]
    return (
        f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed. "
        f"`make setup EXTRAS={extra}` adds the extra {extra}, up to {size['download_mib']:,} MiB to download and "
        f"{size['disk_mb']:,} MB on disk; in an environment of your own do it with "
        f"uv pip install -c requirements.lock -e '.[{extra}]'."
    )
