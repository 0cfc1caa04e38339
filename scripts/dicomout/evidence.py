"""The map: signed evidence for the class of the series, a frame a slice, registered with the slices it came from."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset

from lungct import NOTICE
from lungct.model.preprocess import place
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.geometry import Cells, Plane, choose_stack, find_aspect
from lungct_tools.dicomout.identity import as_source, describe, finish, shorten, tell_compression
from lungct_tools.dicomout.uids import name_object

SIZES = ("small", "full")
Floats = npt.NDArray[np.float32]


def build_map(assessment: Assessment, size: str = "small") -> Dataset | None:
    """The Parametric Map (PS3.3 A.75) of a series; None where it has no class, or no scored slice says where it lies.

    A slice of which nothing is said has a frame of padding: OHIF 3.12 lays the first frame over the first slice along
    the normal, and so on, wherever the map says that they lie.

    Args:
        size: "small": the server's own (7, 7) sums, a pixel a cell; "full": the same drawn at the slices' size, which
            viewers overlay that cannot do so with another raster.
    """
    label, stack = assessment.rollup["label"], choose_stack(assessment)
    told = [each for each in stack if label in each.grids]
    if not told:
        return None
    first = Plane.of(stack[0].header)  # orientation and spacing are the same for all, to the last digit that counts
    planes = [Plane.of(each.header)._replace(orientation=first.orientation, spacing=first.spacing) for each in stack]
    thickness = _find_thickness(planes, stack[0])
    sources = [_place(each, first, thickness) for each in stack]
    if size == "small":
        rows, columns = int(stack[0].header.Rows), int(stack[0].header.Columns)
        cells = Cells.on(rows, columns, assessment.algorithm.geometry, find_aspect(stack[0].header))
        planes = [plane.coarsen(cells) for plane in planes]
        maps = {each.uid: each.grids[label] for each in told}
    else:
        maps = {each.uid: enlarge(each.grids[label], each, assessment) for each in told}
    low, high = (float(limit([limit(values) for values in maps.values()])) for limit in (np.min, np.max))
    padding = math.floor(low) - 1.0
    nothing = np.full_like(maps[told[0].uid], padding)
    frames = np.stack([maps.get(each.uid, nothing) for each in stack]).astype(np.float32)
    data = ParametricMap(
        sources,
        frames,
        **describe("map", name_object("map", assessment, size), assessment),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_describe_values(label, low, high)],
        voi_lut_transformations=[
            VOILUTTransformation(window_center=(low + high) / 2, window_width=max(high - low, 1e-3))
        ],
        derived_pixel_contrast="NONE",
        derivation=codes.GRAD_CAM,
        content_label="EVIDENCE",
        content_description=f"Signed evidence. {NOTICE}"[:64],
        content_creator_name="",
        pixel_measures=PixelMeasuresSequence(planes[0].spacing, thickness),
        plane_orientation=PlaneOrientationSequence("PATIENT", planes[0].orientation),
        plane_positions=[PlanePositionSequence("PATIENT", plane.position) for plane in planes],
    )
    _complete(data, told, name_object("dimensions", assessment, size))
    if len(told) < len(stack):
        data.FloatPixelPaddingValue = data.FloatPixelPaddingRangeLimit = padding  # dciodvfy asks for both
    _turn(data, frames)
    return finish(data, assessment)


def enlarge(grid: Floats, each: Slice, assessment: Assessment) -> Floats:
    """(7, 7) signed evidence -> (rows, columns) float32 of the slice, as the server draws its overlays."""
    rows, columns = int(each.header.Rows), int(each.header.Columns)
    spot = place(rows, columns, assessment.algorithm.geometry, find_aspect(each.header))
    canvas = cv2.resize(grid, (spot.canvas_columns, spot.canvas_rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(canvas[spot.top : spot.top + spot.rows, spot.left : spot.left + spot.columns], np.float32)


def _place(each: Slice, plane: Plane, thickness: float) -> Dataset:
    """The source with its raster and place, by which highdicom finds it for its frame.

    Args:
        plane: whose orientation and spacing all have: highdicom refuses a stack of which one differs in the last digit.
    """
    source = as_source(each)
    for keyword in ("Rows", "Columns", "FrameOfReferenceUID", "ImagePositionPatient"):
        setattr(source, keyword, each.header[keyword].value)
    source.PositionReferenceIndicator = ""
    measures, orientation = PixelMeasuresSequence(plane.spacing, thickness), plane.orientation
    source.update(measures[0])
    source.update(PlaneOrientationSequence("PATIENT", orientation)[0])
    return source


def _complete(data: ParametricMap, told: list[Slice], dimensions: str) -> None:
    """What highdicom has no argument for, takes from the first source, or draws by chance."""
    data.BodyPartExamined = "CHEST"
    tell_compression(data, told)
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence, anatomy.FrameLaterality = [codes.CHEST], "U"
    data.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    for item in (*data.DimensionOrganizationSequence, *data.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions


def _turn(data: ParametricMap, frames: Floats) -> None:
    """Put the frames in the order of the stack, along the normal: highdicom sorts them against it."""
    groups = data.PerFrameFunctionalGroupsSequence[::-1]
    for number, group in enumerate(groups, 1):
        group.FrameContentSequence[0].DimensionIndexValues = number
    data.PerFrameFunctionalGroupsSequence = groups
    data.FloatPixelData = frames.astype("<f4").tobytes()


def _describe_values(label: str, low: float, high: float) -> RealWorldValueMapping:
    """The real world values are what is stored: sums of evidence without a unit, before any temperature."""
    return RealWorldValueMapping(
        lut_label=shorten(label, 16),
        lut_explanation=shorten(f"Evidence for {label}"),
        unit=codes.NO_UNITS,
        value_range=(low, high),
        quantity_definition=codes.code_evidence(label),
    )


def _find_thickness(planes: list[Plane], first: Slice) -> float:
    """Of the source where it says so; else the median distance of the slices; 1 mm for a single one."""
    stated = first.header.get("SliceThickness")
    if stated:
        return float(stated)
    return float(np.median(np.diff([plane.depth for plane in planes]))) if len(planes) > 1 else 1.0
