"""The viewer of the page in its frame, with what hands do in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from lungct_tools.page.browser import Browser

# Done when the page has made the frame as high as the viewer wants to be, and what it shows in it is drawn.
DRAWN = """
const [done] = arguments, viewer = document.getElementById("viewer");
const look = () => requestAnimationFrame(innerHeight < Math.ceil(viewer.getBoundingClientRect().height) ? look : () =>
 requestAnimationFrame(done));
look();
"""
# All canvases of a pane one over the other, as RGB.
LOOK = """
const pane = document.getElementById(arguments[0]), {width, height} = pane.querySelector("canvas");
const pen = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d");
for (const each of pane.querySelectorAll("canvas")) if (each.width) pen.drawImage(each, 0, 0, width, height);
return [width, height, [...pen.getImageData(0, 0, width, height).data].filter((_, at) => at % 4 < 3)];
"""
# How long a turn of the wheel takes until the next slice is painted, in milliseconds.
TURN = """
const [pixels, done] = arguments, panes = document.getElementById("panes"), began = performance.now();
new MutationObserver((_, watch) => {
  watch.disconnect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
}).observe(document.documentElement, {attributes: true, attributeFilter: ["data-at"]});
panes.dispatchEvent(new WheelEvent("wheel", {deltaY: pixels, bubbles: true, cancelable: true}));
"""
# Keeps what the viewer says to Python, in its frame, for as long as a test wants.
HOLD = """
window.held = [];
window.send = parent.postMessage;
parent.postMessage = (message, ...rest) => {
  if (message?.type === "streamlit:setComponentValue") held.push([message, ...rest]);
  else send.call(parent, message, ...rest);
};
"""
RELEASE = """
parent.postMessage = send;
for (const each of held) send.call(parent, ...each);
return held.map(([{value}]) => value.at);
"""


class Frame:
    """The viewer on an opened page."""

    def __init__(self, visit: Browser) -> None:
        self._visit = visit
        self._driver = visit.driver
        self.wait_for("dataset.at", lambda at: bool(at))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The driver works in the frame, until the block ends. Raises one of MOVED when the frame is replaced."""
        frame = self._visit.find("//iframe[contains(@title, 'lightbox')]", "viewer")
        try:
            self._driver.switch_to.frame(frame)
            yield
        finally:
            self._driver.switch_to.default_content()

    def _do(self, act: Callable[[], Any], what: str) -> Any:
        """What an act in the frame comes to, once that is anything; tried again when the frame is replaced under it."""

        def attempt(_: object) -> Any:
            with self.entered():
                return act()

        return self._visit.wait(attempt, what)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns in the frame."""
        return self._do(lambda: [self._driver.execute_script(script, *arguments)], script)[0]

    def wait_for(self, what: str, condition: Callable[[Any], bool]) -> None:
        """Wait until a property of the frame's root fulfils the condition."""
        self._visit.wait(lambda _: condition(self.run(f"return document.documentElement.{what}")), what)

    @property
    def at(self) -> int:
        """Number of the slice that is shown."""
        script = "return document.documentElement.dataset.at"
        return int(self._do(lambda: self._driver.execute_script(script), "a slice"))

    @property
    def state(self) -> str:
        """Window and zoom, as they are told."""
        script = "return document.getElementById('state')?.textContent"
        return str(self._do(lambda: self._driver.execute_script(script), "window and zoom"))

    def reach(self, at: int) -> None:
        """Wait until a slice is shown."""
        self.wait_for("dataset.at", lambda shown: shown == str(at))

    def look(self, pane: str) -> npt.NDArray[np.uint8]:
        """(H, W, 3) of what is seen in a pane, once it is drawn."""

        def read() -> Any:
            self._driver.execute_async_script(DRAWN)
            return self._driver.execute_script(LOOK, pane)

        width, height, values = self._do(read, pane)
        return np.array(values, np.uint8).reshape(height, width, 3)

    def press(self, name: str) -> None:
        """Press a button, once."""
        self._do(lambda: self._visit.try_click(f"//*[@id='{name}']"), name)

    def turn(self, pixels: int) -> None:
        """Turn the wheel over the slice."""
        with self.entered():
            origin = ScrollOrigin.from_element(self._find("original"))
            ActionChains(self._driver).scroll_from_origin(origin, 0, pixels).perform()

    def time_turn(self, pixels: int) -> float:
        """Turn the wheel and wait for the slice; milliseconds until it is seen."""
        with self.entered():
            return float(self._driver.execute_async_script(TURN, pixels))

    @contextmanager
    def held(self) -> Iterator[list[int]]:
        """Python hears nothing of the viewer in the block; after it the list has the slices that were asked for."""
        questions: list[int] = []
        self.run(HOLD)
        try:
            yield questions
        finally:
            questions += self.run(RELEASE)

    @property
    def answer(self) -> str:
        """What the viewer says of the slice that it shows."""
        return str(self.run("return document.getElementById('answer').textContent"))

    def follow(self) -> None:
        """Wait until the page tells of the slice that the viewer shows."""
        script = "return document.querySelector('.ls-following') === null"
        self._visit.wait(lambda driver: driver.execute_script(script), "the page's answer")

    def drag(self, right: int, down: int, key: str = "") -> None:
        """Drag over the slice, with a key held if one is named."""
        with self.entered():
            hands = ActionChains(self._driver).move_to_element(self._find("original"))
            hands = (hands.key_down(key) if key else hands).click_and_hold().move_by_offset(right, down).release()
            (hands.key_up(key) if key else hands).perform()

    def place(self, name: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element, in pixels of the page's area, once it is in that."""
        with self.entered():
            self._driver.execute_script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
            box = self._find(name).rect
        frame = self._driver.execute_script("return document.querySelector('iframe').getBoundingClientRect()")
        return frame["x"] + box["x"], frame["y"] + box["y"], box["width"], box["height"]

    def touch(self, *steps: Sequence[tuple[int, int]]) -> None:
        """Put fingers on the slice, move them and lift them: where each is, in pixels right of and below its middle."""
        left, top, width, height = self.place("original")
        kinds = ("touchStart", *("touchMove" for _ in steps[1:]), "touchEnd")
        for kind, places in zip(kinds, (*steps, ()), strict=True):
            points = [
                {"x": left + width / 2 + right, "y": top + height / 2 + down, "id": number}
                for number, (right, down) in enumerate(places)
            ]
            self._driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def type(self, *keys: str, held: str = "") -> None:
        """Press keys, wherever the focus is; `held` is one to hold meanwhile: among the others it is let go at once."""
        hands = ActionChains(self._driver)
        hands = (hands.key_down(held) if held else hands).send_keys(*keys)
        (hands.key_up(held) if held else hands).perform()

    def enter_by_tab(self) -> None:
        """Press Tab until the focus is in the viewer."""
        for _ in range(60):
            self.type(Keys.TAB)
            if self._driver.execute_script("return document.activeElement.tagName") == "IFRAME":
                return
        raise AssertionError("Tab never reaches the viewer")

    def _find(self, name: str) -> WebElement:
        return self._driver.find_element("id", name)
