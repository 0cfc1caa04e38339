"""Records, tokens and keys that are empty or damaged are told in a sentence, by every command that reads them."""

import sys

import pytest

from lungct_client import Client, ServerError, TokenError, Tokens
from lungct_tools.operate import stop as stopping
from lungct_tools.proxy.nginx import Nginx
from lungct_tools.proxy.record import RECORD, find
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.standins import make_archive, run_stand_in

DAMAGED = ["", "{", "[]", "7", "null", "\x00", '{"ports": 1}', '{"ports": [1, 2, 3, 4, 99999], "pid": 1, "temp": ""}',
           '{"ports": [1, 2, 3, 4, 5]}', '{"ports": [1, 2, 3, 4, 5], "pid": -1, "temp": ""}',
           '{"ports": [1, 2, 3, 4, 5], "pid": "1", "temp": ""}', '{"ports": [1, 2, 3, 4, 5], "pid": 1, "temp": 5}',
           '{"ports": [1, 2, 3, 4, 5], "pid": 1, "temp": "", "options": "x"}']  # fmt: skip


class TestDamagedFiles:
    @pytest.mark.parametrize("text", DAMAGED)
    def test_a_damaged_record_is_told_in_a_sentence(self, tmp_path, text, run_here):
        (tmp_path / "instance.json").write_text(text)
        with pytest.raises(ServerError, match=r"instance\.json is damaged; .*`make serve`"):
            Instance.read(tmp_path)

    @pytest.mark.parametrize(
        "name", ["serve", "stop", "status", "health", "gateway", "scale", "predict", "score", "update"]
    )
    def test_by_every_command(self, tmp_path, name):
        (tmp_path / "instance.json").write_text("{")
        archive = make_archive(tmp_path / "store")
        (tmp_path / "one.png").write_bytes(b"x")
        more = {
            "serve": ("--store", archive.parent), "health": ("ready",), "scale": (1,), "update": (archive,),
            "predict": (tmp_path / "one.png",), "score": (tmp_path / "one.png", tmp_path / "out"),
        }  # fmt: skip
        done = run_script(name, *more.get(name, ()), "--run", tmp_path)
        told = done.stdout + done.stderr
        assert done.returncode != 0
        assert "instance.json is damaged" in " ".join(told.split())
        assert "Traceback" not in told

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "7", '{"inference": 1}', '{"inference": null}', '{"inference": {}}', "\xff", *(
            f'{{"inference": {{"key": "{key}"}}}}' for key in ("a\\nb", "\\u4e2d", "$a", 'a\\"b', "\\u0000", "")
        )],
    )  # fmt: skip
    def test_a_damaged_token_file_is_a_token_that_is_not_accepted(self, tmp_path, text):
        (tmp_path / "key_file.json").write_text(text, "latin-1")
        tokens = Tokens(tmp_path / "key_file.json")
        assert tokens.read("inference") == ""
        with pytest.raises(TokenError, match="restart the server"):
            tokens.renew("inference", "", "http://127.0.0.1:9")
        assert "No server at" in check_ready(Instance(tmp_path, (9, 9, 9, 9, 9)))

    @pytest.mark.parametrize("options", [(), ("--store",), ("--run", "/x")])
    def test_a_record_that_names_no_archive_is_damaged_for_who_wants_one(self, tmp_path, options):
        Instance(tmp_path, options=options).write()
        instance = Instance.read(tmp_path)
        for ask in (lambda: instance.store, lambda: instance.seal):
            with pytest.raises(ServerError, match=r"instance\.json is damaged"):
                ask()

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "7", "null", '{"pid": 1}', '{"pid": "x", "birth": "", "patience_s": 1, "notice_s": 1}']
    )
    def test_a_damaged_record_of_the_gateway_is_none(self, tmp_path, text):
        (tmp_path / "gateway").mkdir()
        (tmp_path / RECORD).write_text(text)
        assert find(tmp_path) is None

    @pytest.mark.parametrize("text", [b"\xff\xfe", b"\0" * 99, b"garbage"])
    def test_a_damaged_token_of_nginx_is_written_anew(self, tmp_path, text):
        (tmp_path / "key_file.json").write_text('{"inference": {"key": "abc"}}')
        (tmp_path / "token.conf").write_bytes(text)
        nginx = Nginx(Instance(tmp_path, (1, 2, 3, 4, 5)), tmp_path, "", tmp_path, None, None, 1, tmp_path)
        assert nginx.write_token()
        assert "Bearer abc" in (tmp_path / "token.conf").read_text()

    @pytest.mark.parametrize("text", [b"\xff\xfe", b"\0" * 99, b"garbage"])
    def test_a_damaged_file_of_keys_is_told_and_left_as_it_is(self, tmp_path, text):
        (tmp_path / "clients.map").write_bytes(text)
        done = run_script("key", "add", "alice", "--run", tmp_path, "--clients", tmp_path / "clients.map")
        assert (done.returncode, done.stdout) == (2, "")
        assert "clients.map is damaged" in done.stderr
        assert "Traceback" not in done.stderr
        assert (tmp_path / "clients.map").read_bytes() == text

    def test_a_file_of_keys_that_is_empty_has_none(self, tmp_path):
        (tmp_path / "clients.map").touch()
        assert run_script("key", "list", "--run", tmp_path, "--clients", tmp_path / "clients.map").stdout.split() == []


@pytest.mark.ops
def test_a_stop_while_the_record_is_damaged_leaves_what_it_cannot_name(tmp_path, monkeypatch, capsys):
    with run_stand_in(tmp_path) as instance:
        (tmp_path / "instance.json").write_text("{")
        monkeypatch.setattr(sys, "argv", ["stop", "--run", str(tmp_path)])
        with pytest.raises(ServerError, match="is damaged"):
            stopping.main()
        assert instance.running
        wait_until(lambda: Client(instance, deadline_s=0) is not None, 1, "it is there")
