"""What starts the shards: manifests that fit the schemas of Kubernetes, and a script for Slurm."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lungct_tools import ROOT
from lungct_tools.bulk.command import add_commands
from lungct_tools.bulk.shard import COUNT, Shard
from lungct_tools.commandline import make_parser

VERSION = "1.33"
SCRIPT = ROOT / "config" / "slurm" / "bulk.sbatch"
OVERLAYS = {"bulk": "run", "bulk-gpu": "run", "bulk-list": "list", "bulk-gather": "gather"}


def render(name):
    """Kind -> manifest, as `kubectl apply -k` would send them."""
    command = [Path(sys.executable).parent / "kubectl", "kustomize", ROOT / "config" / "kubernetes" / "overlays" / name]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not rendered.stderr, "kustomize warns"
    return {each["kind"]: each for each in yaml.safe_load_all(rendered.stdout)}


def parse(words):
    """The options of a `bulk` command; SystemExit where it knows one of them not."""
    assert words[0] == "bulk"
    parser = make_parser("")
    add_commands(parser)
    return parser.parse_args(words[1:])


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request):
    return request.param, render(request.param)


@pytest.fixture
def pod(overlay):
    return overlay[1]["Job"]["spec"]["template"]["spec"]


@pytest.mark.ops
def test_every_manifest_fits_its_schema(overlay):
    assert set(overlay[1]) == {"Namespace", "Job", "NetworkPolicy"}
    for manifest in overlay[1].values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.ops
def test_pods_are_confined_and_reach_nobody(overlay, pod):
    assert overlay[1]["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    context = container["securityContext"]
    assert (context["capabilities"], context["readOnlyRootFilesystem"]) == ({"drop": ["ALL"]}, True)
    assert not context["allowPrivilegeEscalation"]
    policy = overlay[1]["NetworkPolicy"]["spec"]
    assert (policy["podSelector"], policy["ingress"], policy["egress"]) == ({}, [], [])
    assert next(each for each in container["volumeMounts"] if each["name"] == "scans")["readOnly"]


@pytest.mark.ops
def test_the_job_runs_a_command_with_options_that_it_knows(overlay, pod):
    name, (container,) = overlay[0], pod["containers"]
    if command := container.get("command"):
        assert command == ["sh", "-c"]
        words = shlex.split(container["args"][0].removesuffix(" || test $? -eq 1"))
        assert words[:4] == ["python", "-P", "-m", "lungct_tools"]
        words = words[4:]
    else:
        words = container["args"]
    options = parse(words)
    assert options.what == OVERLAYS[name]
    places = {
        str(place) for key, place in vars(options).items() if key in ("source", "manifest", "out", "root") and place
    }
    assert all(place.startswith(("/scans", "/scores")) for place in places)
    gpu = container["resources"]["limits"].get("nvidia.com/gpu")
    assert (getattr(options, "device", "cpu") != "cpu") == bool(gpu) == (name == "bulk-gpu")


@pytest.mark.ops
def test_each_index_is_a_shard_and_fails_for_itself(overlay):
    job = overlay[1]["Job"]["spec"]
    if OVERLAYS[overlay[0]] == "run":
        (container,) = job["template"]["spec"]["containers"]
        told = {each["name"]: each["value"] for each in container["env"]}
        last = Shard.find({**told, "JOB_COMPLETION_INDEX": str(job["completions"] - 1)})
        assert last == (job["completions"] - 1, job["completions"])
    assert (job["completionMode"], job["backoffLimitPerIndex"]) == ("Indexed", 3)
    final, _ = job["podFailurePolicy"]["rules"]
    assert (final["action"], final["onExitCodes"]["values"]) == ("FailIndex", [2])
    assert final["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@pytest.fixture
def slurm(tmp_path):
    """The script with a `srun` that runs its command here, and a `lungct` that shows what it was called with."""
    programs = {"srun": 'exec "$@"', "lungct": 'printf "%s\\n" "$@"; env >&2'}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run(**environment):
        places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "2"}
        return subprocess.run(["bash", SCRIPT], env=places | environment, capture_output=True, text=True, check=False)

    return run


def test_a_slurm_task_runs_its_shard_on_the_cores_that_it_was_given(slurm):
    first, last = map(int, re.search(r"^#SBATCH --array=(\d+)-(\d+)%\d+$", SCRIPT.read_text(), re.MULTILINE).groups())
    array = {"SLURM_ARRAY_TASK_MIN": str(first), "SLURM_ARRAY_TASK_COUNT": str(last - first + 1)}
    done = slurm(MANIFEST="my scans.manifest", OUT="my scores", SLURM_ARRAY_TASK_ID=str(last), **array)
    assert done.returncode == 0, done.stderr
    options = parse(done.stdout.splitlines())
    assert (str(options.manifest), str(options.out)) == ("my scans.manifest", "my scores")
    assert (options.threads, options.device, options.shard) == (2, "cpu", None)
    seen = dict(line.partition("=")[::2] for line in done.stderr.splitlines())
    assert Shard.find(seen) == (last, last + 1)
    alone = {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "1", COUNT: str(last + 1)}
    done = slurm(MANIFEST="m", OUT="o", SLURM_ARRAY_TASK_ID="3", **alone)
    assert Shard.find(dict(line.partition("=")[::2] for line in done.stderr.splitlines())) == (3, last + 1)


def test_a_slurm_task_without_its_places_says_which_it_lacks(slurm):
    done = slurm(OUT="o")
    assert (done.returncode != 0, "name the manifest" in done.stderr) == (True, True)
