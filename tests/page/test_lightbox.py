"""The viewer in a real browser: what hands do is done there, and the page follows."""

import statistics
import zipfile

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from lungct.window import LUNG, Window
from lungct_client import Client
from lungct_tools.page.browser import find_chromium, open_browser
from lungct_tools.page.examples import PICTURE, SERIES, SLICES, draw_example
from lungct_tools.page.picture import draw_overlay, make_map
from lungct_tools.page.study import OPTIONS, view
from lungct_tools.page.uploads import Upload
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.series import encode_slice
from tests.support.frame import Frame
from tests.support.pictures import encode

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
MANY = 300
FIRST = f"Window {LUNG.center}, {LUNG.width} HU. Zoom 100 %"
ANSWERS = "addEventListener('message', e => { if (e.data?.type === 'streamlit:setComponentValue') window.answers++; })"
REQUESTS = "return performance.getEntriesByType('resource').map(each => each.name)"
FADED = """
const {opacity, pointerEvents} = getComputedStyle(document.querySelector(`.st-key-${arguments[0]}`));
return [opacity, pointerEvents];
"""
FETCH = "fetch('/').then(() => arguments[0](true), () => arguments[0](false))"


@pytest.fixture(scope="module")
def opened(url, tmp_path_factory):
    """A browser of its own on the drawn series."""
    with open_browser(tmp_path_factory.mktemp("downloads"), deadline_s=90) as browser:
        browser.resize(1366, 900)
        browser.driver.get(url)
        browser.press(SERIES)
        browser.read(f"of {SLICES}:")
        browser.press("Malignant", "map_of")
        browser.read("high importance for Malignant")
        browser.settle()
        yield browser


@pytest.fixture
def series(opened):
    """The viewer on the drawn series, as it was at first, the map on it."""
    opened.press("As the model", "view")
    frame = Frame(opened)
    frame.press("reset")
    opened.wait(lambda _: frame.state == FIRST, "the model's window")  # Python's answer may come after the reset
    if frame.run("return document.getElementById('map').getAttribute('aria-pressed')") == "false":
        frame.press("map")
    frame.follow()
    return frame


def find_upload(at):
    """The drawn series' slice number `at`."""
    return next(each for each in draw_example(SERIES) if each.name.endswith(f"/{at}.dcm"))


def results_of(visit):
    """All that the page says of the slice."""
    return visit.driver.find_element("class name", "ls-bars").text, visit.driver.find_element(
        "class name", "ls-class"
    ).text


def shrink(pixels, frame):
    """A picture of the slice as a pane shows it: (H, W) or (H, W, 3), fitted into the middle."""
    pane = frame.look("original")
    return cv2.resize(pixels, pane.shape[1::-1], interpolation=cv2.INTER_AREA)


def differ(one, other):
    """How far two pictures differ in blocks of 12 x 12 pixels, at most."""
    small = [cv2.resize(each.astype(np.float32), (one.shape[1] // 12, one.shape[0] // 12), interpolation=cv2.INTER_AREA)
             for each in (one, other)]  # fmt: skip
    return np.abs(small[0] - small[1]).max()


def test_the_wheel_goes_to_the_next_slice_and_zoom_and_window_stay(series, opened):
    first = series.at
    step = -1 if first == SLICES else 1
    series.press("in")
    series.press("wider")
    state = series.state
    assert "Zoom 125 %" in state
    series.turn(100 * step)
    series.reach(first + step)
    opened.read(f"Slice {first + step} of {SLICES}:")
    assert series.state == state
    series.turn(-100 * step)
    series.reach(first)
    opened.press("Previous" if first == SLICES else "Next")  # the page's own way to the next slice
    series.reach(first + step)
    series.turn(-100 * step)  # to the slice that was asked for before
    series.reach(first)


def test_a_drag_changes_the_window_of_a_dicom_slice_in_both_panes_and_no_result(series, opened):
    results, before, state = results_of(opened), series.look("original"), series.state
    assert f"Window {LUNG.center}, {LUNG.width} HU" in state
    opened.read("no result changes")
    series.drag(60, 30)
    assert series.state.split("HU")[0] != state.split("HU")[0]
    assert "Zoom 100 %" in series.state
    after = series.look("original")
    assert (after != before).mean() > 0.2
    series.press("map")
    assert (series.look("mapped") == after).all()
    assert results_of(opened) == results
    series.press("reset")
    assert series.state == state
    assert (series.look("original") == before).all()


def test_a_drag_moves_a_picture_whose_gray_levels_are_finished(visit):
    visit.press(PICTURE)
    visit.read("no window to change")
    frame = Frame(visit)
    before = frame.look("original")
    frame.drag(48, 36)
    after = frame.look("original")
    assert differ(after[36:, 48:], before[:-36, :-48]) < 4
    assert frame.state == "Zoom 100 %"
    frame.press("reset")
    assert (frame.look("original") == before).all()


def test_the_map_comes_and_goes_without_asking_python(series, opened):
    opened.driver.execute_script(f"window.answers = 0; {ANSWERS}")
    opened.wait(lambda _: (series.look("mapped") != series.look("original")).mean() > 0.3, "the map")
    mapped = series.look("mapped")
    series.press("map")
    assert (series.look("mapped") == series.look("original")).all()
    series.press("map")
    assert (series.look("mapped") == mapped).all()
    assert opened.driver.execute_script("return window.answers") == 0


def test_the_keyboard_alone_is_enough(series, opened):
    opened.driver.execute_script("document.querySelector('.stApp').focus()")
    series.enter_by_tab()
    assert series.run("return document.activeElement.id") == "panes"
    assert series.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    first = series.at
    back, forth = (Keys.ARROW_UP, Keys.ARROW_DOWN) if first > 1 else (Keys.ARROW_DOWN, Keys.ARROW_UP)
    series.type(back)
    series.reach(first - 1 if first > 1 else 2)
    series.type(forth)
    series.reach(first)
    series.type("+", "+")
    assert "Zoom 156 %" in series.state
    series.type("-")
    assert "Zoom 125 %" in series.state
    zoomed = series.look("original")
    series.type(Keys.ARROW_LEFT, held=Keys.SHIFT)
    assert (series.look("original") != zoomed).any()
    series.type("m")
    assert series.run("return document.getElementById('map').getAttribute('aria-pressed')") == "false"
    for _ in range(5):
        series.type(Keys.TAB)
    assert series.run("return document.activeElement.id") == "higher"
    level = series.state
    series.type(Keys.ENTER)
    assert series.state != level
    series.type("r")
    assert series.state == FIRST
    assert series.at == first, "with Shift an arrow key moves the slice and shows no other"


def test_panes_show_what_the_server_renders_where_pixels_are_not_square_too(visit, server, tmp_path):
    body = encode(LUNG.render(draw_slice(1, "spiculated", 512))[::2], "PNG", dpi=(60, 40))
    (tmp_path / "flat.png").write_bytes(body)
    reply = Client(server).predict(body, **OPTIONS)
    visit.upload([tmp_path / "flat.png"])
    visit.press("Analyze")
    visit.press("Malignant", "map_of")
    visit.read("high importance for Malignant")
    visit.settle()
    frame = Frame(visit)
    seen = view(Upload("flat.png", body), None, LUNG)
    contract = Client(server).contract()
    drawn = make_map(reply["heatmap"], "Malignant", seen, contract["geometry"])
    assert (seen.pixels.shape, seen.aspect) == ((256, 512), pytest.approx(1.5, abs=0.01))
    assert differ(frame.look("original")[..., 0], shrink(seen.pixels, frame)) < 6
    visit.wait(
        lambda _: differ(frame.look("mapped"), shrink(draw_overlay(seen.pixels, drawn, "viridis", 0.45), frame)) < 6,
        "the server's overlay",
    )


def test_a_slice_is_never_seen_with_the_map_or_the_answer_of_another_however_late_python_is(series, opened, server):
    first = series.at
    way, page_key = (Keys.ARROW_UP, "p") if first > SLICES / 2 else (Keys.ARROW_DOWN, "n")
    at = first + (-2 if page_key == "p" else 2)
    opened.driver.execute_script("document.querySelector('.stApp').focus()")
    series.enter_by_tab()
    with series.held():
        series.type(way)
        opened.type(page_key)  # the page's own key
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
    series.follow()
    opened.read(f"Slice {at} of {SLICES}:")
    opened.read(f"Confidence {reply['confidence']:.1%}")
    assert opened.driver.execute_script(FADED, "aside") == ["1", "auto"]
    assert series.at == at


def test_what_is_chosen_on_the_page_counts_though_the_viewer_is_elsewhere(series, opened):
    with series.held():
        series.turn(100 if series.at < SLICES else -100)
        opened.slide("Slice", -SLICES)
        series.reach(1)
    series.follow()
    opened.settle()
    assert series.at == int(series.answer.split()[0])
    opened.read(f"Slice {series.at} of {SLICES}:")


def test_a_window_of_the_page_is_the_viewers_too(series, opened):
    opened.press("Bone", "view")
    opened.wait(lambda _: "Window 400, 1800 HU" in series.state, "the window")
    bone = view(find_upload(series.at), Window(400, 1800), LUNG)
    assert differ(series.look("original")[..., 0], shrink(bone.pixels, series)) < 6


def test_no_request_leaves_the_page_and_the_viewer_can_send_none(series, opened, url):
    for names in (opened.driver.execute_script(REQUESTS), series.run(REQUESTS)):
        assert len(names) > 2
        assert not [name for name in names if not name.startswith((url, "data:", f"blob:{url}"))]
    assert not [line for line in opened.driver.get_log("browser") if line["level"] == "SEVERE"]
    with series.entered():
        assert opened.driver.execute_async_script(FETCH) is False


def test_where_the_viewer_cannot_start_the_page_shows_two_pictures(visit):
    for command, options in (
        ("Network.enable", {}),
        ("Network.setCacheDisabled", {"cacheDisabled": True}),
        ("Network.setBlockedURLs", {"urls": ["*/viewer.js"]}),
    ):
        visit.driver.execute_cdp_cmd(command, options)
    try:
        visit.press(PICTURE)
        visit.find("//img[starts-with(@alt, 'CT slice')]", "the slice")
        visit.press("Malignant", "map_of")
        visit.find("//img[starts-with(@alt, 'Heatmap for Malignant')]", "the heatmap")
    finally:
        visit.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        visit.driver.execute_cdp_cmd("Network.disable", {})


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
