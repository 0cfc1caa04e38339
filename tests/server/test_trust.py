"""Whom the commands trust: no process by its number alone, no folder of another user."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from lungct_tools.operate import demo
from lungct_tools.proxy import keeper
from lungct_tools.proxy.record import Record, drain, find, reload
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.processes import list_members, read_birth
from lungct_tools.server.runfolder import RunFolderError, check_ours, claim, make_temp, remove_temp
from lungct_tools.server.shutdown import end, send, stop
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.standins import IDLE, has_words, make_archive, run_stand_in

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can own folders of others")


@pytest.fixture
def stranger():
    """A process of somebody's work that has to do with TorchServe by its words alone."""
    command = [sys.executable, "-c", IDLE, "lungct", "gateway", "torchserve", "-Dmodel_server_home=/x"]
    with subprocess.Popen(command, start_new_session=True) as process:
        wait_until(lambda: has_words(process.pid), 60, "it has its words")
        yield process
        process.kill()


class TestANumberThatWentToAnotherProcess:
    def record(self, run, pid):
        """What a server and its gateway left there before the machine was restarted."""
        instance = Instance(run, tuple(find_ports(5)), pid, birth="0000 123", temp=str(run / "tmp"))
        instance.write()
        (run / "gateway").mkdir()
        Record(pid, "0000 123", 60, 0).write(run)
        return instance

    def test_no_command_takes_it_for_the_server_or_the_gateway(self, stranger, tmp_path):
        instance = self.record(tmp_path, stranger.pid)
        assert not instance.running
        assert not send(instance, signal.SIGKILL)
        assert find(tmp_path) is None
        assert not reload(tmp_path)
        assert drain(tmp_path, 5)
        assert end(instance)
        assert stop(instance)
        assert stranger.poll() is None

    def test_stop_says_that_no_server_runs_and_leaves_it_alone(self, stranger, tmp_path):
        self.record(tmp_path, stranger.pid)
        stopped = run_script("stop", "--run", tmp_path)
        assert (stopped.returncode, "no server runs" in stopped.stdout) == (0, True)
        assert stranger.poll() is None

    def test_serve_does_not_say_that_it_runs_already(self, stranger, tmp_path, run_here):
        self.record(tmp_path, stranger.pid)
        make_archive(tmp_path / "store", "minWorkers: 1")
        place = ("--run", tmp_path, "--store", tmp_path / "store", "--ports", *find_ports(5))
        code, said = run_here("serve", *place)
        assert (code, "lacks maxWorkers" in said) == (2, True), said
        assert stranger.poll() is None

    def test_a_record_of_before_births_were_written_needs_a_process_that_names_the_run_folder(self, stranger, tmp_path):
        instance = Instance(tmp_path, pid=stranger.pid)
        assert not instance.running
        command = [sys.executable, "-c", IDLE, "torchserve", "--ts-config", str(instance.settings)]
        with subprocess.Popen(command, start_new_session=True) as server:
            wait_until(lambda: has_words(server.pid), 60, "it has its words")
            known = replace(instance, pid=server.pid).running, Instance(tmp_path / "other", pid=server.pid).running
            server.kill()
        assert known == (True, False)

    def test_a_group_whose_leader_is_gone_must_name_the_run_folder(self, tmp_path):
        code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); import os; os._exit(0)"
        for settings, ours in (("config.properties", True), ("other.properties", False)):
            words = [IDLE, "-Dmodel_server_home=/x", "-f", str(tmp_path / settings)]
            with subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True) as leader:
                pass
            instance = Instance(tmp_path, pid=leader.pid, birth="0000 1")
            try:
                wait_until(lambda: any(map(has_words, list_members(leader.pid))), 60, "it has its words")  # noqa: B023
                assert instance.running == ours
                assert send(instance, signal.SIGKILL) == ours
            finally:
                if not ours:
                    os.killpg(leader.pid, signal.SIGKILL)

    def test_a_number_that_went_from_nginx_to_others_is_not_nginx(self, stranger, tmp_path):
        assert not keeper.is_nginx(stranger.pid)
        (tmp_path / "nginx").symlink_to(sys.executable)
        with subprocess.Popen([tmp_path / "nginx", "-c", IDLE], start_new_session=True) as nginx:
            wait_until(lambda: keeper.is_nginx(nginx.pid), 60, "it has its title")
            nginx.kill()
        assert not keeper.is_nginx(nginx.pid)

    def test_no_group_is_our_own_or_that_of_the_first_process(self, tmp_path):
        for pid in (0, 1):
            assert not Instance(tmp_path, pid=pid, birth="").owns_group()
            assert end(Instance(tmp_path, pid=pid))

    def test_the_server_itself_is_known_and_ended(self, tmp_path):
        with run_stand_in(tmp_path) as instance:
            assert Instance.read(tmp_path).running
            assert end(instance)
            assert not instance.running


class TestAFolderOfAnotherUser:
    @pytest.fixture
    def prepared(self, tmp_path):
        """What another user lays out for root: links to what is precious, and a record that names it."""
        run, precious = tmp_path / "run", tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("precious")
        run.mkdir()
        for name in ("server.log", "canary.png", "config.properties", "instance.json.new", "key_file.lock"):
            (run / name).symlink_to(precious / "file")
        (run / "gateway").symlink_to(precious)
        document = {"run": str(run), "ports": find_ports(5), "pid": 0, "birth": "", "temp": str(precious)}
        (run / "instance.json").write_text(json.dumps(document))
        make_archive(tmp_path / "store")
        return run

    def commands(self, run):
        place = ("--store", run.parent / "store", "--ports", *find_ports(5))
        return [
            ("serve", "--run", run, *place),
            ("gateway", "--run", run),
            ("stop", "--run", run),
            ("demo", "--run", run),
        ]

    @as_root
    def test_it_is_refused_by_every_command_that_writes_there(self, prepared):
        os.chown(prepared, NOBODY, NOBODY)
        for command in self.commands(prepared):
            done = run_script(*command)
            assert done.returncode == 2, command
            assert f"belongs to user {NOBODY}" in done.stderr
            assert "Traceback" not in done.stderr
        self.assert_whole(prepared)

    def test_so_is_one_that_everybody_can_write_to(self, prepared):
        prepared.chmod(0o777)
        for command in self.commands(prepared):
            done = run_script(*command)
            assert (done.returncode, "Everybody can write to" in done.stderr) == (2, True), command
        self.assert_whole(prepared)

    def test_one_that_is_ours_follows_no_link_and_removes_nothing_outside_it(self, prepared, monkeypatch):
        """What lies there may be from a time when others could write to it."""
        prepared.chmod(0o770)
        monkeypatch.setenv("PATH", "/nonexistent")
        done = run_script("serve", "--run", prepared, "--store", prepared.parent / "store", "--ports", *find_ports(5))
        assert done.returncode != 0  # the archive holds no handler
        gateway = run_script("gateway", "--run", prepared)
        assert (gateway.returncode, "Traceback" in gateway.stderr) == (2, False)
        assert prepared.stat().st_mode & 0o077 == 0
        self.assert_whole(prepared)

    @as_root
    def test_root_signals_no_process_that_a_user_names(self, prepared, stranger):
        (prepared / "gateway").unlink()
        (prepared / "gateway").mkdir()
        Record(stranger.pid, read_birth(stranger.pid), 60, 0).write(prepared)
        assert find(prepared)
        os.chown(prepared, NOBODY, NOBODY)
        assert find(prepared) is None
        added = run_script("key", "add", "alice", "--run", prepared, "--clients", prepared.parent / "clients.map")
        assert added.returncode == 0, "a key for a file of root's needs no run folder"
        assert stranger.poll() is None

    @as_root
    def test_a_link_of_theirs_leads_no_command_elsewhere(self, prepared):
        """Else `serve` would take /etc for a run folder of its own, and make it private."""
        link, precious = prepared.parent / "link", prepared.parent / "precious"
        mode = precious.stat().st_mode
        link.symlink_to(precious)
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
        for command in self.commands(link):
            done = run_script(*command)
            assert (done.returncode, f"a link of user {NOBODY}" in done.stderr) == (2, True), command
        assert precious.stat().st_mode == mode
        self.assert_whole(prepared)

    def test_nor_does_a_link_of_our_own_in_it_lead_the_demo_elsewhere(self, prepared, monkeypatch):
        monkeypatch.setattr(demo, "step", sys.exit)
        monkeypatch.setattr(sys, "argv", ["demo", "--run", str(prepared)])
        (prepared / "sample").symlink_to(prepared.parent / "precious")
        with pytest.raises(RunFolderError, match="is no folder"):
            demo.main()
        (prepared / "sample").unlink()
        (prepared / "sample").mkdir()
        (prepared / "sample" / "slice.png").symlink_to(prepared.parent / "precious" / "file")
        with pytest.raises(SystemExit):
            demo.main()
        self.assert_whole(prepared)

    def assert_whole(self, run):
        assert [path.name for path in (run.parent / "precious").iterdir()] == ["file"]
        assert (run.parent / "precious" / "file").read_text() == "precious"


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.parent)])
def test_what_is_no_folder_is_no_run_folder(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(RunFolderError, match="is no folder"):
        claim(tmp_path / "run")


@pytest.mark.parametrize(
    "temp", ["", "/", "/etc", "tmp", "{run}", "{run}/gateway", "{run}/tmp/..", "{tmp}", "{tmp}/other"]
)
def test_only_the_folders_that_we_made_are_removed(tmp_path, temp):
    inside = Path(make_temp(tmp_path))
    (tmp_path / "gateway").mkdir()
    with tempfile.TemporaryDirectory(prefix="other-") as other:
        remove_temp(tmp_path, temp.format(run=tmp_path, tmp=tempfile.gettempdir()))
        remove_temp(tmp_path, other)
        assert Path(other).is_dir()
    assert (tmp_path / "gateway").is_dir()
    assert inside.is_dir()
    remove_temp(tmp_path, str(inside))
    assert not inside.exists()


def test_a_link_to_a_folder_is_not_removed_for_it(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "tmp").symlink_to(tmp_path / "precious")
    remove_temp(tmp_path, str(tmp_path / "tmp"))
    assert (tmp_path / "precious").is_dir()
    with pytest.raises((RunFolderError, FileExistsError)):
        check_ours(Path(make_temp(tmp_path)))
