"""The picture of a request's way is drawn from what the settings and the model say."""

from xml.etree import ElementTree

from lungct import NOTICE
from lungct_tools import ROOT
from lungct_tools.documents import flow


def test_the_picture_is_what_the_command_prints(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["flow"])
    assert flow.main() == 0
    assert (ROOT / "docs" / "flow.svg").read_text(encoding="utf-8") == capsys.readouterr().out, "run: make flow"


def test_every_station_is_named_and_no_box_leaves_the_picture():
    picture = ElementTree.fromstring(flow.render())  # noqa: S314 - our own
    told = " ".join(picture.itertext())
    stations = ("Client", "Gateway", "TorchServe", "Worker", "Request", "Reader", "Gate", "Engine", "heatmap", "Reply")
    assert all(station in told for station in (*stations, NOTICE, "32 MiB", "224 x 224"))
    for box in picture.iter("{http://www.w3.org/2000/svg}rect"):
        left, top, width, height = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert left >= 0
        assert top >= 0
        assert left + width <= flow.WIDTH
        assert top + height <= flow.HEIGHT


def test_the_numbers_are_those_of_the_settings():
    settings = {"jobQueueSize": 7, "batchSize": 3, "maxBatchDelay": 9, "handler": {"max_bytes": 5 << 20}}
    told = [line for box in flow.list_boxes(settings, {"size": 99}) for line in box.lines]
    for words in ("queues 7 requests,", "up to 3, or", "those of 9 ms", "5 MiB a file", "99 x 99, one"):
        assert words in told
