"""What the tests of a canary and of a shadow share: another archive, the update, and what the exporter tells of it."""

import json

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lungct.model.contract import SEAL, count_seal
from lungct_tools.operate.exporter import describe_gateway
from tests.conftest import run_script
from tests.faults.site import copy_archive
from tests.support.gateways import read_counts


def update(site, *words):
    return run_script("update", *words, "--run", site.run)


def rename(text, version):
    """model.json of another version, which vouches for itself."""
    document = {name: value for name, value in json.loads(text).items() if name != SEAL} | {"version": version}
    return json.dumps({**document, SEAL: count_seal(document)}).encode()


def build_other(site, folder, version):
    """An archive in this folder like the one that serves, but of another version."""
    return copy_archive(site.store, folder, {"model.json": lambda text: rename(text, version)})


def read_metrics(site):
    """Sample name and label values -> value, of the gateway's metrics."""

    class Gateway:
        def collect(self):
            return describe_gateway(site.run)

    read_counts(site.run)  # it tells them: else what is read here would lack them
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Gateway())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(sample.name, *sample.labels.values()): sample.value for each in families for sample in each.samples}
