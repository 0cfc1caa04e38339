"""Which rows of a series are copies of one slice: they are one observation, however often it was packed."""

from __future__ import annotations

from lungct_tools.folder.record import Row


class Instances:
    """Tells the slices of one series from their copies while their rows pass by, in some 350 bytes a slice.

    A copy has equal pixels as the network saw them at the same position, or where one of the two tells none, whatever
    number it was given, or one instance UID at the same position, frame and instance number (`spot`, as far as the file
    tells any of them) and of one patient: the UID finds one slice in several transfer syntaxes. Equal pixels at two
    positions are two slices. One UID at another position is no copy, but should not be: a warning.

    Attributes:
        scored: slices with a score, copies apart.
        clashing: hashes of the instance UIDs that were found at several positions.
        patients: what tells the patients apart whose slices these are.
    """

    def __init__(self) -> None:
        self.scored = 0
        self.clashing: set[int] = set()
        self.patients: set[str] = set()
        self._rows = 0
        self._seen: set[int] = set()
        self._refused: dict[tuple[int, ...], bool] = {}  # marks of a refused slice -> whether it may be an axial one
        self._spots: dict[int, int] = {}
        self._unplaced: dict[int, bool] = {}  # pixels -> whether all that has them so far tells no position

    def add(self, row: Row) -> bool:
        """Count a row; whether it is a scored slice that is no copy of an earlier one."""
        self._rows += 1
        content, spot = row.get("pixels_sha256") or row.get("sha256"), row.get("spot", "")
        position, patient = spot.partition(".")[0], row.get("patient", "")
        self.patients.update([patient] if patient else [])
        # A UID alone makes no copy: some who remove names give one to all slices.
        place = hash((row["instance"], patient, spot if spot.strip(".") else content)) if row.get("instance") else None
        marks = tuple(mark for mark in (hash((content, position)) if content else None, place) if mark is not None)
        if row.get("error"):
            self._refused.setdefault(marks or (self._rows,), row.get("axial", True))
            return False
        copy = not self._seen.isdisjoint(marks)
        copy |= bool(content) and self._meets(hash(content), bool(position))
        if place is not None and not copy and self._spots.setdefault(hash(row["instance"]), place) != place:
            self.clashing.add(hash(row["instance"]))
        self._seen.update(marks)
        self.scored += not copy
        return not copy

    def count_refused(self) -> tuple[int, int]:
        """Refused slices no copy of which was scored: how many there are, and how many of them may be axial ones."""
        alone = [axial for marks, axial in self._refused.items() if self._seen.isdisjoint(marks)]
        return len(alone), sum(alone)

    def count_copies(self) -> int:
        """Rows that were set aside."""
        return self._rows - self.scored - self.count_refused()[0]

    def _meets(self, content: int, placed: bool) -> bool:
        """Whether equal pixels came before of which one tells no position; of several positions one alone meets it."""
        before = self._unplaced.get(content)
        self._unplaced[content] = before is not False and not placed
        return before is True if placed else before is not None
