"""A headless Chromium on the page, for its tests and for README's pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    NoSuchFrameException,
    NoSuchWindowException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.server.instance import find_ports

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
# What a step meets when the page is drawn anew under it: it is tried again. (A frame that is gone is "no such window".)
MOVED = (
    ElementClickInterceptedException, ElementNotInteractableException, NoSuchElementException, NoSuchFrameException,
    NoSuchWindowException, StaleElementReferenceException,
)  # fmt: skip
# Notes whether a click arrives at what is at an XPath by then: an element may be replaced between press and release.
# The page keeps the note, since a frame may be replaced right after.
NOTE = """
const [xpath] = arguments;
top.arrived = false;
addEventListener("click", ({target}) => {
  const found = document.evaluate(xpath, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
  for (let at = 0; at < found.snapshotLength; at++) top.arrived ||= found.snapshotItem(at).contains(target);
}, {capture: true, once: true});
"""
# The name of each chosen file that Streamlit has, and so sends with whatever is pressed next; those on their way and
# those that failed have none.
CHOSEN = """
return [...document.querySelectorAll("[data-testid=stFileChip]")]
 .filter(chip => !chip.querySelector("[data-testid=stFileChipIconSpinner], [data-testid=stFileChipIconError]"))
 .map(chip => chip.querySelector("[data-testid=stFileChipName]").title);
"""
SETTLED = """
return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
 && !document.querySelector("[data-testid=stStatusWidget], [data-testid=stSkeleton], [data-stale=true]")
 && [...document.images].every(each => each.complete && each.naturalWidth > 0)
 && !document.getAnimations().some(each => each.playState === "running");
"""
# Focuses a slider; its value, and what steps of the arrow keys make of it.
SLIDER = """
const slider = document.querySelector(arguments[0]);
slider?.focus();
return slider && [slider.value, slider.min, slider.max, slider.step].map(Number);
"""


def find_chromium() -> tuple[str, str] | None:
    """Paths of the browser and its driver, None when one of them is not installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def serve_page(run: Path, deadline_s: float = 90) -> Iterator[str]:
    """The page on a free port, as `make ui` starts it; its address once it answers."""
    port = find_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    with run_page(compose("ui", "--run", run, "--port", port), url, os.environ, deadline_s=deadline_s):
        yield url


@contextmanager
def run_page(
    command: Sequence[str], url: str, environment: Mapping[str, str], folder: Path = ROOT, deadline_s: float = 90
) -> Iterator[int]:
    """The process that a command starts in a folder, once a page answers at `url`; ended after the block."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True, **quiet)
    try:
        WebDriverWait(None, deadline_s, ignored_exceptions=[requests.RequestException]).until(  # type: ignore[type-var]
            lambda _: requests.get(f"{url}/_stcore/health", timeout=5).ok, "the page did not start"
        )
        yield process.pid
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


class Browser:
    """One tab, with what a person does in it. Every step waits for what it needs, up to `deadline_s`."""

    def __init__(self, driver: webdriver.Chrome, deadline_s: float) -> None:
        self.driver = driver
        self._wait = WebDriverWait(driver, deadline_s, poll_frequency=0.1, ignored_exceptions=MOVED)

    def wait(self, condition: Callable[[webdriver.Chrome], Any], what: str) -> Any:
        """Wait until a condition holds; what it came to."""
        return self._wait.until(condition, f"never came: {what}")

    def resize(self, width: int, height: int, ratio: float = 1) -> None:
        """Set the size of the page's area in CSS pixels, and how many pixels of the screen are a side of one."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, theme: str) -> None:
        """Say that the system's theme is light or dark."""
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def find(self, xpath: str, what: str) -> WebElement:
        """The first element that is shown at an XPath."""
        return self._wait.until(
            lambda driver: next((e for e in driver.find_elements(By.XPATH, xpath) if e.is_displayed()), None),
            f"never seen: {what}",
        )

    def read(self, text: str) -> None:
        """Wait until the page says `text`."""
        self._wait.until(lambda driver: text in driver.find_element(By.TAG_NAME, "body").text, f"never read: {text}")

    def press(self, label: str, key: str = "") -> None:
        """Press an enabled button by its label, once; `key` names the widget that it is in, where several have such."""
        place = f"//*[contains(@class, 'st-key-{key}')]" if key else ""
        self.click(f"{place}//button[not(@disabled)][contains(., '{label}')]", f"button {label}")

    def unfold(self, label: str) -> None:
        """Open, or close, what is folded away under a label."""
        self.click(f"//summary[contains(., '{label}')]", f"fold {label}")

    def click(self, xpath: str, what: str) -> None:
        """Click on the first element that is shown at an XPath, once."""
        self._wait.until(lambda _: self.try_click(xpath), f"never clicked: {what}")

    def try_click(self, xpath: str) -> bool:
        """Whether a click arrived at what is shown at an XPath; in the page after that. It raises one of MOVED, too."""
        shown = (e for e in self.driver.find_elements(By.XPATH, xpath) if e.is_displayed())
        if (element := next(shown, None)) is None:
            return False
        self.driver.execute_script(NOTE, xpath)
        with suppress(*MOVED):  # it may have arrived before
            element.click()
        self.driver.switch_to.default_content()
        return bool(self.driver.execute_script("return window.arrived"))

    def slide(self, label: str, steps: int) -> int:
        """Move a slider with the arrow keys, to the left for negative `steps`; the value it has then."""
        css = f"[data-testid=stSlider] input[type=range][aria-label*='{label}']"
        self.settle()
        at, low, high, step = self._wait.until(
            lambda driver: driver.execute_script(SLIDER, css), f"never seen: {label}"
        )
        goal = min(max(at + steps * step, low), high)

        def move(driver: webdriver.Chrome) -> bool:
            way = round((goal - driver.execute_script(SLIDER, css)[0]) / step)
            ActionChains(driver).send_keys(*[Keys.ARROW_LEFT if way < 0 else Keys.ARROW_RIGHT] * abs(way)).perform()
            return bool(driver.execute_script(SLIDER, css)[0] == goal)

        self._wait.until(move, f"never at {goal}: {label}")
        return int(goal)

    def type(self, key: str) -> None:
        """Press a key with nothing focused."""
        self.settle()
        self.driver.execute_script("document.activeElement.blur()")
        ActionChains(self.driver).send_keys(key).perform()

    def upload(self, paths: Sequence[Path]) -> None:
        """Choose files beside those that are chosen, as the file dialogue would, and wait until the page has them."""
        self.settle()
        wanted = Counter(self.driver.execute_script(CHOSEN)) + Counter(path.name for path in paths)

        def choose(driver: webdriver.Chrome) -> bool:
            box = driver.find_element(By.CSS_SELECTOR, "input[type=file]")
            driver.execute_script("arguments[0].value = ''", box)  # else these come beside those of the last time
            box.send_keys("\n".join(str(path) for path in paths))
            return True

        self._wait.until(choose, "never seen: upload")
        self._wait.until(lambda driver: Counter(driver.execute_script(CHOSEN)) == wanted, "the files never came")

    def receive(self, downloads: Path, pattern: str) -> Path:
        """The file that a download button sent, once it is whole."""
        return self._wait.until(
            lambda _: next((path for path in downloads.glob(pattern) if path.stat().st_size), None),
            f"never received: {pattern}",
        )

    def settle(self) -> None:
        """Wait until Streamlit does not run any more, nothing moves or fades and all pictures are there."""
        self._wait.until(lambda driver: driver.execute_script(SETTLED), "the page did not settle")

    def shoot(self, path: Path) -> None:
        """Keep a picture of what is on the screen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.settle()
        self.driver.save_screenshot(str(path))


@contextmanager
def open_browser(downloads: Path, deadline_s: float = 60) -> Iterator[Browser]:
    """A fresh Chromium that saves downloads there. RuntimeError when it is not installed."""
    found = find_chromium()
    if found is None:
        raise RuntimeError("Chromium is not installed: apt-get install chromium chromium-driver.")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        driver = webdriver.Chrome(options, webdriver.ChromeService(found[1]))
        driver.set_script_timeout(deadline_s)
        try:
            yield Browser(driver, deadline_s)
        finally:
            driver.quit()
