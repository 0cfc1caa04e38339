"""The map: each cell lies on the pixels that it was computed from, and holds what the server replied."""

from dataclasses import replace

import numpy as np
import pytest
from highdicom.pm import ParametricMap

from lungct.model.preprocess import place
from lungct_tools.dicomout.assessment import Slice
from lungct_tools.dicomout.evidence import build_map
from tests.dicomout.conftest import score_slices
from tests.support.built import build
from tests.support.series import AXIAL, MIRRORED, OBLIQUE, STEP_MM, draw_series, name_copy

SERIES = {
    "axial": draw_series(3, AXIAL, name="axial"),
    "oblique": draw_series(3, OBLIQUE, name="oblique"),
    "mirrored": draw_series(3, MIRRORED, name="mirrored"),
    "wide": draw_series(3, AXIAL, rows=200, name="wide"),
    "oblong": draw_series(3, AXIAL, rows=200, name="oblong", PixelSpacing="1.68\\1.4"),
}


def to_patient(position, orientation, spacing):
    """(4, 4) from column, row, 0, 1 to mm: equation C.7.6.2.1-1 of PS3.3."""
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(orientation[:3], float) * float(spacing[1])
    matrix[:3, 1] = np.array(orientation[3:], float) * float(spacing[0])
    matrix[:3, 2] = np.cross(orientation[:3], orientation[3:])
    matrix[:3, 3] = position
    return matrix


def matrix_of_frame(data, number):
    shared = data.SharedFunctionalGroupsSequence[0]
    frame = data.PerFrameFunctionalGroupsSequence[number]
    return to_patient(
        frame.PlanePositionSequence[0].ImagePositionPatient,
        shared.PlaneOrientationSequence[0].ImageOrientationPatient,
        shared.PixelMeasuresSequence[0].PixelSpacing,
    )


def name_sources(data):
    """The SOP instance UID of the slice that each frame came from."""
    return [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in data.PerFrameFunctionalGroupsSequence
    ]


@pytest.mark.parametrize("name", SERIES)
def test_each_pixel_of_a_slice_lies_in_the_cell_that_the_network_saw_it_in(assess, name):
    assessment = assess(SERIES[name])
    data = build_map(assessment)
    headers = {each.uid: each.header for each in assessment.slices}
    for number, uid in enumerate(name_sources(data)):
        header = headers[uid]
        rows, columns = header.Rows, header.Columns
        pixels = to_patient(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing)
        r, c = np.mgrid[:rows, :columns]
        points = pixels @ np.stack([c.ravel(), r.ravel(), np.zeros(r.size), np.ones(r.size)])
        found = np.linalg.inv(matrix_of_frame(data, number)) @ points
        spot = place(rows, columns, "pad", header.PixelSpacing[0] / header.PixelSpacing[1])
        expected = [
            (c.ravel() + spot.left + 0.5) * 7 / spot.canvas_columns,
            (r.ravel() + spot.top + 0.5) * 7 / spot.canvas_rows,
        ]
        assert np.abs(found[:2] + 0.5 - expected).max() < 1e-4
        assert np.abs(found[2]).max() < 1e-4


@pytest.mark.parametrize("name", SERIES)
def test_a_cell_holds_the_servers_own_number(assess, pipeline, name):
    assessment = assess(SERIES[name])
    label = assessment.rollup["label"]
    data = build_map(assessment)
    replies = score_slices(pipeline, SERIES[name])[1]
    grids = {e.uid: r["heatmap"]["grids"][label] for e, r in zip(assessment.slices, replies, strict=True)}
    stored = np.frombuffer(data.FloatPixelData, "<f4").reshape(3, 7, 7)
    assert np.array_equal(stored, np.array([grids[uid] for uid in name_sources(data)], np.float32))


@pytest.mark.parametrize("name", ["oblique", "mirrored"])
@pytest.mark.parametrize("step", [1, -1])
def test_frames_go_along_the_normal_whatever_the_order_of_arrival(assess, name, step):
    """Not against it: OHIF 3.12 lays the first frame over the first slice so sorted, whatever place the map tells."""
    data = build_map(assess(SERIES[name][::step]))
    matrices = [matrix_of_frame(data, number) for number in range(3)]
    depths = [matrix[:3, 3] @ matrix[:3, 2] for matrix in matrices]
    assert np.allclose(np.diff(depths), STEP_MM, atol=1e-5)
    indices = [frame.FrameContentSequence[0].DimensionIndexValues for frame in data.PerFrameFunctionalGroupsSequence]
    assert indices == [1, 2, 3]


def test_every_frame_names_the_slice_that_it_came_from(assess):
    assessment = assess(SERIES["mirrored"])
    assert sorted(name_sources(build_map(assessment))) == sorted(each.uid for each in assessment.slices)


@pytest.mark.parametrize("name", ["axial", "wide", "oblong"])
def test_the_full_map_has_the_raster_of_the_slices(assess, name):
    assessment = assess(SERIES[name])
    small, full = build_map(assessment), build_map(assessment, "full")
    header = assessment.slices[0].header
    assert (full.Rows, full.Columns) == (header.Rows, header.Columns)
    header = next(each.header for each in assessment.slices if each.uid == name_sources(full)[0])
    expected = to_patient(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing)
    assert np.allclose(matrix_of_frame(full, 0), expected, atol=1e-6)
    assert full.SOPInstanceUID != small.SOPInstanceUID
    # In the middle of a cell the drawn map has the cell's own value; halfway between pixels it is off by less.
    grid = np.frombuffer(small.FloatPixelData, "<f4").reshape(-1, 7, 7)[0]
    drawn = np.frombuffer(full.FloatPixelData, "<f4").reshape(-1, header.Rows, header.Columns)[0]
    spot = place(header.Rows, header.Columns, "pad", header.PixelSpacing[0] / header.PixelSpacing[1])
    high, side = spot.canvas_rows / 7, spot.canvas_columns / 7
    at = [(int(high * (i + 0.5)) - spot.top, int(side * (i + 0.5)) - spot.left) for i in (2, 3, 4)]
    steps = np.abs(np.diff(grid, axis=0)).max() + np.abs(np.diff(grid, axis=1)).max()
    assert all(abs(drawn[r, c] - grid[i, i]) <= steps / high for (r, c), i in zip(at, (2, 3, 4), strict=True))


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("size", ["small", "full"])
def test_highdicom_reads_places_and_values_as_a_volume(assess, name, size):
    data = build(assess(SERIES[name]), {}, size)[1]
    volume = ParametricMap.from_dataset(data).get_volume()
    stored = np.frombuffer(data.FloatPixelData, "<f4").reshape(3, data.Rows, data.Columns)
    assert np.allclose(volume.array[::-1], stored, atol=1e-5)  # it has the highest slice first
    assert np.allclose(volume.position, matrix_of_frame(data, 2)[:3, 3], atol=1e-5)


def test_slices_of_another_raster_stay_out_of_the_map_and_in_the_report(assess):
    odd = draw_series(4, AXIAL, rows=240, name="axial")[3:]
    data = build_map(assess((*SERIES["axial"], *odd)))
    assert data.NumberOfFrames == 3


@pytest.mark.parametrize("size", ["small", "full"])
def test_a_slice_of_which_nothing_is_said_has_a_frame_of_padding_and_moves_no_other(assess, size):
    """OHIF 3.12 counts frames and ignores their places: without one, those after it would lie over their neighbours."""
    whole = assess(SERIES["oblique"])
    whole = replace(whole, rollup=whole.rollup | {"label": "Malignant"})
    first, refused, last = whole.slices
    none = Slice(refused.header, {"file": "1.dcm", "error": "corrupt_image", "message": "No pixels."})
    data, unpadded = (build_map(each, size) for each in (replace(whole, slices=[first, none, last]), whole))
    stored, expected = (
        np.frombuffer(each.FloatPixelData, "<f4").reshape(3, each.Rows, each.Columns) for each in (data, unpadded)
    )
    assert name_sources(data) == name_sources(unpadded)
    assert np.array_equal(stored[[0, 2]], expected[[0, 2]])
    assert (stored[1] == data.FloatPixelPaddingValue).all()
    assert stored[[0, 2]].min() > data.FloatPixelPaddingValue
    values = data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert values.DoubleFloatRealWorldValueFirstValueMapped == stored[[0, 2]].min()
    assert "FloatPixelPaddingValue" not in unpadded
    assert np.allclose(matrix_of_frame(data, 1), matrix_of_frame(unpadded, 1))


def test_copies_have_no_frame_of_their_own_and_the_one_that_counts_is_shown(assess):
    copies = [name_copy(body, 1) for body in SERIES["axial"]]
    assert build_map(assess((*SERIES["axial"], *copies))).NumberOfFrames == 3


def test_units_class_and_region_are_coded(assess):
    shared = build_map(assess(SERIES["axial"])).SharedFunctionalGroupsSequence[0]
    values = shared.RealWorldValueMappingSequence[0]
    assert values.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert values.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning.startswith("Signed evidence for")
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeValue == "816094009"
