"""Page and summary for everybody: what axe-core finds, fingers instead of a mouse, screens of finer pixels."""

import io
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from lungct.window import LUNG
from lungct_tools.folder.rollup import add_up
from lungct_tools.folder.summary import build_summary
from lungct_tools.page.browser import find_chromium
from lungct_tools.page.examples import SERIES, SLICES
from lungct_tools.page.study import view
from lungct_tools.page.uploads import Upload
from tests.support.axe import find_faults
from tests.support.frame import Frame
from tests.support.pictures import encode
from tests.support.rows import CLASSES, make_row

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
SIZES = ((1366, 900), (820, 1100))
# Streamlit's own, by rule and test id; nothing of ours reaches it. The place where files are dropped is "presentation"
# and has a name all the same, so that it is read out twice.
STREAMLITS = [("presentation-role-conflict", 'data-testid="stFileUploaderDropzone"')]
COLOURED = 'return getComputedStyle(document.querySelector(".stApp")).colorScheme === arguments[0]'


@pytest.fixture(scope="module")
def axe(front):
    """Text of axe-core."""
    return (front / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def look_over(visit, axe):
    """Faults of what the page shows in both themes and at both widths, but for Streamlit's."""
    found = set()
    for theme, size in product(("light", "dark"), SIZES):
        visit.prefer(theme)
        visit.resize(*size)
        visit.wait(lambda driver, theme=theme: driver.execute_script(COLOURED, theme), f"the {theme} theme")
        if visit.driver.find_elements("tag name", "iframe"):
            Frame(visit).wait_for("className", lambda name, theme=theme: (name == "dark") == (theme == "dark"))
        visit.settle()
        found |= find_faults(visit, axe)
    return {each for each in found if not any(each[0] == rule and part in each[2] for rule, part in STREAMLITS)}


def test_axe_finds_no_fault_on_the_empty_page(visit, axe):
    assert look_over(visit, axe) == set()


def test_axe_finds_no_fault_where_one_slice_is_shown_and_where_one_is_refused(visit, axe, slices, tmp_path):
    (tmp_path / "one.png").write_bytes(slices[0])
    (tmp_path / "white.png").write_bytes(encode(np.full((64, 64), 255, np.uint8), "PNG"))
    visit.upload([tmp_path / "one.png"])
    visit.press("Analyze")
    visit.read("Confidence")
    assert look_over(visit, axe) == set()
    visit.unfold("Files")
    visit.upload([tmp_path / "white.png"])
    visit.press("Analyze")
    visit.read("of 2:")
    visit.press("Next")
    visit.read("was refused")
    assert look_over(visit, axe) == set()


def test_axe_finds_no_fault_on_a_series_with_all_that_folds_away_open(visit, axe):
    visit.press(SERIES)
    visit.read(f"of {SLICES}:")
    visit.settle()
    for fold in ("Files", "About this model", "as a table", "The rule"):  # the last is above the screen by then
        visit.unfold(fold)
    visit.find("//canvas", "the table")
    visit.press("Malignant", "map_of")
    visit.read("high importance for Malignant")
    assert look_over(visit, axe) == set()


def test_axe_finds_no_fault_on_the_summary(browser, axe, slices, tmp_path):
    rows = [
        make_row("low.png", 0.05, "Normal", "refer", series="a"),
        make_row("high.png", 0.9, "Malignant", series="a", warnings=["Slices lie far apart."]),
        make_row("bad.png", error="corrupt_image", series="b"),
    ]
    contract = {"classes": CLASSES, "refer_below": {"Normal": 2.0, "Benign": 0.9, "Malignant": 0.5}}
    page = build_summary(add_up(rows, CLASSES, 10), CLASSES, {rows[1]["sha256"]: slices[1]}, {"engine": "x"}, contract)
    (tmp_path / "summary.html").write_text(page, encoding="utf-8")
    browser.driver.get((tmp_path / "summary.html").as_uri())
    for size in SIZES:
        browser.resize(*size)
        assert find_faults(browser, axe) == set()
    browser.press("high.png")
    assert find_faults(browser, axe) == set()


@pytest.fixture
def fingers(visit):
    """The drawn series on a screen that is touched."""
    visit.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        visit.press(SERIES)
        visit.read(f"of {SLICES}:")
        visit.settle()
        frame = Frame(visit)
        visit.wait(lambda _: "HU" in frame.state, "the window")
        yield frame
    finally:
        visit.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_one_finger_changes_the_window_two_zoom_and_move_and_buttons_are_large_enough(fingers, visit):
    state, before = fingers.state, fingers.look("original")
    fingers.touch([(0, 0)], [(30, 15)], [(60, 30)])
    visit.wait(lambda _: fingers.state.split("HU")[0] != state.split("HU")[0], "another window")
    assert "Zoom 100 %" in fingers.state
    fingers.press("reset")
    fingers.touch([(-20, 0), (20, 0)], [(-30, 0), (30, 0)], [(-40, 0), (40, 0)])
    visit.wait(lambda _: int(fingers.state.split()[-2]) > 120, "a larger slice")
    assert fingers.state.split("HU")[0] == state.split("HU")[0]
    fingers.press("reset")
    fingers.touch([(-20, 0), (20, 0)], [(0, 15), (40, 15)], [(20, 30), (60, 30)])
    assert "Zoom 100 %" in fingers.state
    grays = (each[..., 0].astype(np.float32) for each in (before, fingers.look("original")))
    (right, down), _ = cv2.phaseCorrelate(*grays)
    assert (right, down) == pytest.approx((20, 15), abs=2)  # cornerstone takes no notice of the first step
    for name in ("map", "in", "wider", "reset"):
        assert min(fingers.place(name)[2:]) >= 44


def test_a_screen_of_finer_pixels_shows_the_slice_as_sharp_as_it_is(visit, slices, tmp_path):
    (tmp_path / "one.png").write_bytes(slices[0])
    visit.resize(820, 1100, 2)
    visit.upload([tmp_path / "one.png"])
    visit.press("Analyze")
    visit.read("no window to change")
    visit.settle()
    frame = Frame(visit)
    frame.look("original")  # which waits until it is drawn
    left, top, side, _ = (2 * round(each) for each in frame.place("original"))
    with Image.open(io.BytesIO(visit.driver.get_screenshot_as_png())) as screen:
        shown = np.asarray(screen.convert("L").crop((left, top, left + side, top + side)), np.float32)
    pixels = view(Upload("one.png", slices[0]), None, LUNG).pixels
    half = cv2.resize(pixels, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    free = slice(side // 8, side * 3 // 4)  # below the answer, above the caption
    sharp, soft = (
        np.abs(shown - cv2.resize(each, (side, side), interpolation=how))[free].mean()
        for each, how in ((pixels, cv2.INTER_LINEAR), (half, cv2.INTER_NEAREST))
    )
    assert sharp < soft / 2
