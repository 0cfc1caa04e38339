"""Keys, counters and settings of the front without TorchServe."""

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest

from lungct.errors import LungCTError
from lungct.exchange import parse
from lungct_client import Tokens
from lungct_tools import ROOT
from lungct_tools.server.asgi import Front, listen
from lungct_tools.server.counters import Counters
from lungct_tools.server.crew import Answer
from lungct_tools.server.gpus import count_gpus
from lungct_tools.server.instance import FRONTS, Instance, find_ports
from lungct_tools.server.keyfile import KeyFile
from lungct_tools.server.properties import read_properties, write_settings
from lungct_tools.server.routes import Routes
from lungct_tools.server.seat import Plan
from lungct_tools.server.serve import WORKER
from tests.support.standins import make_archive


def test_a_reply_is_sent_at_once_and_its_body_does_not_wait_for_an_acknowledgement():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_each_key_opens_its_own_api_and_our_client_reads_it(tmp_path):
    keys, tokens = KeyFile(tmp_path / "key_file.json", 60), Tokens(tmp_path / "key_file.json")
    kinds = ("inference", "management", "API")
    for kind in kinds:
        for other in kinds:
            assert keys.allows(kind, [f"Bearer {tokens.read(other)}"]) == (kind == other)
        assert keys.allows(kind, [f"bearer  {tokens.read(kind)} "])
        for wrong in ([], ["Bearer"], [tokens.read(kind)], [f"Bearer {tokens.read(kind)}"] * 2, ["Bearer \xe9"]):
            assert not keys.allows(kind, wrong)
    assert (tmp_path / "key_file.json").stat().st_mode & 0o077 == 0


def test_a_renewed_key_ends_the_one_before_and_one_that_expired_opens_nothing(tmp_path):
    path = tmp_path / "key_file.json"
    keys, tokens = KeyFile(path, 60), Tokens(path)
    old, other = tokens.read("inference"), tokens.read("management")
    assert keys.renew("inference")
    assert not keys.allows("inference", [f"Bearer {old}"])
    assert keys.allows("inference", [f"Bearer {tokens.read('inference')}"])
    assert tokens.read("management") == other
    assert not keys.renew("API")
    assert not keys.renew("")
    expired = KeyFile(path, 0)
    assert not expired.allows("inference", [f"Bearer {tokens.read('inference')}"])
    assert expired.allows("API", [f"Bearer {tokens.read('API')}"])
    assert "expiration time" in json.loads(path.read_text())["inference"]


def test_counters_have_the_declared_labels_and_nothing_else_is_counted():
    counters = Counters(ROOT / "config" / "metrics.yaml")
    for _ in range(2):
        counters.add("lung_ct_requests_total", "Normal", "report")
        counters.add("lung_ct_stage_seconds_sum", "decode", by=0.5)
    counters.add("nobody_declared_this")
    with pytest.raises(ValueError, match="Outcome"):
        counters.add("lung_ct_requests_total", "Normal")
    counters.add("lung_ct_rejections_total", 'a"b\\c\nd')
    page = counters.show()
    assert 'lung_ct_requests_total{Label="Normal",Outcome="report",ModelName="lung_ct",Level="Model",' in page
    assert page.count(" 2.0\n") == 1
    assert page.count(" 1.0\n") == 2
    assert r'Code="a\"b\\c\nd"' in page
    assert "nobody" not in page


class Broken:
    """In place of a crew: has a fault of ours with every request."""

    plan = Plan(Path(), {}, "", 0, "2.0")

    async def ask(self, *_):
        raise RuntimeError("PATIENT^NAME")


class Listening(Broken):
    """In place of a crew: keeps the headers that a worker would get."""

    async def ask(self, headers, *_):
        self.headers = headers
        return Answer(200, {}, b"")


def call(front, port, key, path="/predictions/lung_ct", more=()):
    """Status, headers and body of a POST, without a network."""
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "root_path": "", "server": ("127.0.0.1", port), "scheme": "http", "http_version": "1.1",
             "headers": [(b"authorization", b"Bearer " + key.encode()), (b"host", b"a.example"), *more]}  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"a slice", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(front(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def test_a_fault_of_ours_is_a_500_that_quotes_nothing_here_or_in_the_log(tmp_path, caplog):
    keys, counters = KeyFile(tmp_path / "key_file.json", 60), Counters(ROOT / "config" / "metrics.yaml")
    front = Front(Routes(Broken(), keys, counters, 1000), {8080: "inference"}, keys, counters, Broken())
    key = Tokens(tmp_path / "key_file.json").read("inference")
    status, headers, body = call(front, 8080, key)
    assert (status, json.loads(body)["type"]) == (500, "InternalServerException")
    assert headers["x-request-id"] in caplog.text
    assert "RuntimeError in" in caplog.text
    assert "PATIENT" not in caplog.text + body.decode() + str(headers)
    assert "Requests5XX{" in counters.show()
    status, headers, _ = call(front, 8080, key, "/predictions/lung_ct/")
    assert (status, "location" in headers) == (404, False)


def test_lines_of_one_header_are_one_so_that_an_option_which_stands_twice_is_refused(tmp_path):
    keys, counters, crew = (
        KeyFile(tmp_path / "key_file.json", 60),
        Counters(ROOT / "config" / "metrics.yaml"),
        Listening(),
    )
    front = Front(Routes(crew, keys, counters, 1000), {8080: "inference"}, keys, counters, crew)
    twice = [(b"x-frame", b"3"), (b"accept", b"application/json"), (b"x-frame", b"5"), (b"accept", b"image/png;q=0.1")]
    assert call(front, 8080, Tokens(tmp_path / "key_file.json").read("inference"), more=twice)[0] == 200
    assert parse({"body": b"x"}, {"accept": crew.headers["accept"]}, ()).accept == "application/json"
    with pytest.raises(LungCTError, match="X-Frame"):
        parse({"body": b"x"}, crew.headers, ())


def test_the_settings_that_are_written_for_java_are_read_again(tmp_path):
    run = tmp_path / "läuft 𝛼"
    run.mkdir()
    found = read_properties(write_settings(Instance(run), run / "store", ["job_queue_size=7"]).read_text())
    assert found["model_store"] == str(run / "store")
    assert found["inference_address"] == "http://127.0.0.1:8080"
    assert found["job_queue_size"] == "7"
    assert found["blacklist_env_vars"].startswith(".*(")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("plugins_path=/opt/plugins", "plugins_path is not heeded: no plugins"),
        (" model_store = /elsewhere", "model_store is not heeded: say --store"),
        ("job_queue_size", "job_queue_size is no KEY=VALUE"),
        ("=7", "=7 is no KEY=VALUE"),
    ],
)
def test_a_setting_that_would_be_passed_over_in_silence_is_refused(setting, told, front, tmp_path, run_here):
    make_archive(tmp_path / "store", **{WORKER: ""})
    place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5), "--front", front)
    code, said = run_here("serve", *place, "--set", setting)
    assert (code, told in said) == (2, True), said


def test_an_archive_without_the_worker_is_told_to_be_built_anew(tmp_path, run_here):
    make_archive(tmp_path / "store")
    place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    code, said = run_here("serve", "--front", "asgi", *place)
    assert (code, "make archive ARGS=--force" in said) == (2, True)
    assert not (tmp_path / "run").exists()


def test_gpus_are_counted_as_torchserve_counts_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert count_gpus(None) == 0
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: H'\necho 'GPU 1: H'\n")
    tool.chmod(0o755)
    assert [count_gpus(limit) for limit in (None, "0", "1", "8")] == [2, 0, 1, 2]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert count_gpus(None) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert count_gpus(None) == 0


def test_the_page_on_leaving_torchserve_counts_the_lines_that_are_new():
    page = (ROOT / "docs" / "leaving-torchserve.md").read_text()
    rows = re.findall(r"^\|.*\| (.*) \| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for parts, told in rows:
        first, *others = re.findall(r"`([\w/]+\.py)`", parts)
        files = [ROOT / first, *((ROOT / first).with_name(name) for name in others)]
        assert sum(len(file.read_text().splitlines()) for file in files) == int(told), parts
