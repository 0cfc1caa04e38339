"""Many files, ZIPs and names: what becomes of all that a person chose."""

import io
import zipfile

from lungct_client import ServerDown
from tests.support.visit import press, said, upload

DOWN = {"live": False, "ready": False, "reason": "No server", "workers": []}


def test_many_files_become_a_table_and_the_most_suspicious_slice_is_shown_first(page, desk, slices):
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices, 1)), ("bad.txt", b"junk"))
    table = page.dataframe[0].value
    assert list(table["file"]) == ["bad.txt", "slice1.png", "slice2.png", "slice3.png", "slice4.png"]
    assert list(table["decision"])[0] == "refused"
    shares = [desk.predict(body)["probabilities"]["Malignant"] for body in slices]
    assert page.slider(key="at").value == shares.index(max(shares)) + 2
    page.slider(key="at").set_value(2).run()
    assert "slice1.png" in said(page)
    press(page, "Next")
    assert page.slider(key="at").value == 3


def test_a_zip_is_unpacked_and_counted(page, slices):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, body in enumerate(slices[:3]):
            archive.writestr(f"scan/{number}.png", body)
        archive.writestr("__MACOSX/._0.png", b"noise")
    upload(page, ("scan.zip", stream.getvalue()))
    assert list(page.dataframe[0].value["file"]) == ["scan/0.png", "scan/1.png", "scan/2.png"]


def test_a_zip_that_cannot_be_read_is_told_though_there_is_nothing_else_to_show(page):
    upload(page, ("scan.zip", b"PK\x03\x04"))
    assert "scan.zip" in said(page)
    assert "pack it again" in said(page)
    assert not page.dataframe


def test_what_was_left_out_is_told_when_the_server_fails_too(page, desk, slices):
    desk.failure = ServerDown("no")
    upload(page, ("scan.zip", b"PK\x03\x04"), ("one.png", slices[0]))
    assert "make serve" in page.error[0].value
    assert "pack it again" in said(page)


def test_a_file_name_that_markdown_would_fetch_a_picture_for_stays_text(page, slices):
    names = ["![x](http://tracker.example/1.png)", "![x](http://tracker.example/2.png)"]
    upload(page, (names[0], slices[0]), (names[1], b"junk"))
    assert list(page.dataframe[0].value["file"]) == names
    for number in (1, 2):
        page.slider(key="at").set_value(number).run()
        assert f"tracker.example/{number}" in said(page)
        assert "![" not in said(page)


def test_what_was_uploaded_is_held_once(page, slices):
    upload(page, ("one.png", slices[0]))
    (finding,) = page.session_state["study"].findings
    assert finding.upload.body is page.session_state["files"][0].getvalue()
