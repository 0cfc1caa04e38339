"""What tests of bulk runs share: the pipeline as a run holds it, and a stop in the midst."""

import threading

import pytest

from lungct_tools.bulk.core import Core


@pytest.fixture
def core(pipeline):
    held = Core(pipeline, "model")
    yield held
    held.close()


@pytest.fixture
def stopping(core, monkeypatch):
    """An event that the ninth file sets, and the files that the core was asked for; one at a time."""
    stop, asked, predict = threading.Event(), [], core.predict

    def count(body, **options):
        asked.append(body)
        if len(asked) == 9:
            stop.set()
        return predict(body, **options)

    monkeypatch.setattr(core, "predict", count)
    monkeypatch.setattr("lungct_tools.bulk.scoring.CALLERS", 1)
    return stop, asked
