"""Which rows of a series are copies of one slice: they are one observation, however often it was packed."""

from __future__ import annotations

from lungct_tools.folder.record import Row


class Instances:
    """Tells the slices of one series from their copies while their rows pass by, in some 250 bytes a slice.

    A copy has equal pixels as the network saw them at the same position, or where none is known, whatever number it
    was given, or one instance UID at the same position, frame and instance number (`spot`, as far as the file tells):
    the UID finds one slice in several transfer syntaxes. Equal pixels at two positions are two slices. One UID at
    another position is no copy, but should not be: a warning.

    Attributes:
        scored: slices with a score, copies apart.
        clashing: hashes of the instance UIDs that were found at several positions.
    """

    def __init__(self) -> None:
        self.scored = 0
        self.clashing: set[int] = set()
        self._rows = 0
        self._seen: set[int] = set()
        self._refused: dict[tuple[int, ...], bool] = {}  # marks of a refused slice -> whether it may be an axial one
        self._spots: dict[int, int] = {}

    def add(self, row: Row) -> bool:
        """Count a row; whether it is a scored slice that is no copy of an earlier one."""
        self._rows += 1
        marks = self._mark(row)
        if row.get("error"):
            self._refused.setdefault(marks or (self._rows,), row.get("axial", True))
            return False
        copy = not self._seen.isdisjoint(marks)
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

    def _mark(self, row: Row) -> tuple[int, ...]:
        """Hashes of what a copy of this row would share with it; none for a file that could not be read."""
        content, spot = row.get("pixels_sha256") or row.get("sha256"), row.get("spot", "")
        marks = (hash((content, spot.partition(".")[0])),) if content else ()
        if not row.get("instance"):
            return marks
        instance, place = hash(row["instance"]), hash((row["instance"], spot))
        if self._spots.setdefault(instance, place) != place:
            self.clashing.add(instance)
        return (*marks, place)
