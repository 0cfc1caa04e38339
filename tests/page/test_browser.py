"""The page in a real browser, in front of a real server: what a person does, in the order of a visit."""

import csv
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageColor

from lungct import NOTICE
from lungct.gate.checks import NOT_CHEST
from lungct_client import Client
from lungct_tools import ROOT
from lungct_tools.page.browser import find_chromium, serve_page
from lungct_tools.page.curve import LINE, SHOWN
from lungct_tools.page.examples import SLICES
from lungct_tools.page.screenshots import MAX_BYTES, take_pictures
from lungct_tools.server.instance import Instance, find_ports
from tests.conftest import run_script
from tests.support.contrast import measure_contrast, read_texts
from tests.support.frame import Frame
from tests.support.pictures import encode

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="chromium and chromium-driver are not installed"),
]
BOX = "return document.querySelector(arguments[0]).getBoundingClientRect()"
WIDTH = "return document.documentElement.scrollWidth"
FOLDED = "return !document.querySelector('[data-testid=stFileUploader]').checkVisibility()"
ARTEFACTS = ROOT / ".run" / "screenshots"


@pytest.fixture
def files(tmp_path, slices):
    """Three slices and one file that is none."""
    for number, body in enumerate(slices[:3]):
        (tmp_path / f"{number}.png").write_bytes(body)
    (tmp_path / "notes.txt").write_text("no image")
    return sorted(tmp_path.iterdir())


def test_one_slice_is_uploaded_and_read_and_its_heatmap_fades_with_the_slider(visit, server, slices, tmp_path):
    (tmp_path / "one.png").write_bytes(slices[0])
    reply = Client(server).predict(slices[0], heatmap="always", heatmap_format="grid")
    visit.upload([tmp_path / "one.png"])
    visit.press("Analyze")
    visit.read(f"Confidence {reply['confidence']:.1%}")
    visit.settle()  # the rest of the answer
    text = visit.driver.find_element("tag name", "body").text
    assert text.index(reply["decision"].capitalize()) < text.index("Confidence")
    assert all(f"{share:.1%}" in text for share in reply["probabilities"].values())
    shown = max(reply["probabilities"], key=lambda name: np.max(reply["heatmap"]["grids"][name]))
    visit.press(shown, "map_of")
    visit.read(f"high importance for {shown}")
    frame = Frame(visit)
    visit.wait(lambda _: (frame.look("mapped") != frame.look("original")).any(), "the map")
    visit.shoot(ARTEFACTS / "one-slice.png")
    assert visit.slide("opacity", -9) == 0
    visit.wait(lambda _: (frame.look("mapped") == frame.look("original")).all(), "a map that has faded")
    visit.resize(820, 1100)
    visit.shoot(ARTEFACTS / "one-slice-tablet.png")
    visit.wait(lambda driver: driver.execute_script(WIDTH) <= 820, "a page that fits a tablet")


def test_many_files_become_a_table_a_key_scrolls_and_the_csv_arrives(visit, files, downloads):
    visit.upload(files)
    visit.press("Analyze")
    visit.read("of 4:")
    visit.press("unsure", "reading")
    visit.read("1 of 4 slices read")
    visit.unfold("All 4 slices as a table")
    visit.find("//canvas", "the table")
    first = int(visit.driver.find_element("tag name", "body").text.split(" of 4:")[0].split()[-1])
    step = -1 if first == 4 else 1
    visit.type("n" if step == 1 else "p")
    visit.read(f"Slice {first + step} of 4:")
    assert visit.slide("Slice", -step) == first
    visit.read(f"Slice {first} of 4:")
    visit.press("All results (CSV)")
    lines = list(csv.DictReader(visit.receive(downloads, "*.csv").open()))
    assert [line["file"] for line in lines] == ["0.png", "1.png", "2.png", "notes.txt"]
    assert [line["error"] for line in lines] == ["", "", "", "unsupported_format"]
    assert {line["notice"] for line in lines} == {NOTICE}
    assert sorted(line["reading"] for line in lines) == ["", "", "", "unsure"]
    visit.resize(1366, 1500)
    visit.shoot(ARTEFACTS / "many-files.png")


def test_files_that_are_long_on_their_way_are_waited_for_though_analyze_is_on_already(visit, files):
    visit.upload(files[:1])
    visit.driver.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 800, "downloadThroughput": -1, "uploadThroughput": -1}
    visit.driver.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    try:
        visit.upload(files[1:2])
        visit.press("Analyze")
        visit.read("of 2:")
    finally:
        visit.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**slow, "latency": 0})
        visit.driver.execute_cdp_cmd("Network.disable", {})


def test_a_zip_is_scored_and_a_refused_file_is_told_why_by_its_name_and_nothing_is_made_of_that(
    visit, slices, tmp_path
):
    white = "a/w_hi_te:smile: ![*x*](p.png) <b>.png"
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.writestr("a/slice.png", slices[0])
        archive.writestr(white, encode(np.full((64, 64), 255, np.uint8), "PNG"))
    visit.upload([tmp_path / "scan.zip"])
    visit.press("Analyze")
    visit.read("Slice 1 of 2: a/slice.png")
    visit.type("n")
    visit.read(f"{white} was refused: {NOT_CHEST.format('it is blank')}")


def is_inside(driver, shown):
    """Whether an element is whole on a screen of a laptop."""
    box = driver.execute_script(BOX, shown)
    return 0 <= box["top"] < box["bottom"] <= 768 and 0 <= box["left"] < box["right"] <= 1366


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_screen_answers_and_is_legible_in_both_themes(visit, theme, files):
    visit.prefer(theme)
    visit.resize(1366, 768)
    visit.upload(files[:1])  # which switches Analyze on
    visit.press("A drawn series")
    visit.read(f"of {SLICES}:")
    visit.settle()
    frame = Frame(visit)
    for shown in (".ls-decision", ".ls-class", ".ls-verdict", "[data-testid=stVegaLiteChart]", "iframe"):
        visit.wait(lambda driver, shown=shown: is_inside(driver, shown), f"{shown} on the first screen")
    visit.shoot(ARTEFACTS / f"series-{theme}.png")
    assert visit.driver.execute_script(FOLDED)
    for fold in ("Files", "About this model", "as a table"):
        visit.unfold(fold)
    visit.find("//canvas", "the table")
    visit.settle()
    texts, ground = read_texts(visit.driver)
    with frame.entered():
        inside, below = read_texts(visit.driver, "body")
    assert {"Map", "Original", "Reset"} <= {words for words, _, _ in inside}
    assert below == ground
    texts += inside
    assert {"Refer", "Analyze", "never reported", "Reports"} <= {words for words, _, _ in texts}
    assert not [text for text in texts if text[1] < (3 if text[2] else 4.5)]
    assert (max(ground) < 64) == (theme == "dark")
    for colour in (LINE, SHOWN):
        assert measure_contrast(ImageColor.getrgb(colour), ground) >= 3


def test_readmes_pictures_are_made_from_synthetic_slices(browser, url, downloads, tmp_path):
    browser.prefer("light")
    for path in take_pictures(browser, url, downloads, tmp_path):
        assert path.stat().st_size < MAX_BYTES
        with Image.open(path) as picture:
            assert picture.width > 700
        shutil.copy(path, ARTEFACTS / f"readme-{path.name}")
    assert {path.name for path in (ROOT / "docs").glob("*.png")} >= {"page.png", "overlay.png"}


def test_a_server_that_stops_in_between_is_told_and_the_files_stay(browser, tmp_path, store, slices):
    run = tmp_path / "run"
    started = run_script("serve", "--run", run, "--store", store, "--ports", *find_ports(5))
    assert started.returncode == 0, started.stderr
    (tmp_path / "one.png").write_bytes(slices[0])
    with serve_page(run) as address:
        browser.resize(1366, 900)
        browser.driver.get(address)
        browser.read("Server: Ready")
        browser.upload([tmp_path / "one.png"])
        assert run_script("stop", "--run", run).returncode == 0
        browser.press("Analyze")
        browser.read("The server is not running. Start it with make serve")
        browser.read("one.png")
        browser.read("Server: Not running")
        browser.shoot(ARTEFACTS / "stopped-server.png")
    assert not Instance.read(run).running
