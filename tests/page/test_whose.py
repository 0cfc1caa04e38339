"""Whose answer the page shows: results hang on what a file holds, never on its name."""

import hashlib

from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.visit import press, said, upload


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


def test_a_series_has_the_verdict_of_a_scored_folder_and_tells_its_copies(page, slices):
    copies = [(f"copy{number}.png", slices[0]) for number in range(2)]
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices)), *copies, ("bad.txt", b"junk"))
    assert "4 of 5 slices scored" in said(page)
    assert "2 copies" in said(page)
    page.file_uploader[0].clear()
    upload(page, ("slice.png", slices[0]), ("bad.txt", b"junk"))
    assert all(words in said(page) for words in ("Not assessable, refer", "1 of 2 slices scored"))
