"""A headless Chromium on the page, for its tests and for README's pictures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from lungct_tools.commandline import compose

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def find_chromium() -> tuple[str, str] | None:
    """Paths of the browser and its driver, None when one of them is not installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def serve_page(run: Path, deadline_s: float = 90) -> Iterator[str]:
    """The page on a free port, as `make ui` starts it; its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = compose("ui", "--run", run, "--port", port)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        WebDriverWait(None, deadline_s, ignored_exceptions=[requests.RequestException]).until(  # type: ignore[type-var]
            lambda _: requests.get(f"{url}/_stcore/health", timeout=5).ok, "the page did not start"
        )
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


class Browser:
    """One tab, with what a person does in it. Every step waits for what it needs, up to `deadline_s`."""

    def __init__(self, driver: webdriver.Chrome, deadline_s: float) -> None:
        self.driver = driver
        self._wait = WebDriverWait(driver, deadline_s, ignored_exceptions=[StaleElementReferenceException])

    def wait(self, condition: Callable[[webdriver.Chrome], object], what: str) -> None:
        """Wait until a condition holds."""
        self._wait.until(condition, f"never came: {what}")

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
        """Press an enabled button by its label; `key` names the widget that it is in, where several have such."""
        place = f"//*[contains(@class, 'st-key-{key}')]" if key else ""
        self.find(f"{place}//button[not(@disabled)][contains(., '{label}')]", f"button {label}").click()

    def unfold(self, label: str) -> None:
        """Open, or close, what is folded away under a label."""
        self.find(f"//summary[contains(., '{label}')]", f"fold {label}").click()

    def slide(self, label: str, steps: int) -> int:
        """Move a slider with the arrow keys, to the left for negative `steps`; the value it has then."""
        css = f"[data-testid=stSlider] input[type=range][aria-label*='{label}']"
        self.driver.execute_script("document.querySelector(arguments[0]).focus()", css)
        key = Keys.ARROW_LEFT if steps < 0 else Keys.ARROW_RIGHT
        ActionChains(self.driver).send_keys(*[key] * abs(steps)).perform()
        return int(self.driver.find_element(By.CSS_SELECTOR, css).get_attribute("value") or 0)

    def type(self, key: str) -> None:
        """Press a key with nothing focused."""
        self.driver.execute_script("document.activeElement.blur()")
        ActionChains(self.driver).send_keys(key).perform()

    def upload(self, paths: Sequence[Path]) -> None:
        """Choose files, as the file dialogue would."""
        box = self._wait.until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, "input[type=file]"), "never seen: upload"
        )
        box.send_keys("\n".join(str(path) for path in paths))

    def receive(self, downloads: Path, pattern: str) -> Path:
        """The file that a download button sent, once it is whole."""
        return self._wait.until(
            lambda _: next((path for path in downloads.glob(pattern) if path.stat().st_size), None),
            f"never received: {pattern}",
        )

    def settle(self) -> None:
        """Wait until Streamlit does not run any more and all pictures are there."""
        script = (
            'return !document.querySelector(\'[data-testid="stStatusWidget"],[data-testid="stSkeleton"]\')'
            " && [...document.images].every(i => i.complete && i.naturalWidth > 0)"
            " && !document.querySelector('[data-stale=\"true\"]')"
        )
        self._wait.until(lambda driver: driver.execute_script(script), "the page did not settle")

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
        try:
            yield Browser(driver, deadline_s)
        finally:
            driver.quit()
