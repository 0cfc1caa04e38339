"""Small files that an earlier version got wrong: all show one phantom, so the right value is the phantom itself."""

import json

import numpy as np
import pytest

from lungct.pipeline import Job
from lungct.window import LUNG
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.dicoms import read, refusal

SHOWN = {  # rows and columns of those that are read
    "RLE-BOT-per-fragment.dcm": 512,
    "jpegls-one-zero-byte-before-EOI.dcm": 256,
    "overlay-in-high-bits-12of16-codestream16-J2K.dcm": 256,
    "sign-not-extended-12of16-codestream16-JPEG-LS.dcm": 256,
}
NOT_SQUARE = "anisotropic-spacing-230x256-normal-becomes-malignant.dcm"
NOT_AXIAL = "no-IOP-PatientOrientation-coronal.dcm"
# Looked at in tests/folder/test_cases.py and tests/exchange/test_oip.py.
ELSEWHERE = {
    "README.md",
    "folder-with-copies-of-one-slice",
    "list-with-UTF8-BOM.txt",
    "oip-shape-1-1-nested.json",
    "series-uid-in-two-studies",
    "zip-backslash-folders.zip",
}


def draw(size):
    return draw_slice(5, "smooth", size)


def test_every_case_has_a_test(cases):
    assert {path.name for path in cases.iterdir()} == {*SHOWN, NOT_SQUARE, NOT_AXIAL, *ELSEWHERE}


@pytest.mark.parametrize("name", SHOWN)
def test_a_file_gives_the_phantom_that_was_written_into_it(name, cases):
    assert np.array_equal(read((cases / name).read_bytes()).pixels, LUNG.render(draw(SHOWN[name])))


def test_pixels_that_are_not_square_get_the_answer_of_square_ones(cases, pipeline):
    bodies = (cases / NOT_SQUARE).read_bytes(), encode_dicom(draw(256))
    replies = pipeline.score([Job({"body": body}, {}) for body in bodies]).replies
    found, square = (json.loads(reply.body) for reply in replies)
    assert found["input"]["rule"] == "model window, resampled"
    assert (found["input"]["rows"], found["input"]["columns"], found["input"]["resampled"]) == (230, 256, [256, 256])
    assert (found["label"], found["decision"]) == (square["label"], square["decision"])
    assert list(found["probabilities"].values()) == pytest.approx(list(square["probabilities"].values()), abs=0.05)


def test_a_slice_whose_patient_orientation_is_coronal_is_refused(cases):
    error = refusal((cases / NOT_AXIAL).read_bytes())
    assert (error.code, "axial" in error.message) == ("unsupported_dicom", True)
