"""Where the 7 x 7 cells of evidence lie on a slice, and where the slice lies in the patient."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.model.preprocess import Geometry, place
from lungct.pixels.plane import read_aspect
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.keywords import PLACE_KEYWORDS

CELLS = 7  # a side
_APART_MM = 1e-3  # slices closer than that lie at one place, as highdicom has it
Floats = npt.NDArray[np.float64]


class Cells(NamedTuple):
    """The grid of cells on a slice, in pixels; the outer edge of the first pixel is 0.

    Attributes:
        top, left: outer corner of cell (0, 0); negative where the slice was padded.
        height, width: of one cell.
    """

    top: float
    left: float
    height: float
    width: float

    @classmethod
    def on(cls, rows: int, columns: int, geometry: Geometry, aspect: float) -> Cells:
        """The cells of a slice as `lungct.model.preprocess.place` puts it before the network."""
        spot = place(rows, columns, geometry, aspect)
        return cls(-spot.top, -spot.left, spot.canvas_rows / CELLS, spot.canvas_columns / CELLS)

    def outline(self, row: int, column: int, rows: int, columns: int) -> Floats:
        """(5, 2) closed outline of a cell as column, row; cut at the slice's edge.

        PS3.3 C.18.6.1.2 counts from the outer corner of the first pixel, so its centre is at 0.5.
        """
        top, bottom = np.clip(self.top + self.height * np.array([row, row + 1]), 0, rows)
        left, right = np.clip(self.left + self.width * np.array([column, column + 1]), 0, columns)
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])


def find_aspect(header: Any) -> float:
    """Height over width of a pixel, as the server has it; 1 where it would refuse the slice for it."""
    try:
        return read_aspect(header, 0)
    except LungCTError:
        return 1.0


def find_peak(grid: npt.NDArray[np.float32], cells: Cells, rows: int, columns: int) -> tuple[int, int] | None:
    """Row and column of the strongest positive cell of (7, 7) that lies on the slice; None where there is none."""
    tops, lefts = cells.top + cells.height * np.arange(CELLS), cells.left + cells.width * np.arange(CELLS)
    on_rows = (tops + cells.height > 0) & (tops < rows)
    on_columns = (lefts + cells.width > 0) & (lefts < columns)
    seen = np.where(on_rows[:, None] & on_columns, grid, -np.inf)
    row, column = divmod(int(seen.argmax()), CELLS)
    return (row, column) if seen[row, column] > 0 else None


class Plane(NamedTuple):
    """Rows and columns of a raster in the patient, mm (PS3.3 C.7.6.2.1.1).

    Attributes:
        position: (3,) of the centre of its first pixel.
        orientation: (6,) direction cosines of a row, then of a column.
        spacing: between rows, between columns.
    """

    position: Floats
    orientation: Floats
    spacing: tuple[float, float]

    @classmethod
    def of(cls, header: Any) -> Plane:
        """The plane of a classic slice."""
        return cls(
            np.array(header.ImagePositionPatient, float),
            np.array(header.ImageOrientationPatient, float),
            (float(header.PixelSpacing[0]), float(header.PixelSpacing[1])),
        )

    def locate(self, row: float, column: float) -> Floats:
        """(3,) mm of a point in pixels, where the centre of the first pixel is at 0, 0 (equation C.7.6.2.1-1)."""
        along_row, along_column = self.orientation[:3], self.orientation[3:]
        return self.position + along_row * self.spacing[1] * column + along_column * self.spacing[0] * row

    def coarsen(self, cells: Cells) -> Plane:
        """The plane of the cells: one pixel a cell."""
        first = self.locate(cells.top + cells.height / 2 - 0.5, cells.left + cells.width / 2 - 0.5)
        spacing = (self.spacing[0] * cells.height, self.spacing[1] * cells.width)
        return Plane(first, self.orientation, spacing)

    @property
    def depth(self) -> float:
        """Where the plane lies along its own normal, mm."""
        return float(self.position @ np.cross(self.orientation[:3], self.orientation[3:]))


def has_place(header: Any) -> bool:
    """Whether the header says where the slice and its pixels lie, in numbers."""
    if any(not header.get(keyword) for keyword in (*PLACE_KEYWORDS, "Rows", "Columns")):
        return False
    plane = Plane.of(header)
    lengths = plane.position.shape == (3,) and plane.orientation.shape == (6,)
    return (
        lengths and np.isfinite([*plane.position, *plane.orientation, *plane.spacing]).all() and min(plane.spacing) > 0
    )


def choose_stack(assessment: Assessment) -> list[Slice]:
    """A slice for each place of the series, by depth: same raster, orientation and frame of reference as most scored.

    Of several at one place (phases, reconstructions, copies) it is the one that counts with the highest probability of
    the most worrying class; one that was refused, where there is no other.
    """
    worst, counted = assessment.algorithm.classes[-1], {each.uid for each in assessment.counted}

    def rank(each: Slice) -> tuple[bool, float]:
        return each.uid in counted, each.row["probabilities"][worst] if each.scored else -1.0

    placed = [(_shape(each), Plane.of(each.header).depth, each) for each in assessment.slices if has_place(each.header)]
    shapes = Counter(shape for shape, _, each in placed if each.uid in counted)
    if not shapes:
        return []
    commonest = shapes.most_common(1)[0][0]
    alike = [(depth, each.uid, each) for shape, depth, each in placed if shape == commonest]
    stack: list[tuple[float, Slice]] = []
    for depth, _, each in sorted(alike, key=itemgetter(0, 1)):
        if not stack or depth - stack[-1][0] > _APART_MM:
            stack.append((depth, each))
        elif rank(each) > rank(stack[-1][1]):
            stack[-1] = depth, each
    return [each for _, each in stack]


def _shape(each: Slice) -> tuple[Any, ...]:
    header, plane = each.header, Plane.of(each.header)
    raster = (int(header.Rows), int(header.Columns), *np.round(plane.spacing, 5))
    return (*raster, *np.round(plane.orientation, 4), str(header.FrameOfReferenceUID))
