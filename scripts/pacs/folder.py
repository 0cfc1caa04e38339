"""One series on disk: what arrived, what was said of it, and each version of its result, every step in one stroke.

in/HASH.dcm and in/HASH.json    a slice and its header; the header is there first
rows.jsonl                      the server's rows, one a slice, appended
out/N/                          version N: the objects and manifest.json; it appears whole or not at all
out/N/sent.json                 which object which peer has confirmed
closed.json                     what is left when the rest was deleted: hashes and numbers
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset

from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.record import Row
from lungct_tools.pacs.disk import FILE_MODE, FOLDER_MODE, make_folder, measure, sync_folder, write_durably


class Version(NamedTuple):
    """A result that is complete on disk.

    Attributes:
        folder: of its objects.
        manifest: "slices", "study", "objects" in the order of sending, "report", "decision", "refused".
    """

    number: int
    folder: Path
    manifest: dict[str, Any]

    @property
    def files(self) -> list[str]:
        return [each["file"] for each in self.manifest["objects"]]

    def sent(self) -> dict[str, list[str]]:
        """Confirmed files by peer."""
        return _read_json(self.folder / "sent.json") or {}

    def note_sent(self, peer: str, files: Sequence[str]) -> None:
        """Remember that a peer has confirmed files."""
        known = self.sent()
        known[peer] = sorted({*known.get(peer, []), *files})
        write_durably(self.folder / "sent.json", json.dumps(known).encode())

    def refusals(self) -> dict[str, str]:
        """Why peers will not have this result, by peer."""
        return _read_json(self.folder / "refused.json") or {}

    def built_at(self) -> float:
        """Unix time."""
        return (self.folder / "manifest.json").stat().st_mtime

    def changed_at(self) -> float:
        """When it was built, or last confirmed or refused, as Unix time."""
        return self.folder.stat().st_mtime

    def size(self) -> int:
        """Bytes on disk."""
        return measure(self.folder)

    def forget_refusals(self) -> None:
        """Let peers be asked again."""
        (self.folder / "refused.json").unlink(missing_ok=True)

    def note_refusal(self, peer: str, reason: str) -> None:
        """Remember that a peer refused for good."""
        write_durably(self.folder / "refused.json", json.dumps({**self.refusals(), peer: reason}).encode())


class SeriesFolder:
    """Reads and writes one series. One process at a time; its threads may share it, but one writes rows.

    Attributes:
        name: hash of its UIDs.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, root.name

    def put(self, name: str, body: bytes, header: Dataset) -> bool:
        """Keep a slice, on disk for good when this returns; False if it is there, or was before it was deleted."""
        if self.has(name):
            return False
        inside = self.root / "in"
        make_folder(self.root)
        make_folder(inside)
        write_durably(inside / f"{name}.json", header.to_json().encode())
        write_durably(inside / f"{name}.dcm", body)
        return True

    def has(self, name: str) -> bool:
        """Whether a slice is there, or was before it was deleted."""
        return self.holds(name) or name in self.closed().get("slices", ())

    def holds(self, name: str) -> bool:
        """Whether a slice is there now."""
        return (self.root / "in" / f"{name}.dcm").exists()

    def slices(self) -> set[str]:
        """Names of the slices that arrived whole."""
        return {path.stem for path in (self.root / "in").glob("*.dcm")}

    def arrived_at(self) -> float:
        """When the last slice came, as Unix time; 0 without slices."""
        return max((path.stat().st_mtime for path in (self.root / "in").glob("*.dcm")), default=0.0)

    def header(self, name: str) -> Dataset:
        return Dataset.from_json((self.root / "in" / f"{name}.json").read_text())

    def read(self, name: str) -> bytes:
        """A slice's bytes."""
        return (self.root / "in" / f"{name}.dcm").read_bytes()

    def rows(self) -> dict[str, Row]:
        """The last row of each slice. A damaged line is none, so its slice is scored again; changes nothing on disk,
        so `status` may ask while another process appends."""
        try:
            lines = (self.root / "rows.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        return {row["file"]: row for row in map(_read_row, lines) if row and "file" in row}

    def append(self, row: Row) -> None:
        """Add a row, with the moment."""
        path = self.root / "rows.jsonl"
        path.touch(FILE_MODE)
        with Journal(path) as journal:
            journal.append({**row, "scored_at": time.time()})

    def versions(self) -> list[Version]:
        """The complete results, oldest first; without what is just being deleted."""
        found = [path for path in (self.root / "out").glob("*") if path.name.isdecimal()]
        read = ((path, _read_json(path / "manifest.json")) for path in sorted(found, key=lambda path: int(path.name)))
        return [Version(int(path.name), path, manifest) for path, manifest in read if manifest is not None]

    def covered(self) -> set[str]:
        """The slices of the last version."""
        versions = self.versions()
        return set(versions[-1].manifest["slices"]) if versions else set()

    def add_version(self, number: int, files: Iterator[tuple[str, bytes]], manifest: dict[str, Any]) -> Version:
        """Write a result; it is there, whole and on disk, when this returns."""
        fresh = self.root / "out" / f".{number}.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
        make_folder(fresh.parent)
        fresh.mkdir(mode=FOLDER_MODE)
        for name, body in files:
            write_durably(fresh / name, body)
        write_durably(fresh / "manifest.json", json.dumps(manifest, indent=1).encode())
        target = fresh.with_name(str(number))
        fresh.rename(target)
        sync_folder(target.parent)
        return Version(number, target, manifest)

    def closed(self) -> dict[str, Any]:
        """What is left of results whose data was deleted; {} before that."""
        return _read_json(self.root / "closed.json") or {}

    def close(self) -> None:
        """Delete slices, rows and objects. Hashes and numbers stay, so that a slice sent again is known."""
        slices = sorted({*self.closed().get("slices", ()), *self.slices()})
        left = {"slices": slices, "version": self.last_report()[0]}
        write_durably(self.root / "closed.json", json.dumps(left).encode())
        for name in ("in", "out"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "rows.jsonl").unlink(missing_ok=True)

    def last_report(self) -> tuple[int, list[str] | None]:
        """Number of the last version, closed ones too, or 0; series and SOP instance UID of its report.

        None of a closed one: its slices are gone, so that what comes late is no other version of it.
        """
        versions = self.versions()
        if versions:
            return versions[-1].number, versions[-1].manifest["report"]
        return self.closed().get("version", 0), None

    def size(self) -> int:
        """Bytes on disk."""
        return measure(self.root)


def moment_of(rows: Sequence[Row]) -> datetime:
    """When the last of these rows was first written: the same after every restart."""
    return datetime.fromtimestamp(int(max(row["scored_at"] for row in rows)))


def _read_row(line: bytes) -> Row | None:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any] | None:
    """None where there is none; JournalError for a damaged one, from which nothing could be told or sent."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise JournalError(f"{path} is damaged; move {path.parent} away, then start again.") from None
