"""What OHIF shows of our results: its npm build in Chromium against an Orthanc. By hand: `make test-ohif`.

Pictures of what was seen go to .run/ohif; somebody is to look at them. Software rendering takes minutes.
"""

import shutil
import subprocess
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from lungct_tools.commandline import find_run
from lungct_tools.dicomout.assessment import Slice, roll_up
from lungct_tools.dicomout.evidence import build_map
from lungct_tools.dicomout.objects import build_objects
from lungct_tools.page.browser import FLAGS, find_chromium
from tests.dicomout.conftest import assess, overlay  # noqa: F401 - fixtures
from tests.ohif.site import serving
from tests.support.calls import wait_until
from tests.support.orthanc import running
from tests.support.series import draw_series

pytestmark = pytest.mark.timeout(1200)
PACKAGE = "@ohif/app@3.12.10"
RENDERING = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
SERIES = draw_series(12, name="ohif")
REFUSED = 4  # number of the slice of which nothing is said
PATIENCE_S = 240
# Where the highest value of each slice is in the map that is laid over the images, in the order of its volume.
PEAKS = """
const map = cornerstone.cache.getVolumes().find(({volumeId}) => volumeId.startsWith("pmap"));
const values = map.voxelManager.getCompleteScalarDataArray(), [columns, rows, slices] = map.dimensions;
return Array.from({length: slices}, (_, at) => {
  const slice = values.slice(at * rows * columns, (at + 1) * rows * columns);
  return slice.every((value) => value === slice[0]) ? null : slice.indexOf(slice.reduce((a, b) => Math.max(a, b)));
});
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Folder of the npm build; npm checks what it fetches."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed: apt-get install npm")
    folder = tmp_path_factory.mktemp("ohif")
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=600)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package" / "dist"


@pytest.fixture(scope="module")
def assessment(assess):  # noqa: F811 - the fixture
    """Of a series with one slice that was refused."""
    found = assess(SERIES)
    header = found.slices[REFUSED].header
    refused = Slice(header, {"file": "refused.dcm", "error": "corrupt_image", "message": "The pixels cannot be read."})
    slices = [*found.slices[:REFUSED], refused, *found.slices[REFUSED + 1 :]]
    return replace(found, slices=slices, rollup=roll_up(slices, found.algorithm.classes))


@pytest.fixture(scope="module")
def address(build, assessment, overlay, tmp_path_factory):  # noqa: F811 - the fixture
    """The viewer on a study with our results; the map at the slices' size, as OHIF loads no other."""
    bodies = dict(zip((each.uid for each in assessment.slices), SERIES, strict=True))
    pictures = {each.uid: overlay(bodies[each.uid]) for each in assessment.peaks()}
    results = [made.body for made in build_objects(assessment, pictures, "full")]
    with running(tmp_path_factory.mktemp("orthanc")) as orthanc:
        for body in (*SERIES, *results):
            orthanc.add(body)
        with serving(build, f"http://127.0.0.1:{orthanc.http}") as url:
            yield f"{url}/viewer?StudyInstanceUIDs={assessment.slices[0].header.StudyInstanceUID}"


class Viewer:
    """One tab; every step waits for what it needs."""

    def __init__(self, driver, pictures):
        self._driver, self._pictures = driver, pictures

    def until(self, act, what):
        """Wait until `act` gives something, whatever the page is busy with."""
        found = []

        def try_it():
            try:
                found[:] = [act()]
            except (WebDriverException, ValueError):  # ValueError: not the one element that is wanted
                return False
            return found[0]

        wait_until(try_it, PATIENCE_S, what)
        return found[0]

    def shown(self, text):
        """The elements that show a text."""
        return [e for e in self._driver.find_elements(By.XPATH, f"//*[contains(text(), '{text}')]") if e.is_displayed()]

    def load(self, name):
        """Double-click a series."""

        def choose():
            element, *_ = self.shown(name)
            ActionChains(self._driver).double_click(element).perform()
            return True

        self.until(choose, f"{name} is chosen")

    def skip_tour(self):
        """Press away what lies over the page at first."""

        def skip():
            element, *_ = self.shown("Skip all")
            element.click()
            return True

        self.until(skip, "the tour is skipped")

    def run(self, script):
        """What a script returns in the page."""
        return self._driver.execute_script(script)

    def press(self, path):
        """Click the element at an XPath."""

        def press():
            (element,) = [e for e in self._driver.find_elements(By.XPATH, path) if e.is_displayed()]
            element.click()
            return True

        self.until(press, f"{path} is pressed")

    def keep(self, name):
        """A picture for people."""
        self.until(lambda: self._driver.save_screenshot(str(self._pictures / f"{name}.png")), f"a picture of {name}")

    def faults(self):
        """What the page has complained of, loudly, since it was asked last."""
        marks = ("Error Boundary", "not yet supported", "Error loading")
        return [e["message"] for e in self._driver.get_log("browser") if any(mark in e["message"] for mark in marks)]


@pytest.fixture
def viewer(address):
    found = find_chromium()
    if found is None:
        pytest.skip("Chromium is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for flag in (*(each for each in FLAGS if each != "--disable-gpu"), *RENDERING, "--window-size=1300,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    pictures = find_run() / "ohif"
    pictures.mkdir(parents=True, exist_ok=True)
    driver = webdriver.Chrome(options=options, service=Service(found[1]))
    try:
        driver.get(address)
        opened = Viewer(driver, pictures)
        opened.skip_tour()
        yield opened
    finally:
        driver.quit()


def test_ohif_draws_the_regions_of_the_report_and_lists_its_slices(viewer):
    viewer.load("LungServe report")
    viewer.press("//*[text()='Yes']")  # to go on with the report's groups as measurements
    viewer.press("//*[@data-cy='trackedMeasurements-btn']")
    viewer.until(lambda: viewer.shown(f"Measurements ({len(SERIES)})"), "every slice is listed")
    viewer.keep("report")
    assert viewer.faults() == []


def test_ohif_lays_each_frame_of_the_map_over_its_slice(viewer, assessment):
    viewer.press("//*[@data-cy='dataOverlayMenu-default-btn']")
    viewer.press("//button[contains(., 'Foreground')]")
    viewer.press("//button[@role='combobox'][contains(., 'SELECT A FOREGROUND')]")
    viewer.press("//*[@role='option' or @role='menuitem'][contains(., 'LungServe map')]")
    viewer.until(lambda: viewer.shown("Control threshold"), "the map lies there")
    data = build_map(assessment, "full")
    frames = np.frombuffer(data.FloatPixelData, "<f4").reshape(len(SERIES), -1)
    expected = [None if number == REFUSED else int(frame.argmax()) for number, frame in enumerate(frames)]
    viewer.until(lambda: viewer.run(PEAKS) == expected, "each frame lies over its slice")
    viewer.keep("map")
    assert viewer.faults() == []


def test_ohif_shows_captures(viewer):
    viewer.load("LungServe capture")
    viewer.until(lambda: viewer.shown("LungServe capture - research use only"), "the viewport tells what it shows")
    viewer.keep("capture")
    assert viewer.faults() == []
