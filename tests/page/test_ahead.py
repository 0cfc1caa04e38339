"""The viewer in a real browser, ahead of Python: a step is its own, and the page follows."""

import statistics
import zipfile

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from lungct.window import LUNG
from lungct_client import Client
from lungct_tools.page.browser import find_chromium
from lungct_tools.page.examples import SLICES
from lungct_tools.page.picture import draw_overlay, make_map
from lungct_tools.page.study import OPTIONS, view
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.series import encode_slice
from tests.support.frame import Frame
from tests.support.seen import differ, find_upload, shrink

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
MANY = 300
PARTS = ("aside", "reading", "which", "legend", "keep")  # of the page, which tell of one slice
FADED = """
const {opacity, pointerEvents} = getComputedStyle(document.querySelector(`.st-key-${arguments[0]}`));
return [opacity, pointerEvents];
"""
# As if nobody had answered the viewer for so long that it asks again.
LATER = "const now = performance.now.bind(performance); performance.now = () => now() + 60_000"
# The viewer never hears of a slice: Streamlit's messages to it are kept away.
UNRENDERED = """
if (window !== top) addEventListener("message", (event) => {
  if (event.data?.type === "streamlit:render") event.stopImmediatePropagation();
}, true);
"""
# Python does not hear the first that the viewer says from now on.
DEAF = """
const say = parent.postMessage;
window.heard = 0;
parent.postMessage = (message, ...rest) => {
  if (message?.type !== "streamlit:setComponentValue" || heard++) say.call(parent, message, ...rest);
};
"""
ANSWER_FIRST = "send.call(parent, ...held.shift())"


@pytest.fixture
def pair(tmp_path, slices):
    """Two slices."""
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, body in zip(paths, slices, strict=False):
        path.write_bytes(body)
    return paths


def choose_way(frame):
    """Where there are more slices: how far a step goes, the viewer's key, the page's key and its button."""
    back = frame.at > SLICES / 2
    return (-1, Keys.ARROW_UP, "p", "Previous") if back else (1, Keys.ARROW_DOWN, "n", "Next")


def enter(frame, visit):
    """Put the focus into the viewer."""
    visit.driver.execute_script("document.querySelector('.stApp').focus()")
    frame.enter_by_tab()


def check_page_follows(frame, visit, at):
    """Once Python hears of it the page tells of slice `at`, and that is what is shown."""
    frame.follow()
    visit.settle()
    visit.read(f"Slice {at} of {SLICES}:")
    assert frame.at == at


def read_fading(visit):
    """Opacity and pointer-events of each part that tells of one slice."""
    return {tuple(visit.driver.execute_script(FADED, part)) for part in PARTS}


def test_a_slice_is_never_seen_with_the_map_or_the_answer_of_another_however_late_python_is(series, opened, server):
    first = series.at
    by, arrow, key, _ = choose_way(series)
    at = first + 2 * by
    enter(series, opened)
    with series.held():
        series.type(arrow)
        opened.type(key)
        series.reach(at)
        upload = find_upload(at)
        reply = Client(server).predict(upload.body, **OPTIONS)
        seen = view(upload, None, LUNG)
        drawn = make_map(reply["heatmap"], "Malignant", seen, Client(server).contract()["geometry"])
        decision = reply["decision"].capitalize()
        assert series.answer == f"{at} of {SLICES}. {decision}. {reply['label']} {reply['confidence']:.1%}"
        assert differ(series.look("original")[..., 0], shrink(seen.pixels, series)) < 6
        overlaid = draw_overlay(seen.pixels, drawn, "viridis", 0.45)
        assert differ(series.look("mapped"), shrink(overlaid, series)) < 6
        opened.settle()
        opened.read(f"Slice {first} of {SLICES}:")
        assert read_fading(opened) == {("0.2", "none")}
    series.follow()
    opened.read(f"Slice {at} of {SLICES}:")
    opened.read(f"Confidence {reply['confidence']:.1%}")
    assert read_fading(opened) == {("1", "auto")}
    assert series.at == at


@pytest.mark.parametrize("way", ["key", "button"])
def test_a_key_or_a_button_of_the_page_is_one_step_of_the_viewer_and_none_of_the_page(way, series, opened):
    first = series.at
    by, _, key, button = choose_way(series)
    with series.held() as asked:
        for number in (1, 2):
            opened.type(key) if way == "key" else opened.press(button)
            series.reach(first + number * by)
        opened.settle()
        opened.read(f"Slice {first} of {SLICES}:")  # of a step of its own it would tell
    assert set(asked) <= {first + by, first + 2 * by}
    check_page_follows(series, opened, first + 2 * by)


def test_of_quick_steps_python_is_asked_once_and_then_for_the_last(series, opened):
    first = series.at
    by, arrow, _, _ = choose_way(series)
    enter(series, opened)
    with series.held() as asked:
        series.type(arrow, arrow, arrow)
        series.reach(first + 3 * by)
    assert asked == [first + by]
    check_page_follows(series, opened, first + 3 * by)


def test_an_answer_that_is_so_late_that_another_slice_was_asked_for_calls_nobody_back(series, opened):
    first = series.at
    by, arrow, _, _ = choose_way(series)
    enter(series, opened)
    with series.held() as asked:
        series.type(arrow)
        series.reach(first + by)
        series.run(LATER)
        series.type(arrow)
        series.reach(first + 2 * by)
        series.run(ANSWER_FIRST)
        opened.read(f"Slice {first + by} of {SLICES}:")
        opened.settle()
        assert series.at == first + 2 * by
        assert read_fading(opened) == {("0.2", "none")}
    assert asked == [first + 2 * by]
    check_page_follows(series, opened, first + 2 * by)


def test_what_is_chosen_on_the_page_counts_though_the_viewer_is_elsewhere(series, opened):
    with series.held():
        series.turn(100 if series.at < SLICES else -100)
        opened.slide("Slice", -SLICES)
        series.reach(1)
    series.follow()
    opened.settle()
    assert series.at == int(series.answer.split()[0])
    opened.read(f"Slice {series.at} of {SLICES}:")


def test_of_300_dicom_slices_the_next_is_shown_as_soon_as_it_is_there(visit, tmp_path, record_property):
    drawn = [draw_slice(number, "spiculated", 256) for number in range(3)]
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for number in range(MANY):
            body = encode_slice(np.roll(drawn[number % 3], number, 1), number, "many")
            archive.writestr(f"scan/{number}.dcm", body)
    visit.upload([tmp_path / "scan.zip"])
    visit.press("Analyze")
    visit.read(f"of {MANY}:")
    visit.settle()
    frame = Frame(visit)
    step = 100 if frame.at < MANY / 2 else -100
    times = []
    for _ in range(9):
        frame.follow()
        visit.settle()
        times.append(frame.time_turn(step))
    record_property("milliseconds", [round(each) for each in times])
    assert statistics.median(times) <= 100


def test_a_key_that_comes_before_the_viewer_has_a_slice_is_a_step_of_the_page(visit, pair):
    driver = visit.driver
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": UNRENDERED})
    try:
        visit.upload(pair)
        visit.press("Analyze")
        visit.read("of 2:")
        frame = visit.find("//iframe[contains(@title, 'lightbox')]", "viewer")

        def is_open(driver):
            driver.switch_to.frame(frame)
            found = driver.execute_script("return document.getElementById('viewer')?.hidden === false")
            driver.switch_to.default_content()
            return found

        visit.wait(is_open, "a viewer that waits for its first slice")
        first = 1 if "Slice 1 of 2:" in driver.find_element("tag name", "body").text else 2
        visit.type("n" if first == 1 else "p")
        visit.read(f"Slice {3 - first} of 2:")
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_wish_that_nobody_hears_is_told_again(series, opened):
    first = series.at
    by, _, key, _ = choose_way(series)
    series.run(DEAF)
    opened.type(key)
    series.reach(first + by)
    check_page_follows(series, opened, first + by)
    assert series.run("return heard") > 1
