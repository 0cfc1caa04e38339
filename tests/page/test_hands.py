"""A step on a page that is drawn anew meanwhile is done, and once."""

from urllib.parse import quote

import pytest

from lungct_tools.page.browser import find_chromium
from tests.support.frame import Frame

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
RESTLESS = {
    "it is replaced all the time": "const each = setInterval(draw, 25); setTimeout(() => clearInterval(each), 600);",
    "it is replaced between press and release": "let left = 2;"
    "addEventListener('mousedown', () => { if (left-- > 0) draw(); });",
    "something lies over it": "cover.style.display = 'block'; setTimeout(() => cover.remove(), 600);",
    "it is not there": "place.replaceChildren(); setTimeout(draw, 600);",
    "it is switched off": "place.firstChild.disabled = true; setTimeout(draw, 600);",
}
PAGE = """
<style>#cover { display: none; position: fixed; inset: 0; background: gray }</style>
<div id=place></div><div id=cover></div>
<script>
window.presses = 0;
function draw() {
  const button = document.createElement("button");
  button.append("Press me");
  button.onclick = () => window.presses++;
  place.replaceChildren(button);
}
draw();
</script>
"""
FRAMED = """
<div id=place></div>
<script>
window.presses = 0;
addEventListener("message", () => window.presses++);
function draw() {
  const frame = document.createElement("iframe");
  frame.title = "lightbox";
  frame.srcdoc = "<html data-at=3><button id=map onclick='parent.postMessage(0, `*`)'>Map</button>";
  place.replaceChildren(frame);
}
draw();
</script>
"""
FRAMES = "const each = setInterval(draw, 60); setTimeout(() => clearInterval(each), 2000);"


@pytest.mark.parametrize("restless", RESTLESS)
def test_a_button_is_pressed_once_though(restless, browser):
    browser.driver.get("data:text/html," + quote(PAGE))
    browser.driver.execute_script(RESTLESS[restless])
    browser.press("Press me")
    assert browser.driver.execute_script("return window.presses") == 1


def test_what_is_in_a_frame_is_read_and_pressed_once_though_the_frame_is_replaced_all_the_time(browser):
    browser.driver.get("data:text/html," + quote(FRAMED))
    frame = Frame(browser)
    browser.driver.execute_script(FRAMES)
    assert {frame.at for _ in range(10)} == {3}
    frame.press("map")
    browser.wait(lambda driver: driver.execute_script("return window.presses") == 1, "the message")
