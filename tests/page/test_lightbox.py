"""The viewer in a real browser: what hands do is done there, and the page follows."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from lungct.window import LUNG, Window
from lungct_client import Client
from lungct_tools.page.browser import find_chromium
from lungct_tools.page.examples import PICTURE, SERIES, SLICES
from lungct_tools.page.picture import draw_overlay, make_map
from lungct_tools.page.study import OPTIONS, view
from lungct_tools.page.uploads import Upload
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.frame import Frame
from tests.support.pictures import encode
from tests.support.seen import FIRST, differ, find_upload, shrink

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
ANSWERS = "addEventListener('message', e => { if (e.data?.type === 'streamlit:setComponentValue') window.answers++; })"
REQUESTS = "return performance.getEntriesByType('resource').map(each => each.name)"
FETCH = "fetch('/').then(() => arguments[0](true), () => arguments[0](false))"


def results_of(visit):
    """All that the page says of the slice."""
    return visit.driver.find_element("class name", "ls-bars").text, visit.driver.find_element(
        "class name", "ls-class"
    ).text


def find_place(visit):
    """Number of the slice that the page tells of."""
    return int(re.search(r"Slice (\d+) of", visit.driver.find_element("tag name", "body").text)[1])


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
        visit.press(SERIES)
        visit.find("//img[starts-with(@alt, 'CT slice')]", "the slice")
        visit.press("Malignant", "map_of")
        visit.find("//img[starts-with(@alt, 'Heatmap for Malignant')]", "the heatmap")
        visit.settle()
        at = find_place(visit)
        key, button, by = ("p", "Previous", -1) if at > SLICES / 2 else ("n", "Next", 1)
        for number, step in enumerate((lambda: visit.type(key), lambda: visit.press(button)), 1):
            step()
            visit.read(f"Slice {at + number * by} of {SLICES}:")
            visit.settle()
            assert find_place(visit) == at + number * by, "one step, not two"
    finally:
        visit.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        visit.driver.execute_cdp_cmd("Network.disable", {})
