"""What the tests of updates share: another archive, the update, the peak before it, and what the exporter tells."""

import json
import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lungct.model.contract import SEAL, count_seal
from lungct_tools.operate.exporter import describe_gateway
from tests.conftest import run_script
from tests.faults.site import BACK_S, copy_archive
from tests.support.calls import wait_until
from tests.support.gateways import read_counts
from tests.support.traffic import Traffic

CALLERS, PEAK_S = 16, 4
MURMUR, WORD = 0x5BD1E995, 2**32 - 1


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


def measure_peak(site, slices):
    """The most answers a second of the site."""
    wait_until(site.is_ready, BACK_S, "ready")
    begun = time.monotonic()
    with Traffic(site.door.client("raw", deadline_s=0), slices, CALLERS) as traffic:
        wait_until(
            lambda: time.monotonic() - begun > PEAK_S and traffic.answered > CALLERS, BACK_S, "the peak is measured"
        )
    return traffic.answered / (time.monotonic() - begun)


def is_in_share(name, percent):
    """Whether a request of this id is for the candidate: by MurmurHash2, as nginx's split_clients decides it."""
    found, rest = len(name), name.encode()
    while len(rest) >= 4:
        part = int.from_bytes(rest[:4], "little") * MURMUR & WORD
        found = (found * MURMUR ^ (part ^ part >> 24) * MURMUR) & WORD
        rest = rest[4:]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * MURMUR & WORD
    found = (found ^ found >> 13) * MURMUR & WORD
    return found ^ found >> 15 < percent * WORD // 100
