"""The summary page: one file that loads nothing, in which a person sorts, filters and opens slices."""

import base64
import re

import pytest

from lungct import NOTICE
from lungct_tools.folder.rollup import RULE, add_up
from lungct_tools.folder.summary import build_summary
from lungct_tools.page.browser import find_chromium, open_browser
from tests.support.rows import CLASSES, make_row

EVIL = '"><script>document.title="taken"</script><img src=http://127.0.0.1:9/x>.png'
CONTRACT = {"classes": CLASSES, "refer_below": {"Normal": 2.0, "Benign": 0.9, "Malignant": 0.5}}
WIDTH = "return document.querySelector('dialog img').naturalWidth"
ROWS = [
    make_row("low.png", 0.05, "Normal", "refer", series="a"),
    make_row("middle.png", 0.5, "Malignant", series="a"),
    make_row("high.png", 0.9, "Malignant", series="a", warnings=["Slices lie <far> apart."]),
    make_row(EVIL, 0.7, "Malignant", series="b"),
    make_row("bad.png", error="corrupt_image", series="b"),
]


@pytest.fixture(scope="module")
def page(slices):
    """The page of ROWS, with a picture of high.png."""
    pictures = {ROWS[2]["sha256"]: slices[1]}
    return build_summary(add_up(ROWS, CLASSES, 10), CLASSES, pictures, {"engine": "<torch>"}, CONTRACT)


def test_the_page_carries_notice_rule_and_picture_and_loads_nothing(page, slices):
    assert NOTICE in page
    assert RULE in page
    assert base64.b64encode(slices[1]).decode() in page
    assert not re.search(r"""(?:src|href)=["']?(?!data:)\w""", re.sub("&lt;.*?&gt;", "", page))
    assert "default-src 'none'" in page
    assert "<script>document" not in page


def test_one_series_uid_in_two_studies_is_two_lines_that_tell_their_studies():
    rows = [make_row(f"{study}.dcm", study=study, series="one") for study in ("first", "second")]
    page = build_summary(add_up(rows, CLASSES, 10), CLASSES, {}, {}, CONTRACT)
    for study in ("first", "second"):
        assert re.search(rf"<td[^>]*>{study}</td><td[^>]*>one</td>", page)


@pytest.fixture(scope="module")
def opened(page, tmp_path_factory):
    """The page in Chromium, from its file."""
    if find_chromium() is None:
        pytest.skip("chromium and chromium-driver are not installed")
    folder = tmp_path_factory.mktemp("summary")
    (folder / "summary.html").write_text(page, encoding="utf-8")
    with open_browser(folder, deadline_s=120) as browser:
        browser.resize(1366, 900)
        browser.driver.get((folder / "summary.html").as_uri())
        yield browser


def test_a_class_that_the_model_never_reports_is_told_first_and_marked_wherever_it_stands(page):
    assert page.index("This model never reports Normal") < page.index("<table>")
    assert page.count('<td class="word">Normal<small>never reported</small></td>') == 2  # a slice, and its series
    assert "Normal (never reported), refer" in page
    assert "Malignant<small>" not in page


def list_files(browser, table=0):
    """First words of the lines that are shown, in order."""
    script = (
        "return [...document.querySelectorAll('table')[arguments[0]].tBodies[0].rows]"
        ".filter(row => !row.hidden).map(row => row.cells[0].textContent)"
    )
    return browser.driver.execute_script(script, table)


@pytest.mark.browser
def test_a_click_on_a_head_sorts_numbers_as_numbers(opened):
    by_share = ["high.png", EVIL, "middle.png", "low.png", "bad.png"]
    assert list_files(opened) == by_share
    for order in (by_share, by_share[::-1], by_share):
        opened.press("Malignant")
        assert list_files(opened) == order
    opened.press("file")
    assert list_files(opened) == sorted(by_share, reverse=True)


@pytest.mark.browser
def test_a_decision_is_chosen_and_a_slice_opened_with_its_map(opened):
    for value, files in (("refused", ["bad.png"]), ("refer", ["low.png"]), ("all", None)):
        opened.find(f"//input[@value='{value}']", value).click()
        assert files is None or list_files(opened) == files
    opened.press("high.png")
    dialog = opened.find("//dialog", "the slice")
    assert "Malignant 0.900" in dialog.text
    assert "Slices lie <far> apart." in dialog.text
    assert NOTICE in dialog.text
    opened.wait(lambda driver: driver.execute_script(WIDTH) == 512, "the map")
    opened.press("Close")
    opened.press("low.png")
    assert "There is no map to draw." in opened.find("//dialog", "the slice").text
    opened.press("Close")


@pytest.mark.browser
def test_a_name_is_text_whatever_it_holds_and_no_foreign_script_runs(opened):
    assert opened.driver.title == "Scored slices"
    opened.press("script")
    assert "<script>" in opened.find("//dialog", "the slice").text
    opened.press("Close")
    probe = "const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)"
    opened.driver.execute_script(probe)
    assert opened.driver.title == "Scored slices"
