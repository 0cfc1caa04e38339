"""Programs that watch a real server, for the tests."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import ts
from prometheus_client.parser import text_string_to_metric_families

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.server.instance import Instance
from lungct_tools.server.serve import environment
from tests.support.calls import settle, wait_until


@dataclass(frozen=True)
class Page:
    """A page of metrics."""

    url: str

    def read(self):
        """Name of the sample -> its (labels, value) pairs; {} while nobody answers."""
        try:
            text = requests.get(self.url, timeout=20).text
        except requests.RequestException:
            return {}
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def value(self, name):
        """The value of a metric that has one sample; None when it has none."""
        samples = self.read().get(name)
        return samples[0][1] if samples else None

    def settle(self, name):
        """Wait until a metric stands still: TorchServe counts a moment after it has replied."""
        settle(lambda: self.read().get(name))


@contextmanager
def running(command, log, answers):
    """A program that runs until the block ends, from the moment it answers on."""
    with (
        log.open("w") as stream,
        subprocess.Popen(list(map(str, command)), stdout=stream, stderr=stream, cwd=ROOT) as it,
    ):
        try:
            wait_until(lambda: it.poll() is not None or answers(), 120, f"{command[1]} answers")
            assert it.poll() is None, log.read_text()
            yield it
        finally:
            it.terminate()


@contextmanager
def exporting(run, folder, port):
    """The page of an exporter."""
    page = Page(f"http://127.0.0.1:{port}/metrics")
    command = compose("exporter", "--run", run, "--port", port)
    with running(command, folder / "log", page.read) as process:
        yield page
    assert process.returncode == 0


def collect(folder, answer):
    """(name, dimensions) -> value as TorchServe collects them of a machine whose nvidia-smi gives this answer."""
    tool = folder / "nvidia-smi"
    asked = "--query-gpu=index,memory.used,memory.total,utilization.gpu --format=csv,noheader,nounits"
    tool.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] || exit 1\n{answer}\n')
    tool.chmod(0o755)
    collector = Path(ts.__file__).parent / "metrics" / "metric_collector.py"
    known = environment(Instance(folder, temp=str(folder)))
    done = subprocess.run(
        [sys.executable, str(collector), "--gpu", "2"],
        env={**known, "PATH": f"{folder}{os.pathsep}{known['PATH']}"},
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\w+)\.\w+:([0-9.]+)\|#(.+)\|#hostname", done.stdout, re.MULTILINE)
    assert len(rows) == len(done.stdout.strip().splitlines()), done.stdout
    return {(name, dimensions): float(value) for name, value, dimensions in rows}
