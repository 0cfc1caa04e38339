"""The peers as the benchmark starts them, and the layout that each is given."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from lungct_tools import ROOT
from lungct_tools.bench import layouts
from lungct_tools.bench.estimate import Sample
from lungct_tools.bench.layouts import Layout, list_layouts, serve_better
from lungct_tools.bench.load import WRK_MISSING, find_wrk
from lungct_tools.bench.peers import serve_litserve, serve_stock, surround
from lungct_tools.bench.rates import Plan
from lungct_tools.bench.slices import draw_slices
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import list_members
from tests.support.calls import wait_until


def make_plan(cores, quick=False):
    return Plan([b""], 1, 1, cores, Path(), quick)


def test_one_worker_with_all_cores_and_one_worker_a_core_are_tried():
    assert list_layouts(make_plan(4)) == [(1, 4), (4, 1)]
    assert list_layouts(make_plan(1)) == [(1, 1)]
    assert list_layouts(make_plan(4, quick=True)) == [(1, 4)]


def test_a_peer_gets_the_better_layout_and_the_other_is_stopped(monkeypatch):
    events = []

    class Server:
        def __init__(self, layout):
            self.layout = layout

        def measure(self, callers, seconds):
            return Sample(10.0 * self.layout.workers)

    @contextmanager
    def serve(layout):
        yield Server(layout)
        events.append(f"stopped {layout}")

    monkeypatch.setattr(layouts, "ROUNDS", 3)
    with serve_better("Peer", serve, make_plan(2)) as (server, found):
        events.append("measured")
        assert server.layout == Layout(2, 1)
        assert {name: [each.rate for each in samples] for name, samples in found.items()} == {
            "1 x 2": [10.0] * 3,
            "2 x 1": [20.0] * 3,
        }
    assert events == ["stopped 1 x 2", "measured", "stopped 2 x 1"]


def test_a_peer_computes_with_torch_and_not_with_the_stand_in_of_our_workers(tmp_path):
    command = [sys.executable, "-c", "import torch; torch.nn"]
    done = subprocess.run(command, env=surround(Instance(tmp_path), 1), capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.server
@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
@pytest.mark.parametrize("serve", [serve_stock, serve_litserve])
def test_a_peer_with_a_worker_a_core_answers_sleeps_but_while_it_is_measured_and_ends(serve, folder, tmp_path):
    with serve(tmp_path, folder, draw_slices(count=2), Layout(2, 1)) as peer:
        sample = peer.measure(callers=4, seconds=1)
        assert sample.rate > 0
        assert sample.errors == 0
        target = peer.aim()
        with pytest.raises(requests.ReadTimeout):
            requests.post(target.url, target.bodies[0], headers=dict(target.headers), timeout=2)
    wait_until(lambda: not any(list_members(peer.group)), 60, "it has ended")
