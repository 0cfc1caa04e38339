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
from tests.pacs.speed import read_peak, write_series

STEPS = 30
DEADLINE_S = 240
# What is on the screen: the slice that the viewer shows, or the picture that version 1.4 has in its place.
SEEN = """
const viewer = () => document.querySelector("iframe[title*=lightbox]")?.contentDocument;
const seen = () => {
  const picture = document.querySelector("[data-testid=stImage] img");
  return viewer()?.documentElement?.dataset.at ?? (picture?.complete && picture.naturalWidth ? picture.src : undefined);
};
"""
# `top.took` becomes the milliseconds from an event until something else is on the screen, and painted.
WATCH = f"""{SEEN}
const [kind, inner] = arguments, before = seen();
top.took = null;
const start = () => {{
  const began = performance.now();
  const look = () => {{
    if ([before, undefined].includes(seen())) requestAnimationFrame(look);
    else requestAnimationFrame(() => setTimeout(() => {{ top.took = performance.now() - began; }}));
  }};
  look();
}};
for (const each of [window, viewer()?.defaultView]) each?.addEventListener(kind, start, {{capture: true, once: true}});
if (inner && viewer()) viewer().getElementById("panes").focus();
else document.activeElement.blur();
return Boolean(viewer());
"""
FOLLOWED = f"{SEEN} return seen() !== undefined && !document.querySelector('.ls-following');"
ENABLED = """
return [...document.querySelectorAll("button")].some(each => each.innerText.includes("Analyze") && !each.disabled);
"""


class Found(NamedTuple):
    """What was measured of one version: seconds, milliseconds, MiB."""

    first_s: float
    all_s: float
    viewer_ms: list[float]
    fast_ms: list[float]
    page_ms: list[float]
    held: float
    peak: float
    children: float


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
        return float(self._browser.wait(lambda driver: driver.execute_script("return top.took"), "another picture"))

    def _follow(self) -> None:
        """Wait until all that the page tells is of the slice that is shown, and it rests."""
        self._browser.wait(lambda driver: driver.execute_script(FOLLOWED), "the page's answer")
        self._browser.settle()

    def _find_place(self) -> tuple[int, int] | None:
        """Number of the slice that the page tells of, and how many there are."""
        found = re.search(r"Slice (\d+) of (\d+):", self._driver.find_element("tag name", "body").text)
        return (int(found[1]), int(found[2])) if found else None

    def analyze(self) -> tuple[float, float]:
        """Seconds from the press to the first picture, and until all slices can be looked through."""
        self._driver.execute_script(WATCH, "click", "")
        began = time.monotonic()
        self._browser.press("Analyze")
        first = self._took() / 1000
        self._browser.wait(lambda _: self._find_place(), "all slices")
        self._follow()
        return first, time.monotonic() - began

    def step(self, inside: bool, rest: bool) -> list[float]:
        """Milliseconds of each of STEPS keys, until the next slice is seen.

        Args:
            inside: the key is pressed in the viewer, where there is one.
            rest: each is pressed when the page has followed the one before, not as soon as that is seen.
        """
        self._follow()
        at, count = self._find_place() or (1, 1)
        back = at > count / 2
        times = []
        for _ in range(STEPS):
            if rest:
                self._follow()
            there = self._driver.execute_script(WATCH, "keydown", inside)
            arrow = Keys.ARROW_UP if back else Keys.ARROW_DOWN
            key = arrow if inside and there else "p" if back else "n"
            ActionChains(self._driver, duration=0).send_keys(key).perform()
            times.append(self._took())
        return times


def read_share(pid: int) -> float:
    """MiB that a process holds, its part of what it shares with others (Pss of proc_pid_smaps(5))."""
    return int(re.findall(r"^Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[0]) / 1024


def measure(run: Path, before: Path | None, paths: Sequence[Path]) -> Found:
    """Start our page, or that of the checkout `before`, use it, end it."""
    port = find_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    options = ("--run", str(run.resolve()), "--port", str(port))
    command, environment = compose("ui", *options), dict(os.environ)
    if before:
        command = [sys.executable, "-m", "scripts.app", *options]
        environment["PYTHONPATH"] = f"{before}:{before / 'handler'}"
    with (
        tempfile.TemporaryDirectory() as downloads,
        run_page(command, url, environment, before or ROOT) as pid,
        open_browser(Path(downloads), DEADLINE_S) as browser,
    ):
        visit = Visit(browser, url, paths)
        first, whole = visit.analyze()
        steps = visit.step(True, True), visit.step(True, False), visit.step(False, True)
        children = sum(read_share(child) for child in find_children(pid))
        return Found(first, whole, *steps, read_share(pid), read_peak(pid) / 1024, children)


def find_children(pid: int) -> list[int]:
    """Processes that any thread of a process started, and theirs."""
    lists = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    children = [int(child) for each in lists for child in each]
    return children + [each for child in children for each in find_children(child)]


def tell(times: list[float]) -> str:
    """Median and 95 % of times."""
    return f"{statistics.median(times):.0f} ms, 95 %: {statistics.quantiles(times, n=20)[-1]:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--before", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        paths = write_series(Path(temp) / "in", args.count, "speed")
        found = [measure(args.run, before, paths) for before in ([args.before] if args.before else []) + [None]]
    names = {
        "Analyze to the first slice": [f"{each.first_s:.1f} s" for each in found],
        "Analyze to all slices": [f"{each.all_s:.1f} s" for each in found],
        "one slice further, in the viewer": [tell(each.viewer_ms) for each in found],
        "the next as soon as one is seen": [tell(each.fast_ms) for each in found],
        "one slice further, by the page's keys": [tell(each.page_ms) for each in found],
        "memory of the page's process": [f"{each.held:.0f} MiB, at most {each.peak:.0f} MiB" for each in found],
        "of its children": [f"{each.children:.0f} MiB" for each in found],
    }
    for name, cells in names.items():
        sys.stdout.write(f"| {' | '.join([name, *cells])} |\n")


if __name__ == "__main__":
    main()
