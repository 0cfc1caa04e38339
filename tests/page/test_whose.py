"""Whose answer the page shows: results hang on what a file holds, never on its name."""

import hashlib

from lungct_tools.folder.rollup import RULE
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from lungct_tools.phantom.series import draw_volume
from tests.support.visit import press, said, upload
from tests.support.zips import pack


def test_results_of_other_files_are_not_mistaken_for_those_of_new_ones(page, slices):
    upload(page, ("one.png", slices[0]))
    assert "have changed" not in said(page)
    page.file_uploader[0].upload("two.png", slices[1])
    page.run()
    assert "The files above have changed" in said(page)
    press(page, "Analyze")
    assert "have changed" not in said(page)


def test_the_next_patients_slice_of_the_same_name_does_not_get_the_last_ones_answer(page, slices):
    upload(page, ("IM0001", slices[0]))
    page.file_uploader[0].clear()
    page.file_uploader[0].upload("IM0001", slices[1])
    page.run()
    assert "The files above have changed" in said(page)
    assert "Confidence" not in said(page)
    page.file_uploader[0].clear()
    page.file_uploader[0].upload("IM0001", slices[0])
    page.run()
    assert "Confidence" in said(page)  # the same slice again has its answer at once
    page.file_uploader[0].clear()
    page.run()
    assert "Confidence" not in said(page)


def test_two_uploads_of_one_name_are_told_apart(page, slices):
    upload(page, ("IM0001", slices[0]), ("IM0001", slices[1]))
    marks = [hashlib.sha256(body).hexdigest()[:8] for body in slices[:2]]
    assert sorted(page.dataframe[0].value["file"]) == sorted(f"IM0001 ({mark})" for mark in marks)


def test_the_header_of_the_next_patient_is_not_shown_because_the_last_ones_was(page, dicom):
    upload(page, ("slice", dicom))
    page.toggle(key="tags").set_value(True).run()
    page.file_uploader[0].clear()
    upload(page, ("slice", encode_dicom(draw_slice(4, "none", 256))))
    assert not page.toggle(key="tags").value
    assert not page.dataframe


def test_the_next_patient_is_not_read_by_what_was_said_of_the_last(page, slices):
    upload(page, ("IM0001", slices[0]))
    page.segmented_control(key="reading").set_value("Malignant").run()
    page.file_uploader[0].clear()
    upload(page, ("IM0001", slices[1]))
    assert page.segmented_control(key="reading").value is None
    assert "slices read" not in said(page)


def test_a_series_has_the_verdict_of_a_scored_folder_and_tells_its_copies(page, slices):
    members = [(f"scan/slice{number}.png", body) for number, body in enumerate(slices)]
    members += [(f"scan/copy{number}.png", slices[0]) for number in range(2)] + [("scan/bad.txt", b"junk")]
    upload(page, ("scan.zip", pack(*members)))
    for words in ("4 of 5 slices scored", "2 copies", "Refused: unsupported_format (1).", RULE):
        assert words in said(page)
    assert len(page.get("vega_lite_chart")) == 1
    page.file_uploader[0].clear()
    upload(page, ("scan.zip", pack(("slice.png", slices[0]), ("bad.txt", b"junk"))))
    assert all(words in said(page) for words in ("Refer, not assessable", "1 of 2 slices scored"))


def test_pictures_that_were_chosen_one_by_one_are_a_table_without_verdict_or_curve(page, slices):
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices)), ("copy.png", slices[0]))
    text = said(page)
    assert "No series.</b> 4 of 4 slices scored, 4 referred, 1 copies." in text
    assert "no verdict on all, and no curve" in text
    assert RULE not in text
    assert not page.get("vega_lite_chart")
    assert len(page.dataframe[0].value) == 5


def test_a_dicom_series_is_one_even_if_its_files_were_chosen_one_by_one(page):
    upload(page, *((f"IM{number}", body) for number, body in enumerate(draw_volume(3, size=256))))
    assert "3 of 3 slices scored" in said(page)
    assert len(page.get("vega_lite_chart")) == 1
