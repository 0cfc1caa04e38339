"""The handler with TorchServe's own Context and metrics cache, in this process."""

import ast
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ts
import yaml
from lung_ct_handler import LungCTHandler
from ts.context import Context, RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from lungct.engines import choose_engine
from lungct.errors import ModelFolderError
from lungct.pipeline import Pipeline
from lungct_tools import ROOT, TOOLS
from tests.conftest import MODEL
from tests.support.origins import GOOD_IDS, TRACE_ID, TRACEPARENT


def make_context(model_dir=MODEL, gpu=None, **config):
    metrics = MetricsCacheYamlImpl(str(ROOT / "config" / "metrics.yaml"))
    metrics.initialize_cache()
    metrics.set_request_ids("ids")
    metrics.model_name = "lung_ct"
    return Context("lung_ct", str(model_dir), {}, 4, gpu, ts.__version__, True, metrics, {"minWorkers": 1, **config})


@pytest.fixture(scope="module")
def context():
    return make_context()


@pytest.fixture(scope="module")
def handler(context):
    handler = LungCTHandler()
    handler.initialize(context)
    return handler


def ask(handler, context, rows, headers=None):
    headers = headers or [{}] * len(rows)
    context.request_ids = {i: f"id-{i}" for i in range(len(rows))}
    context.request_processor = [RequestProcessor(dict(h)) for h in headers]
    return handler.handle(rows, context)


def test_each_row_gets_its_own_status_content_type_and_body(handler, context, slices):
    rows = [{"body": slices[0]}, {"body": b""}, {"body": b"text"}, {"data": slices[1]}]
    bodies = ask(handler, context, rows, [{"Accept": "image/png"}, {}, {}, {}])
    assert [context.get_response_status(i)[0] for i in range(4)] == [200, 400, 415, 200]
    assert [context.get_response_content_type(i) for i in range(4)] == ["image/png", *["application/json"] * 3]
    assert isinstance(bodies[0], bytes)
    assert json.loads(bodies[1])["request_id"] == "id-1"
    assert all(context.get_response_headers(i)["X-Research-Use-Only"] == "true" for i in range(4))


def test_a_refusal_and_the_log_name_the_callers_ids(handler, context, slices, monkeypatch, caplog):
    monkeypatch.setattr(Pipeline, "_answer", lambda *_: 1 / 0)
    rows, named = [{"body": b""}, {"body": slices[0]}], {"X-Request-Id": GOOD_IDS[0], "traceparent": TRACEPARENT}
    bodies = ask(handler, context, rows, [named] * 2)
    assert [json.loads(body)["request_id"] for body in bodies] == [GOOD_IDS[0]] * 2
    assert f"Request {GOOD_IDS[0]} of trace {TRACE_ID} failed: ZeroDivisionError" in caplog.text


def test_a_clients_describe_header_changes_nothing(handler, context, slices):
    for rows in ([{"body": slices[0]}], [{"body": slices[0]}, {"body": slices[1]}], [{}, {"body": slices[0]}]):
        bodies = ask(handler, context, rows, [{"describe": "True"}] * len(rows))
        assert len(bodies) == len(rows)
        assert json.loads(bodies[-1])["label"]


def test_the_management_api_gets_the_contract(handler, context):
    document = json.loads(ask(handler, context, [{}], [{"describe": "True"}])[0])
    assert document["engine"].startswith("openvino-")
    assert document["classes"] == ["Benign", "Malignant", "Normal"]


def test_explain_is_decided_for_each_row(handler, context, slices):
    bodies = ask(handler, context, [{"body": slices[0]}] * 2, [{}, {"explain": "True"}])
    assert "heatmap" not in json.loads(bodies[0])
    assert "heatmap" in json.loads(bodies[1])


def test_each_declared_series_is_emitted_once_a_batch_and_without_free_text(handler, context, slices, caplog):
    with caplog.at_level(logging.INFO, logger="ts.metrics"):
        ask(handler, context, [{"body": slices[0]}, {"body": slices[0]}, {"body": b"PATIENT^NAME"}])
    lines = [record.getMessage() for record in caplog.records if "[METRICS]" in record.getMessage()]
    names = [line.split("|#hostname")[0].split(":", 1)[0] + line.split("|#")[1] for line in lines]
    assert len(names) == len(set(names))
    assert sum("lung_ct_requests_total.Count:2" in line for line in lines) == 1
    assert sum("lung_ct_rejections_total.Count:1|#Code:unsupported_format" in line for line in lines) == 1
    assert sum("lung_ct_stage_seconds_sum" in line for line in lines) == 3
    declared = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())["model_metrics"]["counter"]
    emitted = {line.removeprefix("[METRICS]").split(".")[0] for line in lines}
    assert emitted == {metric["name"] for metric in declared} - {"lung_ct_traces_dropped_total"}, "no collector here"
    assert not any("Failed to update" in line or "PATIENT" in line for line in lines)


def test_a_monitors_canary_is_counted_apart_and_never_as_confidence(handler, context, slices, caplog):
    with caplog.at_level(logging.INFO, logger="ts.metrics"):
        ask(handler, context, [{"body": slices[0]}, {"body": slices[0]}], [{"X-Canary": "yes"}, {}])
    lines = [record.getMessage() for record in caplog.records if "[METRICS]" in record.getMessage()]
    assert sum("lung_ct_requests_total.Count:1|" in line and "Outcome:canary" in line for line in lines) == 1
    assert [line.split("|")[0] for line in lines if "lung_ct_confidence_total" in line] == [
        "[METRICS]lung_ct_confidence_total.Count:1"
    ]
    total = next(line for line in lines if "lung_ct_confidence_sum" in line)
    assert 1 / 3 <= float(total.split("Count:")[1].split("|")[0]) <= 1


def test_a_damaged_model_folder_fails_loading(tmp_path):
    for file in MODEL.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "weights.safetensors").open("r+b") as stream:
        stream.seek(5_000_000)
        stream.write(b"\xff")
    with pytest.raises(ModelFolderError, match="changed"):
        LungCTHandler().initialize(make_context(tmp_path))


def test_a_worker_that_should_have_a_gpu_and_has_none_fails_loading():
    with pytest.raises(RuntimeError, match="GPU"):
        LungCTHandler().initialize(make_context(deviceType="gpu"))


def test_the_image_for_gpus_packs_settings_that_ask_for_one(tmp_path):
    """Else its workers would serve on the CPU where TorchServe sees no GPU, and nobody would know."""
    stage = (ROOT / "Containerfile").read_text().partition(" AS archive")[2].partition("FROM ")[0]
    choice = re.search(r"^RUN (if .*?\bfi\b)", stage, re.MULTILINE | re.DOTALL)[1]
    shutil.copytree(ROOT / "config", tmp_path / "config")
    asked = []
    for accelerator in ("cpu", "cuda"):
        environment = {**os.environ, "ACCELERATOR": accelerator}
        subprocess.run(["sh", "-c", choice], cwd=tmp_path, env=environment, check=True)
        config = yaml.safe_load((tmp_path / "config" / "model-config.yaml").read_text())
        asked.append(config.pop("deviceType", None))
        assert config == yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    assert asked == [None, "gpu"]
    assert stage.index(choice) < stage.index("lungct_tools archive")


@pytest.mark.parametrize(("gpu", "device"), [(None, "cpu"), (0, "cuda:0"), (3, "cuda:3")])
def test_the_engine_is_made_for_the_device_that_torchserve_assigned_and_warm_for_its_batches(gpu, device, monkeypatch):
    asked = []

    def choose(folder, *arguments):
        asked.append(arguments)
        return choose_engine(folder, threads=1)

    monkeypatch.setattr("lungct.serving.loading.choose_engine", choose)
    LungCTHandler().initialize(make_context(gpu=gpu, handler={"threads": 3}, deviceType="gpu" if gpu else "cpu"))
    assert asked == [(device, 3, "auto", 4)]


def test_an_unknown_handler_setting_fails_loading():
    with pytest.raises(ValueError, match="max_pixel"):
        LungCTHandler().initialize(make_context(handler={"max_pixel": 5}))


def test_the_handler_module_defines_exactly_one_class():
    """TorchServe's loader refuses a module with two."""
    tree = ast.parse(Path(ROOT / "handler" / "lung_ct_handler.py").read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == ["LungCTHandler"]


def test_the_shipped_settings_are_accepted_and_leave_no_time_to_torchserves_defaults():
    config = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    assert config["maxBatchDelay"] >= 1, "0 silently becomes 100"
    assert {"responseTimeout", "startupTimeout"} <= set(config), "their defaults beat every other place"
    LungCTHandler().initialize(make_context(**config))


WORKER = """
import json
import sys
from ts.protocol import otf_message_handler
from ts.context import Context
from lung_ct_handler import LungCTHandler

assert not hasattr(otf_message_handler.torch, "__path__"), "TorchServe did not get the stand-in"
model, engine = sys.argv[1:]
config = {"handler": {"engine": engine}}
handler = LungCTHandler()
handler.initialize(Context("lung_ct", model, {}, 1, None, "0.12.0", True, None, config))
print(json.loads(handler._pipeline.describe())["engine"], "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("wanted", "engine", "loaded"), [("openvino-fp32", "openvino-fp32", False), ("torch", "torch-cpu-fp32", True)]
)
def test_a_worker_loads_torch_only_for_an_engine_that_computes_with_it(wanted, engine, loaded):
    if loaded:
        pytest.importorskip("torchvision")
    paths = os.pathsep.join(map(str, [TOOLS / "standin", ROOT / "handler"]))
    command = [sys.executable, "-c", WORKER, str(MODEL), wanted]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [engine, str(loaded)]


BREAKS = """
import sys
sys.path[:0] = sys.argv[1:]
from tests.test_handler import LungCTHandler, ask, make_context

def fail(inputs):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")

context, handler = make_context(), LungCTHandler()
handler.initialize(context)
rows = [{"body": sys.stdin.buffer.read()}]
print(ask(handler, context, rows) and context.get_response_status(0)[0], flush=True)
handler._pipeline._engine.predict = fail
print(ask(handler, context, rows) and context.get_response_status(0)[0], flush=True)
ask(handler, context, rows)
print("still here", flush=True)
"""


def test_a_worker_whose_engine_is_broken_for_good_answers_that_batch_and_ends_at_the_next(slices):
    command = [sys.executable, "-c", BREAKS, str(ROOT), str(ROOT / "handler")]
    done = subprocess.run(command, input=slices[0], capture_output=True, check=False)
    assert (done.stdout.split(), done.returncode) == ([b"200", b"500"], 1), done.stderr.decode()
    assert b"is broken: RuntimeError" in done.stderr
