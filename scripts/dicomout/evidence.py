"""The map: signed evidence for the class of the series, a frame a slice, registered with the slices it came from."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ParametricMapStorage

from lungct import NOTICE
from lungct.model.preprocess import place
from lungct_tools.dicomout import codes, content
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.encoding import encode_code, encode_item, encode_items
from lungct_tools.dicomout.geometry import Cells, Plane, choose_stack, find_aspect
from lungct_tools.dicomout.identity import add_sequence, begin, tell_compression
from lungct_tools.dicomout.uids import name_object

SIZES = ("small", "full")
_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
Floats = npt.NDArray[np.float32]


def build_map(assessment: Assessment, size: str = "small") -> Dataset | None:
    """The Parametric Map (PS3.3 A.75) of a series; None where it has no class, or no scored slice says where it lies.

    Args:
        size: "small": the server's own (7, 7) sums, a pixel a cell; "full": the same drawn at the slices' size, which
            viewers overlay that cannot do so with another raster.
    """
    label = assessment.rollup["label"]
    stack = [each for each in choose_stack(assessment.counted) if label in each.grids]
    if not stack:
        return None
    planes = [Plane.of(each.header) for each in stack]
    if size == "small":
        rows, columns = int(stack[0].header.Rows), int(stack[0].header.Columns)
        cells = Cells.on(rows, columns, assessment.algorithm.geometry, find_aspect(stack[0].header))
        planes = [plane.coarsen(cells) for plane in planes]
        frames = np.stack([each.grids[label] for each in stack])
    else:
        frames = np.stack([enlarge(each.grids[label], each, assessment) for each in stack])
    data = begin("map", ParametricMapStorage, name_object("map", assessment, size), assessment)
    _describe_image(data, frames, stack)
    _describe_dimensions(data, name_object("dimensions", assessment, size))
    span = (float(frames.min()), float(frames.max()))
    add_sequence(data, "SharedFunctionalGroupsSequence", [_write_shared(stack, planes[0], label, span)])
    add_sequence(data, "PerFrameFunctionalGroupsSequence", _write_frames(stack, planes))
    data.FloatPixelData = frames.astype("<f4").tobytes()
    return data


def enlarge(grid: Floats, each: Slice, assessment: Assessment) -> Floats:
    """(7, 7) signed evidence -> (rows, columns) float32 of the slice, as the server draws its overlays."""
    rows, columns = int(each.header.Rows), int(each.header.Columns)
    spot = place(rows, columns, assessment.algorithm.geometry, find_aspect(each.header))
    canvas = cv2.resize(grid, (spot.canvas_columns, spot.canvas_rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(canvas[spot.top : spot.top + spot.rows, spot.left : spot.left + spot.columns], np.float32)


def _describe_image(data: Dataset, frames: Floats, stack: list[Slice]) -> None:
    """Image pixel, frame of reference and content modules, and the images that it came from."""
    header = stack[0].header
    data.Modality, data.ImageType, data.BodyPartExamined = "OT", _TYPE, "CHEST"
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = header.FrameOfReferenceUID, ""
    data.SamplesPerPixel, data.PhotometricInterpretation, data.BitsAllocated = 1, "MONOCHROME2", 32
    data.NumberOfFrames, data.Rows, data.Columns = frames.shape
    data.PixelPresentation, data.PresentationLUTShape = "MONOCHROME", "IDENTITY"
    data.BurnedInAnnotation, data.RecognizableVisualFeatures = "NO", "NO"
    tell_compression(data, stack)
    data.ContentQualification, data.ContentLabel = "RESEARCH", "EVIDENCE"
    data.ContentDescription, data.ContentCreatorName = f"Signed evidence. {NOTICE}"[:64], ""
    add_sequence(data, "AcquisitionContextSequence", ())
    images = encode_items(content.reference(each.header.SOPClassUID, each.uid) for each in stack)
    series = encode_item(SeriesInstanceUID=header.SeriesInstanceUID, ReferencedInstanceSequence=images)
    add_sequence(data, "ReferencedSeriesSequence", [series])


def _describe_dimensions(data: Dataset, uid: str) -> None:
    """C.7.6.17: frames go along the normal."""
    data.DimensionOrganizationType = "3D"
    add_sequence(data, "DimensionOrganizationSequence", [encode_item(DimensionOrganizationUID=uid)])
    index = Dataset()
    index.DimensionOrganizationUID, index.DimensionDescriptionLabel = uid, "Image Position Patient"
    index.DimensionIndexPointer, index.FunctionalGroupPointer = (
        Tag("ImagePositionPatient"),
        Tag("PlanePositionSequence"),
    )
    data.DimensionIndexSequence = [index]


def _write_shared(stack: list[Slice], plane: Plane, label: str, span: tuple[float, float]) -> bytes:
    """What is the same for all frames (C.7.6.16.2); `span` is the lowest and the highest value."""
    low, high = span
    return encode_item(
        PixelMeasuresSequence=encode_item(PixelSpacing=list(plane.spacing), SliceThickness=_find_thickness(stack)),
        PlaneOrientationSequence=encode_item(ImageOrientationPatient=plane.orientation.tolist()),
        FrameAnatomySequence=encode_item(AnatomicRegionSequence=encode_code(codes.CHEST), FrameLaterality="U"),
        FrameVOILUTSequence=encode_item(WindowCenter=(low + high) / 2, WindowWidth=max(high - low, 1e-3)),
        PixelValueTransformationSequence=encode_item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US"),
        ParametricMapFrameTypeSequence=encode_item(FrameType=_TYPE),
        RealWorldValueMappingSequence=_describe_values(label, low, high),
    )


def _write_frames(stack: list[Slice], planes: list[Plane]) -> Iterator[bytes]:
    """Where each frame lies, and which slice it came from."""
    purpose, derivation = encode_code(codes.SOURCE_IMAGE), encode_code(codes.GRAD_CAM)
    for number, (each, plane) in enumerate(zip(stack, planes, strict=True), 1):
        source = content.reference(each.header.SOPClassUID, each.uid, PurposeOfReferenceCodeSequence=purpose)
        yield encode_item(
            FrameContentSequence=encode_item(DimensionIndexValues=number),
            PlanePositionSequence=encode_item(ImagePositionPatient=plane.position.tolist()),
            DerivationImageSequence=encode_item(DerivationCodeSequence=derivation, SourceImageSequence=source),
        )


def _describe_values(label: str, low: float, high: float) -> bytes:
    """The real world values are what is stored: sums of evidence without a unit, before any temperature."""
    quantity = encode_item(
        ValueType="CODE",
        ConceptNameCodeSequence=encode_code(codes.QUANTITY),
        ConceptCodeSequence=encode_code(codes.code_evidence(label)),
    )
    return encode_item(
        LUTLabel=label[:16],
        LUTExplanation=f"Evidence for {label}"[:64],
        MeasurementUnitsCodeSequence=encode_code(codes.NO_UNITS),
        QuantityDefinitionSequence=quantity,
        DoubleFloatRealWorldValueFirstValueMapped=low,
        DoubleFloatRealWorldValueLastValueMapped=high,
        RealWorldValueSlope=1.0,
        RealWorldValueIntercept=0.0,
    )


def _find_thickness(stack: list[Slice]) -> float:
    """Of the source where it says so; else the median distance of the slices; 1 mm for a single one."""
    stated = stack[0].header.get("SliceThickness")
    if stated:
        return float(stated)
    depths = [Plane.of(each.header).depth for each in stack]
    return float(np.median(np.diff(depths))) if len(depths) > 1 else 1.0
