"""What a person does on the page, and what the page says."""

import json

from streamlit.testing.v1 import AppTest

from lungct_tools import TOOLS

LAYOUT = str(TOOLS / "page" / "layout.py")


def open_page():
    """The page as it is before anything is chosen."""
    return AppTest.from_file(LAYOUT, default_timeout=120).run()


def upload(page, *files):
    for name, body in files:
        page.file_uploader[0].upload(name, body)
    return press(page.run(), "Analyze")


def press(page, label):
    next(button for button in page.button if label in button.label).click()
    page.run()
    assert not page.exception
    return page


def said(page):
    """Everything that the page says."""
    kinds = ("html", "markdown", "caption", "error", "warning", "info")
    texts = [element.body if kind == "html" else element.value for kind in kinds for element in page.get(kind)]
    return " ".join([*texts, *(sent["told"] for sent in find_sent(page))])


def find_sent(page):
    """What the viewer is sent, but for pixels, of the slice that is shown; empty where it is not there."""
    sent = [json.loads(element.proto.json_args) for element in page.get("component_instance")]
    return [{**each, **next(one for one in each["slices"] if one["at"] == each["at"])} for each in sent]


def read_sent(page):
    """What the viewer is told of all slices that it is sent, and the bytes of their pixels."""
    (element,) = page.get("component_instance")
    pixels = next(each.bytes for each in element.proto.special_args if each.key == "pixels")
    return json.loads(element.proto.json_args)["slices"], pixels
