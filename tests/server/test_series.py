"""How TorchServe counts: a version in the path is a series of its own, and class names with punctuation."""

import json
import shutil
from dataclasses import replace

import pytest

from lungct.model.folder import load_model_folder
from lungct_client import Client
from lungct_tools.server.instance import Instance, find_ports
from tests.conftest import MODEL, run_script
from tests.support.calls import post, wait_until
from tests.support.watching import Page

pytestmark = pytest.mark.server

# All ASCII punctuation but what the contract refuses, and more than ASCII.
ODD = (
    f"Benign {''.join(chr(c) for c in range(33, 48) if chr(c) not in ',')}",
    "Malignant ;<=>?@[\\]^_`{}~",
    "Normal é ß",
)


def pages(server):
    return Page(f"{server.url('metrics')}/metrics")


def test_a_version_in_the_path_is_a_series_of_its_own_so_rules_have_to_sum(server, client, slices):
    version = client.predict(slices[0])["model"]["version"]
    for path in ("/predictions/lung_ct", f"/predictions/lung_ct/{version}"):
        assert post(server, slices[0], path).status_code == 200

    def versions():
        return {labels["model_version"] for labels, _ in pages(server).read().get("ts_inference_requests_total", ())}

    wait_until(lambda: versions() >= {"default", version}, 60, "both are counted")


@pytest.fixture
def odd_server(tmp_path):
    """A server of the shipped model under odd class names."""
    model = shutil.copytree(MODEL, tmp_path / "model")
    contract = load_model_folder(model).contract
    replace(contract, classes=ODD, refer_below={}).write(model)
    built = run_script("archive", "--model", model, "--out", tmp_path / "store")
    assert built.returncode == 0, built.stderr
    run = tmp_path / "run"
    started = run_script("serve", "--run", run, "--store", tmp_path / "store", "--ports", *find_ports(5))
    assert started.returncode == 0, started.stderr
    yield Instance.read(run)
    assert run_script("stop", "--run", run).returncode == 0


def test_every_class_name_that_the_contract_lets_through_is_counted_under_its_own_name(odd_server, slices):
    client = Client(odd_server)
    told = [client.predict(body, heatmap="none")["label"] for body in slices]

    def counted():
        samples = pages(odd_server).read().get("lung_ct_requests_total", ())
        return {labels["Label"]: value for labels, value in samples if labels["Outcome"] != "canary"}

    expected = {name: told.count(name) for name in set(told)}
    wait_until(lambda: counted() == expected, 60, f"{json.dumps(expected)} is counted")
