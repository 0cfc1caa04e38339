"""Headers of files from outside: checked, and read where a file can do no harm."""

import io
import os
import signal

import pytest
from pydicom import dcmread

from lungct_tools.folder.source import UnreadableError
from lungct_tools.pacs.headers import Headers
from lungct_tools.phantom.series import encode_slice
from tests.support.dicoms import HU, build_bomb, build_ct, save
from tests.support.series import draw_series


@pytest.fixture(scope="module")
def headers():
    with Headers() as found:
        yield found


def test_a_header_holds_what_results_need_and_no_more(headers):
    body = draw_series(1, InstitutionName="CLINIC")[0]
    header, source = headers.read(body), dcmread(io.BytesIO(body))
    assert header.SOPInstanceUID == source.SOPInstanceUID
    assert [float(v) for v in header.ImagePositionPatient] == [float(v) for v in source.ImagePositionPatient]
    assert str(header.PatientName) == str(source.PatientName)
    assert "InstitutionName" not in header
    assert "PixelData" not in header


def test_what_is_not_well_formed_counts_as_not_there(headers):
    broken = draw_series(1, StudyDate="yesterday", PatientID="x" * 65, StudyTime="noon", StudyID="a\nb")[0]
    header = headers.read(broken)
    assert not {"StudyDate", "PatientID", "StudyTime", "StudyID"} & {element.keyword for element in header}


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1." * 40, ""])
def test_a_file_whose_uid_is_none_is_refused(headers, uid):
    data = dcmread(io.BytesIO(draw_series(1)[0]))
    data.SeriesInstanceUID = uid
    with pytest.raises(UnreadableError) as refusal:
        headers.read(save(data))
    assert refusal.value.code == "unsupported_dicom"
    assert "SeriesInstanceUID" in str(refusal.value)


@pytest.mark.parametrize("body", [b"", b"hello", draw_series(1)[0][:400], build_ct()[:132]])
def test_what_is_no_whole_dicom_file_is_refused(headers, body):
    with pytest.raises(UnreadableError, match="send a DICOM CT slice"):
        headers.read(body)


def test_a_deflated_bomb_ends_its_reader_and_the_next_file_gets_another(headers):
    with pytest.raises(UnreadableError):
        headers.read(build_bomb(2**31))
    assert headers.read(draw_series(1)[0]).Rows == 256


def test_a_reader_that_was_killed_is_replaced(headers):
    headers.read(draw_series(1)[0])
    os.kill(headers._process.pid, signal.SIGKILL)
    headers._process.wait()
    with pytest.raises(UnreadableError):
        headers.read(draw_series(1)[0])
    assert headers.read(draw_series(1)[0]).Rows == 256


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", [0.7]),
        ("ImagePositionPatient", [1, 2]),
        ("ImageOrientationPatient", [1, 0, 0]),
        ("Rows", [1, 2]),
    ],
)
def test_a_value_with_too_few_or_too_many_numbers_counts_as_not_there(headers, keyword, value):
    assert keyword not in headers.read(encode_slice(HU, 0, "odd", **{keyword: value}))
