"""TorchServe's keys: its file is read while it is being written."""

import json

import pytest

from lungct_client import TokenError, Tokens

KEYS = json.dumps({"inference": {"key": "new"}})


def test_a_half_written_file_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "key_file.json"
    file.write_text(KEYS[:10])
    monkeypatch.setattr("lungct_client.tokens.time.sleep", lambda _: file.write_text(KEYS))  # written in the pause
    assert Tokens(file).read("inference") == "new"


def test_a_run_folder_that_no_server_was_started_from_is_named(tmp_path):
    for run in (tmp_path, tmp_path / "mistyped"):
        with pytest.raises(TokenError, match=f"No server was started from {run}; see --run"):
            Tokens(run / "key_file.json").renew("inference", "", "http://127.0.0.1:9")


def test_without_a_file_or_a_key_there_is_no_token(tmp_path):
    assert Tokens(tmp_path / "none.json").read("inference") == ""
    (tmp_path / "key_file.json").write_text(KEYS)
    assert Tokens(tmp_path / "key_file.json").read("management") == ""
