"""Where the files of a bulk run come from: what `lungct score` reads as well, or all below an address in a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from lungct_tools.bulk.bucket import Address
from lungct_tools.bulk.place import Place, read_whole
from lungct_tools.folder.archive import Archive, open_source
from lungct_tools.folder.naming import is_noise
from lungct_tools.folder.source import Entry, Source, SourceError


class Prefix:
    """All objects below an address, as a source; what is hidden, or left there by systems, is passed over."""

    def __init__(self, root: Address) -> None:
        self._root = root

    def entries(self) -> Iterator[Entry]:
        for place in self._root.walk():
            name = place.key.removeprefix(self._root.key).removeprefix("/")
            if not any(map(is_noise, name.split("/"))):
                yield Entry(name, place)

    def read(self, entry: Entry) -> bytes:
        return read_whole(entry.at)

    def stamp(self, entry: Entry) -> str:
        """Nothing: it would be a request for each."""
        return ""


def open_input(place: Place) -> tuple[Source, Place]:
    """The files of IN, and the place that their names start from; SourceError for what a bulk run does not take."""
    if isinstance(place, Address):
        return Prefix(place), place
    source = open_source(place)
    if isinstance(source, Archive):
        raise SourceError(f"{place} is a ZIP; unpack it first, or score it by `lungct score`.")
    return source, (place if place.is_dir() else place.parent).resolve()
