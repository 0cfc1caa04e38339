"""The page with the real pipeline in this process instead of a server."""

import pytest

from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.desk import Desk
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
