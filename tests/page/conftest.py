"""The page with the real pipeline in this process instead of a server."""

import shutil

import pytest

from lungct_tools.page.browser import open_browser, serve_page
from lungct_tools.page.examples import SERIES, SLICES
from lungct_tools.page.lightbox import BUILT
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.desk import Desk
from tests.support.frame import Frame
from tests.support.npm import run_npm
from tests.support.seen import FIRST
from tests.support.visit import open_page

READY = {"live": True, "ready": True, "reason": None, "workers": [{}], "version": "1.0", "engine": "torch-cpu-float32"}


@pytest.fixture
def desk(pipeline, monkeypatch):
    found = Desk(pipeline)
    found.state = READY
    monkeypatch.setattr("lungct_tools.page.study.connect", lambda server: found)
    monkeypatch.setattr("lungct_tools.server.status.describe", lambda instance: found.state)
    return found


@pytest.fixture
def page(desk):
    return open_page()


@pytest.fixture(scope="module")
def dicom():
    return encode_dicom(draw_slice(3, "spiculated", 256))


@pytest.fixture(scope="session")
def front(tmp_path_factory):
    """A copy of the viewer's sources with all that its lockfile names, and nothing built."""
    if shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    work = tmp_path_factory.mktemp("front") / "front"
    shutil.copytree(BUILT.parent, work, ignore=shutil.ignore_patterns("built", "node_modules"))
    run_npm(work, "ci", "--no-audit", "--no-fund")
    return work


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def url(server):
    with serve_page(server.run) as address:
        yield address


@pytest.fixture(scope="module")
def browser(downloads):
    with open_browser(downloads, deadline_s=90) as opened:
        yield opened


@pytest.fixture
def visit(browser, url):
    """The page, freshly opened on a laptop."""
    browser.resize(1366, 900)
    browser.prefer("light")  # whatever the last visit wanted
    browser.driver.get(url)
    browser.read("Server: Ready")
    return browser


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
