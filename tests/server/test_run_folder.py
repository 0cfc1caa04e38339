"""What lies in the run folder: written whole, kept where it took hours or tells of a crash."""

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from lungct_tools import ROOT
from lungct_tools.server.instance import Instance
from lungct_tools.server.serve import open_log
from tests.conftest import run_script


def test_the_log_of_a_server_that_crashed_is_kept_when_it_starts_again(tmp_path):
    log = tmp_path / "server.log"
    for text in (b"first", b"second"):
        with open_log(log) as file:
            file.write(text)
    assert (tmp_path / "server.log.1").read_bytes() == b"first"
    log.unlink()
    log.symlink_to("/dev/null")  # led elsewhere by its owner
    open_log(log).close()
    assert log.is_symlink()


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
