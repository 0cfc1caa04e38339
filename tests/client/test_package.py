"""The client as a package of its own: what is in its wheel, its types, its keys, its gRPC, a reply's fields."""

import ast
import json
import shutil
import subprocess
import sys
import tomllib
import traceback
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessages

from lungct_client import Client, ClientError, Gateway, HeaderError, Reply, ServerDown, ServerError
from lungct_client.rpc import METHOD, read_reply, write_request
from lungct_tools import ROOT
from lungct_tools.server.choice import ChoiceError, open_gateway
from lungct_tools.setup import make_settings
from tests.support import gateways
from tests.support.calls import wait_until
from tests.test_pipeline import score

PACKAGE = ROOT / "scripts" / "client"
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
KEY = "5ecre7" * 8


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as `pip wheel` does, from a copy: the build leaves folders behind."""
    source, out = tmp_path_factory.mktemp("source") / "client", tmp_path_factory.mktemp("wheel")
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", source]
    subprocess.run([*command, "-w", out], check=True)
    (made,) = out.glob("*.whl")
    return made


def test_the_wheel_has_the_package_its_types_and_the_proto_file_and_needs_requests_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[2] for name in archive.namelist() if name.startswith("lungct_client/")}
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert names == {path.name for path in PACKAGE.glob("*.py")} | {"py.typed", "torchserve.proto"}
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line]
    assert [line.split()[1].partition(">")[0] for line in needed] == ["requests"]
    assert "Not a medical device" in metadata


def test_its_version_is_that_of_the_project():
    assert PROJECT["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_who_asks_nothing_loads_no_http_library_and_a_wrong_name_is_refused():
    loaded = "print('requests' in sys.modules)"
    code = f"import sys, lungct_client as c; c.ServerError; {loaded}; c.Client; {loaded}; c.Klient"
    told = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert told.stdout.split() == ["False", "True"]
    assert "has no attribute 'Klient'" in told.stderr


def test_it_is_typed_strictly(tmp_path):
    (tmp_path / "lungct_client").mkdir()
    for path in PACKAGE.glob("*.py"):
        shutil.copy(path, tmp_path / "lungct_client")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path / "cache"]
    command += ["--ignore-missing-imports", "-p", "lungct_client"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_goes_over_grpc_is_what_the_proto_file_says(tmp_path):
    made = tmp_path / "set"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PACKAGE}", f"--descriptor_set_out={made}"]
    subprocess.run([*command, "torchserve.proto"], check=True)
    (file,) = FileDescriptorSet.FromString(made.read_bytes()).file
    (service,) = file.service
    assert f"/{file.package}.{service.name}/{service.method[0].name}" == METHOD
    messages = GetMessages([file])
    inputs = {"data": bytes(range(256)) * 2, "heatmap": b"none", "frame": b""}
    request = messages[f"{file.package}.PredictionsRequest"].FromString(write_request("lung_ct", inputs))
    assert (request.model_name, dict(request.input)) == ("lung_ct", inputs)
    for size in (1, 127, 128, 70_000):
        reply = messages[f"{file.package}.PredictionResponse"](prediction=bytes(size))
        assert read_reply(reply.SerializeToString()) == bytes(size)


def test_every_name_of_the_readme_s_example_is_the_package_s():
    blocks = (PACKAGE / "README.md").read_text().split("```python\n")[1:]
    for block in blocks:
        ast.parse(block.partition("```")[0])


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\t\n"])
def test_blanks_and_line_ends_around_a_key_are_dropped(around):
    assert Gateway("https://ct.example.org", KEY + around).key == KEY


@pytest.mark.parametrize("inside", ["\n", " ", "\x00", "ä", "\u2028", "\x7f"])
def test_what_can_be_no_key_is_a_typed_error_that_does_not_repeat_it(inside, tmp_path):
    bad = KEY + inside + KEY
    with pytest.raises(HeaderError) as caught:
        Gateway("https://ct.example.org", bad)
    assert isinstance(caught.value, ClientError)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    (tmp_path / "key").write_text(bad, "utf-8")
    with pytest.raises(ChoiceError) as told:
        open_gateway("https://ct.example.org", tmp_path / "key", None)
    assert KEY not in str(told.value)


def test_no_repr_and_no_message_shows_the_key():
    gateway = Gateway("https://127.0.0.1:9", KEY)
    with pytest.raises(ServerDown) as caught:
        Client(gateway, deadline_s=0).predict(b"x")
    for text in (repr(gateway), str(replace(gateway)), "".join(traceback.format_exception(caught.value))):
        assert KEY not in text


@pytest.mark.parametrize("value", ["-500,1500\nX-Gate: off", " a", "a ", "", "ä", "\x00"])
def test_an_option_that_cannot_be_sent_is_a_typed_error(value):
    client = Client(Gateway("https://127.0.0.1:9", KEY), deadline_s=0)
    with pytest.raises(HeaderError, match="^window cannot be sent"):
        client.predict(b"x", window=value)
    with pytest.raises(HeaderError, match="^window cannot be sent"):
        client.overlay(b"x", window=value)


@pytest.mark.parametrize("address", ["ct.example.org:8443", "gopher://ct.example.org", "https://"])
def test_an_address_that_is_none_is_told_in_a_sentence(address):
    with pytest.raises(ServerError, match="https://HOST:PORT"):
        Client(Gateway(address, KEY), deadline_s=0).ping()


def test_a_reply_has_the_fields_of_the_document_and_the_document(pipeline, slices):
    sent = json.loads(score(pipeline, slices[0], **{"X-Heatmap": "always"})[0].body)
    reply = Reply(sent)
    assert reply.raw is sent
    assert reply == sent
    assert (reply.label, reply["label"]) == (sent["label"],) * 2
    assert max(reply.probabilities.values()) == reply.confidence
    assert reply.reported == (sent["decision"] == "report")
    assert list(reply.warnings) == sent["warnings"]
    assert reply.evidence.keys() == reply.probabilities.keys()
    assert reply.overlay.startswith(b"\x89PNG")
    plain = Reply({key: value for key, value in sent.items() if key != "heatmap"})
    assert (plain.overlay, plain.evidence) == (None, {})


@pytest.mark.server
@pytest.mark.ops
def test_the_wheel_in_an_empty_environment_scores_through_the_gateway(wheel, server, slices, tmp_path):
    subprocess.run([sys.executable, "-P", "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", python]
    subprocess.run([*uv, wheel, "-c", ROOT / "requirements.lock"], env=make_settings(sys.executable), check=True)
    (tmp_path / "slice.png").write_bytes(slices[0])
    code = """import sys; from pathlib import Path; from lungct_client import Client, Gateway
address, key, ca = sys.stdin.read().split()
print(Client(Gateway(address, key, Path(ca))).predict(Path("slice.png").read_bytes()).label)"""
    with gateways.open_gateway(server) as door:
        wait_until(lambda: door.ask("GET", "/readyz").status_code == 200, 90, "ready")
        told = f"https://127.0.0.1:{door.port} {door.keys['alice']} {door.ca}"
        command = [python, "-I", "-c", code]
        done = subprocess.run(command, input=told, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("Normal", "Benign", "Malignant"), done.stderr
