"""One evaluation of a model that was trained on made-up data."""

import json

import pytest

from lungct_tools.modelling.card import EVALUATION
from tests.conftest import run_script


@pytest.fixture(scope="session")
def written(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    place = ("--data", trained.data, "--nodules", trained.nodules, "--model", trained.model, "--out", out)
    done = run_script("evaluate", *place, "--made", 36)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def found(written):
    return json.loads((written / EVALUATION).read_text())
