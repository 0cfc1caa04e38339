"""Other servers beside ours: TorchServe's stock image_classifier, LitServe, TorchServe with nothing to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import requests
import torch
import yaml

from lungct.model.folder import ModelFolder
from lungct.settings import list_given_folders
from lungct_tools import ROOT
from lungct_tools.bench.inprocess import make_plain_network
from lungct_tools.bench.layouts import Layout
from lungct_tools.bench.load import Target
from lungct_tools.bench.servers import CPU
from lungct_tools.bench.sleeper import Sleeper, asleep
from lungct_tools.bench.slices import colour
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.polling import poll
from lungct_tools.server.processes import read_birth
from lungct_tools.server.runfolder import make_temp
from lungct_tools.server.serve import environment
from lungct_tools.server.shutdown import stop

BATCH, DELAY_MS = 16, 5
DEADLINE_S = 120
LOG_CONFIG = ROOT / "config" / "log4j2.xml"
STOCK_MODEL = '''"""The network for the stock handler, which wants one class in a file."""

from torchvision.models.resnet import BasicBlock, ResNet


class Network(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes={classes})
'''
STOCK_HANDLER = '''"""The stock handler; its five best classes are more than the model has."""

from ts.torch_handler.image_classifier import ImageClassifier


class Stock(ImageClassifier):
    topk = {classes}
'''
EMPTY_HANDLER = """def handle(data, context):
    return ["{}"] * len(data or [])
"""


@contextmanager
def serve_stock(run: Path, folder: ModelFolder, slices: Sequence[bytes], layout: Layout) -> Iterator[Sleeper]:
    """TorchServe 0.12 with image_classifier and the model folder's weights.

    It gets RGB files, because it fails on gray ones, and our log settings, because its own write ten lines a request.
    """
    run.mkdir(parents=True, exist_ok=True)
    classes = folder.contract.classes
    torch.save(make_plain_network(folder).state_dict(), run / "weights.pth")
    (run / "network.py").write_text(STOCK_MODEL.format(classes=len(classes)))
    (run / "stock.py").write_text(STOCK_HANDLER.format(classes=len(classes)))
    (run / "index_to_name.json").write_text(json.dumps(dict(enumerate(classes))))
    files = {
        "--model-file": run / "network.py",
        "--serialized-file": run / "weights.pth",
        "--extra-files": run / "index_to_name.json",
    }
    with _serve_handler(run, run / "stock.py", files, DELAY_MS, colour(list(slices)), layout) as peer:
        yield peer


@contextmanager
def serve_empty(run: Path, slices: Sequence[bytes], delay_ms: int) -> Iterator[Sleeper]:
    """TorchServe 0.12 with a handler that does nothing: what the server itself takes for an upload."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "empty.py").write_text(EMPTY_HANDLER)
    with _serve_handler(run, run / "empty.py", {}, delay_ms, slices, Layout(1, 1)) as peer:
        yield peer


@contextmanager
def _serve_handler(
    run: Path, handler: Path, files: Mapping[str, Path], delay_ms: int, slices: Sequence[bytes], layout: Layout
) -> Iterator[Sleeper]:
    store = run / "store"
    store.mkdir(exist_ok=True)
    workers = {"minWorkers": layout.workers, "maxWorkers": layout.workers}
    settings = {**workers, "batchSize": BATCH, "maxBatchDelay": delay_ms, "jobQueueSize": 200}
    (run / "model-config.yaml").write_text(yaml.safe_dump(settings))
    arguments = {
        "--model-name": "peer",
        "--version": "1.0",
        "--handler": handler,
        "--config-file": run / "model-config.yaml",
        "--export-path": store,
        **files,
    }
    binaries = Path(sys.executable).parent
    archiver = [binaries / "torch-model-archiver", "--force", *(part for pair in arguments.items() for part in pair)]
    subprocess.run(list(map(str, archiver)), check=True)
    ports = find_ports(5)
    instance = Instance(run, tuple(ports), temp=make_temp(run))
    apis = zip(("inference", "management", "metrics"), ports, strict=False)
    lines = [f"{api}_address=http://127.0.0.1:{port}" for api, port in apis]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}", "load_models=peer.mar", CPU]
    (run / "config.properties").write_text("\n".join([*lines, f"model_store={store}", "vmargs=-Xmx1g", ""]))
    command = [binaries / "torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--ts-config", run / "config.properties", "--log-config", LOG_CONFIG]
    with (run / "server.log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=run, stdout=log, stderr=log, start_new_session=True,
            env=surround(instance, layout.threads),
        )  # fmt: skip
    target = Target(ports[0], "/predictions/peer", {"Content-Type": "application/octet-stream"}, slices)
    try:
        _wait(target, target.bodies[0])
        with asleep(lambda: target, process.pid) as peer:
            yield peer
    finally:
        stop(replace(instance, pid=process.pid, birth=read_birth(process.pid)))


def surround(instance: Instance, threads: int) -> dict[str, str]:
    """A peer's environment: that of our server, but for its stand-in of torch, which PYTHONPATH leads to."""
    own = {"PYTHONPATH": os.pathsep.join(list_given_folders()), "OMP_NUM_THREADS": str(threads)}
    return {**environment(instance), **own}


@contextmanager
def serve_litserve(run: Path, folder: ModelFolder, slices: Sequence[bytes], layout: Layout) -> Iterator[Sleeper]:
    """LitServe with the same network in eager fp32, batches like ours."""
    run.mkdir(parents=True, exist_ok=True)
    torch.save(make_plain_network(folder).state_dict(), run / "weights.pth")
    (port,) = find_ports(1)
    command = [sys.executable, "-P", "-m", "lungct_tools.bench.litserver", run / "weights.pth", port, *layout]
    with (run / "server.log").open("wb") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, start_new_session=True)
    boundary = "slice"
    form = f'--{boundary}\r\nContent-Disposition: form-data; name="request"; filename="slice.jpg"\r\n'
    form += "Content-Type: image/jpeg\r\n\r\n"
    bodies = [form.encode() + each + f"\r\n--{boundary}--\r\n".encode() for each in slices]
    target = Target(port, "/predict", {"Content-Type": f"multipart/form-data; boundary={boundary}"}, bodies)
    try:
        _wait(target, bodies[0])
        with asleep(lambda: target, process.pid) as peer:
            yield peer
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(target: Target, body: bytes) -> None:
    """Until the server answers; TimeoutError if it never does."""
    for _ in poll(DEADLINE_S, 0.2):
        with suppress(requests.RequestException):
            if requests.post(target.url, data=body, headers=dict(target.headers), timeout=30).status_code == 200:
                return
    raise TimeoutError(f"The server on port {target.port} does not answer.")
