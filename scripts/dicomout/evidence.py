"""The map: signed evidence for the class of the series, a frame a slice, registered with the slices it came from."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation, pm
from lungct import NOTICE
from lungct.preprocess import place
from pydicom.dataset import Dataset

from scripts.dicomout import codes
from scripts.dicomout.assessment import Assessment, Slice
from scripts.dicomout.geometry import Cells, Plane, choose_stack
from scripts.dicomout.identity import describe_series, describe_software, finish, make_code, source_header
from scripts.dicomout.uids import name_object

SIZES = ("small", "full")
Floats = npt.NDArray[np.float32]


def build_map(assessment: Assessment, size: str = "small") -> Dataset | None:
    """The Parametric Map of a series; None where no scored slice says where it lies.

    Args:
        size: "small": the server's own (7, 7) sums, a pixel a cell; "full": the same drawn at the slices' size, which
            viewers overlay that cannot do so with another raster.
    """
    label = assessment.rollup["label"]
    stack = [each for each in choose_stack(assessment.slices) if label in each.grids]
    if not stack:
        return None
    rows, columns = int(stack[0].header.Rows), int(stack[0].header.Columns)
    cells = Cells.on(rows, columns, assessment.algorithm.geometry)
    planes = [Plane.of(each.header) for each in stack]
    if size == "small":
        planes = [plane.coarsen(cells) for plane in planes]
        frames = np.stack([each.grids[label] for each in stack])
    else:
        frames = np.stack([enlarge(each.grids[label], each, assessment) for each in stack])
    low, high = float(frames.min()), float(frames.max())
    data = pm.ParametricMap(
        source_images=[source_header(each.header, assessment) for each in stack],
        pixel_array=frames,
        sop_instance_uid=name_object("map", assessment, size),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_describe_values(label, low, high)],
        voi_lut_transformations=[
            VOILUTTransformation(window_center=(low + high) / 2, window_width=max(high - low, 1e-3))
        ],
        content_label="EVIDENCE",
        content_description=f"Signed evidence. {NOTICE}"[:64],
        derivation=codes.GRAD_CAM,
        image_flavor="VOLUME",
        derived_pixel_contrast="NONE",
        pixel_measures=PixelMeasuresSequence(planes[0].spacing, _find_thickness(stack)),
        plane_orientation=PlaneOrientationSequence("PATIENT", _shorten(planes[0].orientation)),
        plane_positions=[PlanePositionSequence("PATIENT", _shorten(plane.position)) for plane in planes],
        **describe_series("map", assessment),
        **describe_software(assessment),
    )
    _name_anatomy(data)
    _name_dimensions(data, name_object("dimensions", assessment, size))
    data.BodyPartExamined = "CHEST"
    return finish(data, assessment)


def enlarge(grid: Floats, each: Slice, assessment: Assessment) -> Floats:
    """(7, 7) signed evidence -> (rows, columns) float32 of the slice, as the server draws its overlays."""
    spot = place(int(each.header.Rows), int(each.header.Columns), assessment.algorithm.geometry)
    shape = (spot.canvas_columns, spot.canvas_rows)
    canvas = cv2.resize(grid, shape, interpolation=cv2.INTER_LINEAR)
    return np.asarray(canvas[spot.top : spot.top + spot.rows, spot.left : spot.left + spot.columns], np.float32)


def _shorten(values: npt.NDArray[np.float64]) -> list[float]:
    """As many digits as the 16 characters of a decimal string hold (PS3.5, DS)."""
    return [float(f"{value:.9g}") for value in values]


def _describe_values(label: str, low: float, high: float) -> pm.RealWorldValueMapping:
    """The values are what they are: sums of evidence, without a unit, before any temperature."""
    return pm.RealWorldValueMapping(
        lut_label=label[:16],
        lut_explanation=f"Evidence for {label}"[:64],
        unit=codes.NO_UNITS,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.code_evidence(label),
    )


def _find_thickness(stack: list[Slice]) -> float:
    """Of the source where it says so; else the median distance of the slices; 1 mm for a single one."""
    stated = stack[0].header.get("SliceThickness")
    if stated:
        return float(stated)
    depths = [Plane.of(each.header).depth for each in stack]
    return float(np.median(np.diff(depths))) if len(depths) > 1 else 1.0


def _name_anatomy(data: Dataset) -> None:
    """C.7.6.16.2.8, which highdicom leaves to us."""
    item = Dataset()
    item.AnatomicRegionSequence = [make_code(codes.CHEST)]
    item.FrameLaterality = "U"
    data.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [item]


def _name_dimensions(data: Dataset, uid: str) -> None:
    """C.7.6.17: highdicom draws a random UID."""
    for item in (*data.DimensionOrganizationSequence, *data.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
