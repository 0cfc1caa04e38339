"""The place of an archive in the model store, where the server that starts next finds it."""

from __future__ import annotations

from pathlib import Path

from lungct_tools.server.runfolder import copy_fresh, is_strange, write_whole
from lungct_tools.server.seal import NAME, find_seal


def put(archive: Path, store: Path, seal: Path) -> None:
    """Give a sealed archive its place in one stroke, and its seal; the one before stays as .previous, with its own.

    What may fail for want of room or leave comes first: OSError leaves the one that is there as it is. No link that
    another user prepared in the store is followed; one of our own in its place gives way to the archive.
    """
    fresh, place, previous = store / f"{NAME}.new", store / NAME, store / f"{NAME}.previous"
    vouched = seal.with_name(f"{seal.name}.next")
    copy_fresh(archive, fresh)
    write_whole(vouched, find_seal(archive).read_text())
    if place.is_file() and not is_strange(place):
        copy_fresh(place, store / f"{NAME}.previous.new")
        (store / f"{NAME}.previous.new").replace(previous)
        write_whole(find_seal(previous), seal.read_text() if seal.is_file() and not is_strange(seal) else "")
    fresh.replace(place)
    vouched.replace(seal)
