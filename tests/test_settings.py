"""How many threads a worker takes."""

import logging
import os

import pytest
from lung_ct_handler import LungCTHandler

from lungct.settings import count_cores
from tests.test_handler import make_context


@pytest.mark.parametrize(
    ("group", "quotas", "cores"),
    [
        ("/", {}, 64),
        ("/", {"": "max 100000"}, 64),
        ("/", {"": "200000 100000"}, 2),
        ("/", {"": "150000 100000"}, 2),
        ("/", {"": "20000 100000"}, 1),
        ("/", {"": "12800000 100000"}, 64),
        ("/system.slice/lung-ct.service", {"system.slice/lung-ct.service": "400000 100000"}, 4),
        ("/pod/server", {"pod/server": "max 100000", "pod": "300000 100000"}, 3),
        ("/of/the/machine", {"": "200000 100000"}, 2),  # a container that sees its group by the machine's path
    ],
)
def test_threads_are_for_the_cores_that_a_quota_leaves(group, quotas, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"1:cpu:/old\n0::{group}\n")
    for place, text in quotas.items():
        folder = tmp_path / "sys" / "fs" / "cgroup" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(f"{text}\n")
    assert count_cores(tmp_path) == cores


def test_without_control_groups_all_cores_are_used(tmp_path):
    assert count_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_worker_under_a_quota_computes_with_the_threads_that_the_quota_leaves(monkeypatch, caplog):
    monkeypatch.setattr("lungct.serving.loading.count_cores", lambda: 6)
    with caplog.at_level(logging.INFO, logger="lung_ct_handler"):
        LungCTHandler().initialize(make_context(minWorkers=3))
    assert "2 threads" in caplog.text
