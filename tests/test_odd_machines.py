"""Machines unlike ours: other letters, other dates, no home, files of another user. It works, or says why not."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from lungct_client import ServerError, TokenError, Tokens
from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.server import archive
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.properties import escape, write_settings
from tests.conftest import MODEL, run_script
from tests.support.help import outside_make
from tests.support.pictures import encode

LETTERS = "Lünge 肺 𝕊"


def unescape(text):
    """What Java reads: \\uXXXX are units of UTF-16."""
    units = text.encode("ascii").decode("unicode_escape")
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


def test_settings_for_java_are_ascii_and_mean_the_same(tmp_path):
    assert unescape(escape(LETTERS)) == LETTERS
    run = tmp_path / LETTERS
    run.mkdir()
    written = write_settings(Instance(run), run / "store", []).read_bytes()
    assert f"model_store={run}/store" in unescape(written.decode("ascii"))


@pytest.mark.server
def test_a_server_whose_folders_have_other_letters_serves_in_any_locale(store, phantoms, tmp_path):
    place = tmp_path / LETTERS.partition("𝕊")[0]
    shutil.copytree(store, place / "store")
    (place / "slice.png").write_bytes(encode(phantoms[0], "PNG"))
    plain = {**os.environ, "LC_ALL": "C"}
    options = ("--run", place / "run", "--store", place / "store", "--ports", *find_ports(5))
    started = subprocess.run(compose("serve", *options), env=plain, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    scored = run_script("predict", place / "slice.png", "--json", "--run", place / "run")
    assert run_script("stop", "--run", place / "run").returncode == 0
    assert scored.returncode == 0, scored.stderr


def test_sources_of_1970_make_an_archive(tmp_path, monkeypatch):
    (tmp_path / "handler").mkdir()
    shutil.copytree(ROOT / "handler", tmp_path / "handler", dirs_exist_ok=True)
    model = shutil.copytree(MODEL, tmp_path / "model")
    settings = Path(shutil.copy(ROOT / "config" / "model-config.yaml", tmp_path))
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.utime(path, (0, 0))
    monkeypatch.setattr(archive, "ROOT", tmp_path)
    made = archive.build(model, tmp_path / "out", settings)
    with zipfile.ZipFile(made) as found:
        assert {"lungct/pipeline.py", "lung_ct_handler.py", "model.json"} <= set(found.namelist())


HOMELESS = """import os, sys
import argparse, gettext, locale, shutil  # what is read late could not be read any more: Python may lie in root's home
import lungct_tools.proxy.keys, lungct_tools.server.serve, lungct_tools.server.status
from lungct_tools.__main__ import main
os.setgroups([]); os.setgid(54321); os.setuid(54321)
sys.exit(main())"""


def run_homeless(*words):
    """A command as a user without home and passwd entry."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CONFIG_HOME")}
    command = [sys.executable, "-c", HOMELESS, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")


@pytest.fixture
def theirs():
    """A folder of the homeless user's that they can reach: pytest closes its own to all but who runs it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 54321, 54321)
        yield Path(folder)


@needs_root
def test_a_user_without_home_or_name_works_where_a_path_is_given(theirs):
    added = run_homeless("key", "add", "bob", "--clients", theirs / "clients.map", "--run", theirs)
    assert added.returncode == 0, added.stderr
    assert len(added.stdout.strip()) == 64
    without = run_homeless("key", "list", "--run", theirs)
    assert (without.returncode, "required: --clients" in without.stderr) == (2, True)


@needs_root
@pytest.mark.parametrize("command", ["serve", "status"])
def test_a_run_folder_of_another_user_is_told_in_a_sentence(command, theirs):
    (theirs / "lung_ct.mar").touch()
    (theirs / "run").mkdir(mode=0o755)
    (theirs / "run" / "instance.json").touch(0o600)
    found = run_homeless(command, "--run", theirs / "run", *(("--store", theirs) if command == "serve" else ()))
    assert found.returncode
    assert "Traceback" not in found.stderr
    said = found.stdout + found.stderr
    assert "run this as that user, or choose another folder" in said or "is it another user's?" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ports": "x"}', '{"ports": null}', "\x00"])
def test_a_damaged_record_is_told_in_a_sentence(text, tmp_path):
    (tmp_path / "instance.json").write_text(text)
    with pytest.raises(ServerError, match="is damaged; end what still runs"):
        Instance.read(tmp_path)


@pytest.mark.parametrize("words", [("status",), ("stop",), ("predict", ROOT / "docs" / "overlay.png"), ("scale", 1)])
def test_every_command_says_so_of_a_damaged_record(words, tmp_path):
    (tmp_path / "instance.json").write_text("[]")
    done = run_script(*words, "--run", tmp_path)
    assert done.returncode
    assert "Traceback" not in done.stderr
    assert "is damaged" in " ".join((done.stdout + done.stderr).split())


def test_a_run_folder_that_may_not_be_written_is_told_in_a_sentence(store):
    """/proc takes no folder, not even from root."""
    done = run_script("serve", "--run", "/proc/lung-ct", "--store", store, "--ports", *find_ports(5))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "serve: /proc/lung-ct cannot be used: No such file or directory; choose another folder." in done.stderr


def test_a_lock_that_cannot_be_written_is_a_typed_error(tmp_path):
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "old"}}')
    (tmp_path / "key_file.lock").mkdir()  # nobody, root included, opens a folder for writing
    with pytest.raises(TokenError, match=r"cannot be written to renew it \(Is a directory\)"):
        Tokens(tmp_path / "key_file.json").renew("inference", "old", "http://127.0.0.1:9")


def test_make_key_prints_the_key_alone(tmp_path):
    environment = {**outside_make(), "LUNG_CT_CLIENTS": str(tmp_path / "clients.map"), "LUNG_CT_RUN": str(tmp_path)}
    made = subprocess.run(
        ["make", "key", "NAME=bob"], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert made.stdout.strip() in (tmp_path / "clients.map").read_text()
    assert len(made.stdout) == 65
