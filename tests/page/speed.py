"""How long a person at the page waits in Chromium, and what its process holds; beside version 1.4's, in one run.

python -m tests.page.speed RUN [--count 300] [--before CHECKOUT]

CHECKOUT is a folder with version 1.4, whose page runs in this environment and asks the same server.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.page.browser import Browser, open_browser, run_page
from lungct_tools.server.instance import find_ports
from tests.pacs.speed import find_family, read_peak, write_series

STEPS = 15
DEADLINE_S = 240
# What is on the screen: the slice that the viewer shows, or the picture that version 1.4 has in its place. `top.took`
# becomes the milliseconds from an event until that is another one, and painted.
WATCH = """
const [kind, inner] = arguments;
const viewer = () => document.querySelector("iframe[title*=lightbox]")?.contentDocument;
const seen = () => {
  const picture = document.querySelector("[data-testid=stImage] img");
  return viewer()?.documentElement?.dataset.at ?? (picture?.complete && picture.naturalWidth ? picture.src : undefined);
};
const before = seen();
top.took = null;
const start = () => {
  const began = performance.now();
  const look = () => {
    if ([before, undefined].includes(seen())) requestAnimationFrame(look);
    else requestAnimationFrame(() => setTimeout(() => { top.took = performance.now() - began; }));
  };
  look();
};
for (const each of [document, viewer()]) each?.addEventListener(kind, start, {capture: true, once: true});
if (inner && viewer()) viewer().getElementById("panes").focus();
else document.activeElement.blur();
return Boolean(viewer());
"""
ENABLED = """
return [...document.querySelectorAll("button")].some(each => each.innerText.includes("Analyze") && !each.disabled);
"""


class Found(NamedTuple):
    """What was measured of one version: seconds, milliseconds, MiB."""

    first_s: float
    all_s: float
    steps_ms: dict[str, list[float]]
    held: float
    children: float
    peak: float


class Visit:
    """A person at a page with `paths` uploaded."""

    def __init__(self, browser: Browser, url: str, paths: Sequence[Path]) -> None:
        self._browser, self._driver = browser, browser.driver
        browser.resize(1366, 900)
        browser.driver.get(url)
        browser.read("Server: Ready")
        browser.upload(paths)
        browser.wait(lambda driver: driver.execute_script(ENABLED), "Analyze is on")
        browser.settle()

    def _took(self) -> float:
        return self._browser.wait(lambda driver: driver.execute_script("return top.took"), "another picture")

    def analyze(self) -> tuple[float, float]:
        """Seconds from the press to the first picture, and to the end of all."""
        self._driver.execute_script(WATCH, "click", "")
        began = time.monotonic()
        self._browser.press("Analyze")
        first = self._took() / 1000
        self._browser.wait(lambda _: self.find_place(), "all slices")
        self._browser.settle()
        return first, time.monotonic() - began

    def find_place(self) -> tuple[int, int] | None:
        """Number of the slice that the page tells of, and how many there are."""
        found = re.search(r"Slice (\d+) of (\d+):", self._driver.find_element("tag name", "body").text)
        return (int(found[1]), int(found[2])) if found else None

    def step(self, inner: str, outer: str, settle: bool) -> list[float]:
        """Milliseconds of each of STEPS keys to the viewer, where there is one and a key for it, else to the page."""
        times = []
        for _ in range(STEPS):
            if settle:
                self._browser.settle()
            there = self._driver.execute_script(WATCH, "keydown", inner)
            ActionChains(self._driver, duration=0).send_keys(inner if inner and there else outer).perform()
            times.append(self._took())
        self._browser.settle()
        return times

    def look_through(self) -> dict[str, list[float]]:
        """Steps by each way."""
        ways = {}
        for name, inner, settle in (("one", "yes", True), ("fast", "yes", False), ("page", "", True)):
            at, count = self.find_place() or (1, 1)
            forth = at < count / 2
            key = (Keys.ARROW_DOWN if forth else Keys.ARROW_UP) if inner else ""
            ways[name] = self.step(key, "n" if forth else "p", settle)
        return ways


def read_share(pid: int) -> float:
    """MiB that a process holds, its part of what it shares with others (Pss of proc_pid_smaps(5))."""
    return int(re.search(r"^Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) / 1024


def measure(run: Path, before: Path | None, paths: Sequence[Path]) -> Found:
    """Start our page, or that of the checkout `before`, use it, end it."""
    port = find_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    options = ("--run", str(run.resolve()), "--port", str(port))
    if before:
        command = [sys.executable, "-m", "scripts.app", *options]
        environment = {**os.environ, "PYTHONPATH": f"{before}:{before / 'handler'}"}
    else:
        command, environment = compose("ui", *options), dict(os.environ)
    with (
        tempfile.TemporaryDirectory() as downloads,
        run_page(command, url, environment, before or ROOT) as pid,
        open_browser(Path(downloads), DEADLINE_S) as browser,
    ):
        visit = Visit(browser, url, paths)
        first, whole = visit.analyze()
        steps = visit.look_through()
        own, *others = find_family(pid)
        return Found(first, whole, steps, read_share(own), sum(map(read_share, others)), read_peak(own) / 1024)


def tell(name: str, found: Found) -> str:
    """A line for a version."""
    words = [f"first slice {found.first_s:.2f} s, all {found.all_s:.2f} s"]
    for way, times in found.steps_ms.items():
        words.append(f"{way} {statistics.median(times):.0f} ms (95 %: {statistics.quantiles(times, n=20)[-1]:.0f})")
    words.append(f"holds {found.held:.0f} MiB, at most {found.peak:.0f}; its children {found.children:.0f} MiB")
    return f"{name}: {'; '.join(words)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--before", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        paths = write_series(Path(temp) / "in", args.count, "speed")
        for name, before in {"1.4": args.before, "now": None}.items():
            if before or name == "now":
                sys.stdout.write(f"{tell(name, measure(args.run, before, paths))}\n")


if __name__ == "__main__":
    main()
