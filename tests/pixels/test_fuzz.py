"""A short run of the fuzzer; the long one is described in lungct fuzz."""

import os
import subprocess

import pytest

from lungct_tools import ROOT
from lungct_tools.commandline import compose


def test_a_short_fuzz_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    command = compose("fuzz", tmp_path / "corpus", "-runs=1000", "-max_total_time=10", "-seed=1")
    command += ["-rss_limit_mb=4096"]  # here codecs have no ceiling of memory, which the server's children have
    done = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/"], cwd=ROOT, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": "handler"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "INITED" in done.stderr  # it did run
    assert len(list((tmp_path / "corpus").iterdir())) > 150
