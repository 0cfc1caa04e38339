"""kill -9 between any two steps: after a restart each series has exactly one result."""

import json
import signal
import subprocess
import sys

import pytest
import requests

from lungct_tools import ROOT
from lungct_tools.pacs.spool import hash_name
from lungct_tools.phantom.series import name_uid

pytestmark = [pytest.mark.ops, pytest.mark.server, pytest.mark.timeout(900)]


def list_versions(spool, name):
    """The folders of a series' results."""
    folder = hash_name(name_uid("study", name), name_uid("series", name))
    return sorted(path.name for path in (spool / "series" / folder / "out").iterdir())


def count_objects(orthanc, name):
    """Instances by modality that the archive has of a study."""
    answer = requests.get(f"{orthanc.web}/studies/{name_uid('study', name)}/instances", timeout=30)
    kinds = [each["00080060"]["Value"][0] for each in answer.json()]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def test_a_kill_before_any_step_leaves_one_result_of_each_series(server, orthanc, tmp_path):
    command = [sys.executable, "-m", "tests.pacs.crash", str(server.run), str(tmp_path), orthanc.web]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= 10
    for step in found:
        assert step["status"] == signal.SIGKILL, step
        assert list_versions(tmp_path / "spool", step["name"]) == ["1"], step
        assert count_objects(orthanc, step["name"]) == {"OT": 4, "SR": 1}, step
