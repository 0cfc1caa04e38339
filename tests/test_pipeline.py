"""Batches: one bad item never changes its neighbours' replies."""

import base64
import gc
import io
import json
import logging
import threading
from types import FrameType, SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lungct.engines import choose_engine
from lungct.errors import PHRASES, STATUS
from lungct.exchange import Origin
from lungct.model import Pooling
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings
from tests.support.pictures import encode
from tests.support.tensors import oip as oip_request

BAD = {
    "empty_body": b"",
    "unsupported_format": b"hello, this is no picture",
    "corrupt_image": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
}


def score(pipeline, *bodies, **headers):
    jobs = [Job({"body": body}, headers, Origin(f"id-{i}")) for i, body in enumerate(bodies)]
    return pipeline.score(jobs).replies


@pytest.fixture(scope="module")
def solo(pipeline, slices):
    """The reply that each good slice gets alone."""
    return [score(pipeline, body, **{"X-Heatmap": "always", "X-Heatmap-Format": "grid"})[0] for body in slices]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.sampled_from([0, 1, 2, 3, *BAD]), min_size=1, max_size=16))
def test_good_replies_in_any_batch_are_the_solo_replies_to_the_byte(pipeline, slices, solo, batch):
    bodies = [BAD[item] if isinstance(item, str) else slices[item] for item in batch]
    replies = score(pipeline, *bodies, **{"X-Heatmap": "always", "X-Heatmap-Format": "grid"})
    assert len(replies) == len(batch)
    for item, reply in zip(batch, replies, strict=True):
        if isinstance(item, str):
            assert json.loads(reply.body)["error"] == item
            assert reply.status == STATUS[item]
        else:
            assert reply.status == 200
            assert reply.body == solo[item].body


@pytest.mark.parametrize("count", [1, 16])
def test_of_a_refused_request_nothing_stays_until_the_collector_comes_by(pipeline, count):
    """Each kept its pixels: sixteen files of 24 kB as many as 250 MB, and a worker grew to 2.9 GB."""
    bodies = [*BAD.values(), encode(np.full((400, 400), 128, np.uint8), "PNG")]
    gc.collect()
    gc.disable()
    try:
        for body in bodies:
            assert {reply.status for reply in score(pipeline, *[body] * count)} <= {400, 415, 422}
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert not [kept for kept in gc.garbage if isinstance(kept, FrameType | np.ndarray)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_the_engine_begins_while_later_slices_are_still_being_decoded(pipeline, slices, monkeypatch):
    begun = threading.Event()
    prepare, predict = Pipeline._prepare, pipeline._engine.predict

    def prepare_late(self, allowance, job):
        assert job.origin.request_id == "id-0" or begun.wait(60), "the engine has not begun"
        return prepare(self, allowance, job)

    def predict_early(inputs):
        def draw():
            for pixels in inputs:
                yield pixels
                begun.set()  # asked for the next one

        return predict(draw())

    monkeypatch.setattr(Pipeline, "_prepare", prepare_late)
    monkeypatch.setattr(pipeline, "_engine", SimpleNamespace(name="early", predict=predict_early))
    assert {reply.status for reply in score(pipeline, *slices)} == {200}


def test_a_batch_may_mix_plain_heatmap_picture_and_protocol_requests(pipeline, slices):
    jobs = [
        Job({"body": slices[0]}, {}),
        Job({"body": slices[0]}, {"explain": "True"}),
        Job({"body": slices[0]}, {"Accept": "image/jpeg"}),
        Job({"body": slices[0]}, {"X-Heatmap": "nonsense"}),
        Job({"data": slices[0], "heatmap": b"always", "heatmap_format": b"grid"}, {}),
    ]
    plain, explained, picture, wrong, form = pipeline.score(jobs).replies
    assert "heatmap" not in json.loads(plain.body)
    assert json.loads(explained.body)["heatmap"]["content_type"] == "image/png"
    assert picture.content_type == "image/jpeg"
    assert Image.open(io.BytesIO(picture.body)).size == (512, 512)
    assert wrong.status == 400
    assert json.loads(form.body)["heatmap"]["data"] is None


def test_grids_of_all_classes_add_up_to_the_logits_of_the_probabilities(pipeline, slices):
    document = json.loads(score(pipeline, slices[2], **{"X-Heatmap": "always", "X-Heatmap-Format": "grid"})[0].body)
    heatmap = document["heatmap"]
    names = list(document["probabilities"])
    grids = np.array([heatmap["grids"][name] for name in names], np.float32)
    pooled = Pooling(**heatmap["pooling"]).pool(grids[None])[0]
    for name, sums in zip(names, pooled, strict=True):
        assert sums + heatmap["bias"][name] == pytest.approx(heatmap["logits"][name], abs=2e-5)
    scaled = np.exp(np.array([heatmap["logits"][n] for n in names]) / pipeline.contract.temperature)
    assert scaled / scaled.sum() == pytest.approx([document["probabilities"][n] for n in names], abs=1e-4)


def test_probabilities_add_up_to_one_and_confidence_is_that_of_the_label(pipeline, slices):
    for reply in score(pipeline, *slices):
        document = json.loads(reply.body)
        assert sum(document["probabilities"].values()) == pytest.approx(1, abs=3e-6)
        assert document["confidence"] == max(document["probabilities"].values())
        assert document["probabilities"][document["label"]] == document["confidence"]
        assert list(document["probabilities"]) == ["Normal", "Benign", "Malignant"]
        assert document["research_use_only"] is True
        assert reply.headers["X-Research-Use-Only"] == "true"
        told = json.loads(reply.headers["X-Score"])
        assert told == {name: document[name] for name in ("label", "confidence", "decision")}


@pytest.mark.parametrize("name", ["Normal", "Benign", "Malignant"])
def test_a_heatmap_may_be_asked_for_any_class(pipeline, slices, name):
    heatmap = json.loads(score(pipeline, slices[0], **{"X-Heatmap": "always", "X-Heatmap-Class": name})[0].body)[
        "heatmap"
    ]
    assert heatmap["class"] == name
    assert heatmap["positive_evidence"] == bool(np.max(heatmap["grids"][name]) > 0)


def test_the_overlay_has_the_size_of_the_source_or_of_the_model(pipeline):
    wide = encode(np.random.default_rng(0).integers(0, 255, (300, 500), dtype=np.uint8), "PNG")
    for size, expected in (("source", (500, 300)), ("model", (224, 224))):
        reply = score(pipeline, wide, **{"Accept": "image/png", "X-Heatmap-Size": size, "X-Gate": "off"})[0]
        assert Image.open(io.BytesIO(reply.body)).size == expected


def test_the_overlay_file_says_research_use_only(pipeline, slices):
    png = Image.open(io.BytesIO(score(pipeline, slices[0], Accept="image/png")[0].body))
    jpeg = Image.open(io.BytesIO(score(pipeline, slices[0], Accept="image/jpeg")[0].body))
    assert "Research use only" in png.text["Disclaimer"]
    assert b"Research use only" in jpeg.info["comment"]


LAYERCAM = {"X-Heatmap": "always", "X-Heatmap-Method": "layercam", "X-Heatmap-Format": "grid"}


def test_library_methods_are_off_unless_the_operator_allows_them(pipeline, folder, slices):
    strict = Pipeline(folder, pipeline._engine, Settings(), threads=1)
    assert json.loads(score(strict, slices[0], **LAYERCAM)[0].body)["error"] == "bad_option"


def test_a_library_method_that_is_allowed_draws(pipeline, slices):
    pytest.importorskip("pytorch_grad_cam")
    heatmap = json.loads(score(pipeline, slices[0], **LAYERCAM)[0].body)["heatmap"]
    assert (heatmap["method"], heatmap["outside_body"]) == ("layercam", None)  # that share is of Grad-CAM's sums


class Failing:
    """An engine that fails this many times before it works."""

    name, kind = "failing", "openvino-fp32"

    def __init__(self, folder, times):
        self._engine, self._left = choose_engine(folder, wanted=self.kind), times

    def predict(self, inputs):
        if self._left:
            self._left -= 1
            raise RuntimeError("CUDA error near PATIENT^NAME")
        return self._engine.predict(inputs)


def test_an_engine_that_fails_once_answers_500_to_all_and_logs_once_without_the_message_and_goes_on(
    folder, slices, caplog
):
    pipeline = Pipeline(folder, Failing(folder, 1), Settings(), threads=2)
    with caplog.at_level(logging.ERROR):
        replies = score(pipeline, slices[0], b"", slices[1])
    assert [reply.status for reply in replies] == [500, 400, 500]
    assert json.loads(replies[0].body)["request_id"] == "id-0"
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert "id-0" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "PATIENT" not in caplog.text + str(replies)
    assert not pipeline.broken
    assert [reply.status for reply in score(pipeline, slices[0])] == [200]


def test_an_engine_that_fails_on_the_golden_inputs_as_well_is_called_broken(folder, slices, caplog):
    pipeline = Pipeline(folder, Failing(folder, 2), Settings(), threads=2)
    with caplog.at_level(logging.ERROR):
        replies = score(pipeline, slices[0], b"", slices[1])
    assert [reply.status for reply in replies] == [500, 400, 500]
    assert pipeline.broken
    assert "Engine failing is broken: RuntimeError" in caplog.text
    assert "PATIENT" not in caplog.text


def test_a_bad_file_never_makes_an_engine_look_broken(pipeline):
    score(pipeline, b"", *BAD.values())
    assert not pipeline.broken


def test_opencv_leaves_the_threads_to_the_pipeline(folder, pipeline):
    cv2.setNumThreads(2)
    Pipeline(folder, pipeline._engine, Settings(), threads=2)
    assert cv2.getNumThreads() == 1


def test_every_status_has_an_ascii_phrase_without_line_breaks():
    assert set(STATUS.values()) | {200} == set(PHRASES)
    assert all(phrase.isascii() and phrase.isprintable() for phrase in PHRASES.values())


def test_a_refusal_of_the_open_inference_protocol_says_all_in_its_error_and_any_other_the_code_alone(pipeline):
    asked = oip_request(data=[base64.b64encode(b"no picture").decode()])
    rows = [{"body": asked}, {"body": {"inputs": []}}, {"body": b"no picture"}]
    spoken = [json.loads(reply.body) for reply in pipeline.score([Job(row, {}, Origin("7")) for row in rows]).replies]
    codes = ["unsupported_format", "bad_option", "unsupported_format"]
    assert [each["error"] for each in spoken] == [
        f"{codes[0]}: {spoken[0]['message']}", f"{codes[1]}: {spoken[1]['message']}", codes[2],
    ]  # fmt: skip
