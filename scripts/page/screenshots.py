"""Make README's pictures of the page from synthetic slices, with a headless Chromium. The server must run.

    lungct screenshots
    lungct screenshots --out /tmp/pictures --run /tmp/b

Writes page.png (a series on the page) and overlay.png (what the page offers to keep). No patient is in them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium.common.exceptions import WebDriverException

from lungct_tools import ROOT
from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.page.browser import Browser, find_chromium, open_browser, serve_page
from lungct_tools.page.examples import SERIES

WIDTH, HEIGHT, MAX_BYTES = 1366, 1550, 380_000


def take_pictures(browser: Browser, url: str, downloads: Path, out: Path) -> list[Path]:
    """Use the page as a person would, on an example that says it is one; the paths of page.png and overlay.png."""
    browser.resize(WIDTH, HEIGHT)
    browser.driver.get(url)
    browser.press(SERIES)
    browser.read("Heatmap for")
    browser.unfold("as a table")
    browser.find("//canvas", "the table")
    browser.shoot(out / "page.png")
    browser.press("Picture (PNG)")
    kept = browser.receive(downloads, "*-heatmap.png")
    kept.replace(out / "overlay.png")
    pictures = [out / "page.png", out / "overlay.png"]
    for path in pictures:
        shrink(path)
    return pictures


def shrink(path: Path) -> None:
    """Make a PNG small enough for a repository, by size: fewer colours would put steps into the map."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.save(path, optimize=True)
    while path.stat().st_size >= MAX_BYTES:
        picture = picture.resize((picture.width * 9 // 10, picture.height * 9 // 10), Image.Resampling.LANCZOS)
        picture.save(path, optimize=True)


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder for the pictures (default: docs)")
    args = parser.parse_args()
    if find_chromium() is None:
        print("screenshots: Chromium is missing: apt-get install chromium chromium-driver.", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory() as downloads,
            serve_page(args.run) as url,
            open_browser(Path(downloads)) as browser,
        ):
            for path in take_pictures(browser, url, Path(downloads), args.out):
                print(f"wrote {path}")
    except WebDriverException as error:
        print(f"screenshots: {error.msg}; is the server ready? See `make status`.", file=sys.stderr)
        return 1
    return 0
