"""What lies in the run folder: written whole, kept where it took hours or tells of a crash."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from lungct_client import ServerError, TokenError, Tokens
from lungct_tools import ROOT
from lungct_tools.server import scribe, serve
from lungct_tools.server.health import score_canary
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.processes import read_stat
from lungct_tools.server.runfolder import RunFolderError, open_lock
from lungct_tools.server.shutdown import end
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.standins import make_archive


def test_the_log_of_a_server_that_crashed_is_kept_when_it_starts_again(tmp_path):
    log = tmp_path / "server.log"
    for text in (b"first", b"second"):
        scribe.begin(log)
        scribe.append(log, text, 99)
    assert (tmp_path / "server.log.1").read_bytes() == b"first"
    assert log.read_bytes() == b"second"


def test_the_collector_of_traces_is_kept_for_who_starts_the_server_again(tmp_path, monkeypatch, run_here):
    """The watchdog or an update, whose environment names none."""
    make_archive(tmp_path / "store")
    started, url = [], "http://127.0.0.1:4318"

    def launch(instance, *_):
        started.append(instance)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(serve, "launch", launch)
    monkeypatch.setenv("LUNG_CT_TRACES", url)
    run_here("serve", "--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    monkeypatch.delenv("LUNG_CT_TRACES")
    run_here("serve", *started[0].options)
    assert [serve.environment(each)["LUNG_CT_TRACES"] for each in started] == [url, url]


STARTS = """
import os, signal, subprocess, sys
from lungct_tools.server import serve
def launch(*_):
    command = [sys.executable, "-c", "import signal; signal.pause()", "torchserve"]
    started = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.kill(os.getpid(), signal.SIGTERM)
    return started
serve.launch = launch
sys.exit(serve.main())
"""


def test_who_is_told_to_end_while_it_starts_a_server_leaves_none_that_is_not_recorded(tmp_path):
    """A watchdog tells its `serve` so when the gateway is drained, and whoever stops the server then looks here."""
    make_archive(tmp_path / "store")
    place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    command = [sys.executable, "-c", STARTS, *map(str, place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    left = Instance.read(tmp_path / "run")
    assert (done.returncode, left.owns_group()) == (-signal.SIGTERM, True), done.stderr
    assert end(left)


@pytest.fixture
def write_log(tmp_path):
    """Write chunks through a scribe until it has ended."""

    def write(*chunks):
        with scribe.start(tmp_path / "server.log") as process:
            for chunk in chunks:
                process.stdin.write(chunk)
        assert process.returncode == 0

    return write


def test_a_log_never_takes_more_than_its_share_of_the_disk_and_its_end_is_kept(tmp_path, write_log):
    line = b"x" * 2**20
    write_log(*[line] * 35, b"the last words")
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= scribe.LIMIT
    assert (tmp_path / "server.log").read_bytes().endswith(b"the last words")
    assert (tmp_path / "server.log").stat().st_mode & 0o077 == 0


def test_a_log_that_cannot_be_written_ends_nobody_and_goes_on_when_it_can(tmp_path):
    log = tmp_path / "server.log"
    log.mkdir()
    with scribe.start(log) as process:
        process.stdin.write(b"lost")
        process.stdin.flush()
        wait_until(lambda: not read_waiting(process), 60, "it is read")
        log.rmdir()
        process.stdin.write(b"kept")
    assert (process.returncode, log.read_bytes()) == (0, b"kept")


def read_waiting(process):
    """Bytes that the scribe has not taken from its pipe yet, or is about to write."""
    waiting = fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0\0\0\0")
    blocked = read_stat(process.pid)[0] == "S"  # asleep in read(2) again
    return waiting != b"\0\0\0\0" or not blocked


def test_neither_a_log_nor_a_record_follows_a_link_that_lies_in_its_place(tmp_path, write_log):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("server.log", "server.log.1", "instance.json", "instance.json.new"):
        (tmp_path / name).symlink_to(precious)
    write_log(b"line")
    scribe.begin(tmp_path / "server.log")
    Instance(tmp_path).write()
    assert precious.read_text() == "precious"
    assert Instance.read(tmp_path) == Instance(tmp_path)


@pytest.mark.parametrize("lay", [lambda path, other: path.symlink_to(other), lambda path, _: os.mkfifo(path)])
def test_what_another_user_laid_out_is_not_sent_to_the_port_that_he_named(tmp_path, lay):
    """Root looks at his server by `lungct status` or the exporter: a link could lead to any file, a pipe to no end."""
    secret, run = tmp_path / "secret", tmp_path / "run"
    secret.write_text('{"inference": {"key": "secret"}, "ports": [1, 2, 3, 4, 5]}')
    run.mkdir()
    for name in ("instance.json", "key_file.json", "canary.png"):
        lay(run / name, secret)
    with pytest.raises(ServerError):
        Instance.read(run)
    instance = Instance(run, (9, 9, 9, 9, 9))
    assert instance.keys.exists()
    assert Tokens(instance.keys).read("inference") == ""
    client = Recording()
    with suppress(OSError):
        score_canary(client, instance)
    assert client.sent in ([], [b""])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can own files of others")
def test_root_who_looks_leaves_nothing_that_keeps_the_owner_from_his_tokens(tmp_path):
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "old"}}')
    os.chown(tmp_path / "key_file.json", 65534, 65534)
    with pytest.raises(TokenError, match="restart the server"):
        Tokens(tmp_path / "key_file.json").renew("inference", "old", "http://127.0.0.1:9")
    assert (tmp_path / "key_file.lock").stat().st_uid == 65534


@pytest.mark.timeout(20)
@pytest.mark.parametrize("lay", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.with_name("elsewhere"))])
def test_what_is_no_file_in_the_place_of_a_lock_is_told_and_not_waited_for(tmp_path, lay):
    lay(tmp_path / "update.lock")
    with pytest.raises(RunFolderError, match="update.lock cannot be used: .*; move it away"):
        open_lock(tmp_path / "update.lock")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_the_tokens_lock_is_told_and_not_waited_for(tmp_path):
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "old"}}')
    os.mkfifo(tmp_path / "key_file.lock")
    with pytest.raises(TokenError, match="key_file.lock cannot be written"):
        Tokens(tmp_path / "key_file.json").renew("inference", "old", "http://127.0.0.1:9")


class Recording:
    """What of a client a canary needs: it keeps what it would send."""

    def __init__(self):
        self.sent = []

    def metrics(self):
        return ""

    def predict(self, body, **_):
        self.sent.append(body)


def test_the_record_of_a_server_is_never_read_half_written(tmp_path):
    instance = Instance(tmp_path, options=("--run", "a long one") * 100)
    instance.write()
    ended = threading.Event()

    def rewrite():
        while not ended.is_set():
            instance.write()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(rewrite)
        try:
            assert all(Instance.read(tmp_path) == instance for _ in range(2000))
        finally:
            ended.set()
    writer.result()


def test_a_key_is_shown_only_once_it_counts(tmp_path):
    (tmp_path / "file").touch()
    done = run_script("key", "add", "alice", "--clients", tmp_path / "file" / "clients.map", "--run", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "file/clients.map cannot be used: " in done.stderr
    assert "Traceback" not in done.stderr


def test_clean_keeps_the_training_and_everything_while_the_server_does_not_stop(tmp_path):
    def clean(lungct):
        make = ("make", "--file", ROOT / "Makefile", "clean", f"LUNGCT={lungct}")
        return subprocess.run(make, cwd=tmp_path, capture_output=True, check=False).returncode

    kept, built = tmp_path / ".run" / "train" / "fold", tmp_path / ".run" / "my overlay.png"
    kept.parent.mkdir(parents=True)
    for path in (kept, built, tmp_path / "overlay.png"):
        path.touch()
    assert clean("/bin/false") != 0
    assert built.exists()
    assert clean("/bin/true") == 0
    assert not built.exists()
    assert kept.exists()
    assert (tmp_path / "overlay.png").exists()
