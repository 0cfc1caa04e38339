"""Small files that an earlier version got wrong: all show one phantom, so the right value is the phantom itself."""

import json

import numpy as np
import pytest

from lungct.model import to_input
from lungct.pipeline import Job
from lungct.window import LUNG
from lungct_tools.phantom.anatomy import draw_slice
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


def test_pixels_that_are_not_square_are_shown_to_the_network_as_square_ones_are(cases, pipeline):
    """Up to what resampling blurs; before, nothing lay where it lies in the square original."""
    body = (cases / NOT_SQUARE).read_bytes()
    found, square = read(body), LUNG.render(draw(256))
    shown, wanted = (
        to_input(pixels, 224, "pad", LUNG.air, aspect).astype(int)
        for pixels, aspect in ((found.pixels, found.aspect), (square, 1.0))
    )
    stretched = to_input(found.pixels, 224, "pad", LUNG.air).astype(int)
    assert np.abs(shown - wanted).mean() < 2 < 10 < np.abs(stretched - wanted).mean()
    told = json.loads(pipeline.score([Job({"body": body}, {})]).replies[0].body)["input"]
    assert (told["rule"], told["resampled"]) == ("model window, resampled", [256, 256])
    assert (told["rows"], told["columns"]) == (230, 256)


def test_a_slice_whose_patient_orientation_is_coronal_is_refused(cases):
    error = refusal((cases / NOT_AXIAL).read_bytes())
    assert (error.code, "axial" in error.message) == ("unsupported_dicom", True)
