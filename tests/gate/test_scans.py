"""Thickness and kernel of a scan: a slice is reported only where the model was judged on such scans."""

import io
import json
from dataclasses import replace

import pytest
import torch
from pydicom import dcmread

from lungct.engines.torch import TorchEngine
from lungct.gate.checks import OTHER_SCAN, UNKNOWN_SCAN, check_scan
from lungct.model import Judged
from lungct.pipeline import Pipeline
from lungct.settings import Settings
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.test_pipeline import score

JUDGED = Judged(2.5, 5.0, ("STANDARD", "B30f"))


@pytest.mark.parametrize(
    ("thickness_mm", "kernel", "warned"),
    [
        (2.5, "STANDARD", ()),
        (5.0, "B30f", ()),
        (1.25, "STANDARD", (OTHER_SCAN,)),
        (10.0, "STANDARD", (OTHER_SCAN,)),
        (2.5, "LUNG", (OTHER_SCAN,)),
        (None, "LUNG", (OTHER_SCAN,)),
        (1.25, "", (OTHER_SCAN,)),
        (3.0, "", (UNKNOWN_SCAN,)),
        (None, "STANDARD", (UNKNOWN_SCAN,)),
        (None, "", (UNKNOWN_SCAN,)),
    ],
)
def test_a_scan_is_of_a_kind_that_was_judged_or_of_another_or_does_not_say(thickness_mm, kernel, warned):
    assert check_scan(thickness_mm, kernel, JUDGED) == warned
    assert check_scan(thickness_mm, kernel, None) == (), "a folder that does not say on what it was judged"


@pytest.fixture
def lenient(folder):
    """A pipeline that reports every class at any confidence, drawn slices too, and was judged on JUDGED."""
    contract = replace(folder.contract, judged=JUDGED, refer_below=dict.fromkeys(folder.contract.classes, 0.0))
    changed = replace(folder, contract=contract, gate=folder.gate._replace(refer_above=1e9, refuse_above=1e9))
    return Pipeline(changed, TorchEngine(changed, torch.device("cpu")), Settings(), threads=1)


def describe_scan(body, thickness_mm, kernel):
    """A DICOM file with other words about how it was made."""
    data = dcmread(io.BytesIO(body))
    data.SliceThickness, data.ConvolutionKernel = thickness_mm, kernel
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def test_a_dicom_slice_of_another_thickness_or_kernel_is_referred_and_one_that_was_judged_is_not(lenient):
    body = encode_dicom(draw_slice(5, "spiculated"))
    for thickness, kernel, decision in ((3, "STANDARD", "report"), (0.625, "STANDARD", "refer"), (3, "BONE", "refer")):
        document = json.loads(score(lenient, describe_scan(body, thickness, kernel))[0].body)
        assert (document["decision"], OTHER_SCAN in document["warnings"]) == (decision, decision == "refer")
        assert UNKNOWN_SCAN not in document["warnings"]


def test_a_picture_is_told_that_its_thickness_and_kernel_are_not_known_and_may_be_reported(lenient, slices):
    document = json.loads(score(lenient, slices[0])[0].body)
    assert UNKNOWN_SCAN in document["warnings"]
    assert document["decision"] == "report"
