"""Where slices come from, without a server: folders, lists, single files."""

import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from lungct_tools import ROOT
from lungct_tools.folder import source as source_module
from lungct_tools.folder.archive import open_source
from lungct_tools.folder.naming import normalise, printable
from lungct_tools.folder.record import describe_file
from lungct_tools.folder.source import SourceError, UnreadableError, read_head, read_path


def list_names(path):
    return [entry.name for entry in open_source(path).entries()]


def read_all(path):
    """The bytes of every entry, or the code it is refused with."""
    source = open_source(path)
    found = {}
    for entry in source.entries():
        try:
            found[entry.name] = source.read(entry)
        except UnreadableError as error:
            found[entry.name] = error.code
    return found


def test_a_list_names_paths_relative_to_itself(tmp_path, slices):
    (tmp_path / "a.png").write_bytes(slices[0])
    (tmp_path / "list.txt").write_text("# slices\na.png\n\nmissing.png\n")
    assert read_all(tmp_path / "list.txt") == {"a.png": slices[0], "missing.png": "unreadable_file"}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "cp850", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_made_on_windows_is_read(encoding, end, tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.png", "below/é b.png", "c.png"):
        (tmp_path / name).write_bytes(name.encode())
    lines = ["a.png", "# a remark", "below\\é b.png", f'"{tmp_path / "c.png"}"', ""]
    (tmp_path / "list.txt").write_bytes(end.join(lines).encode(encoding))
    assert list(read_all(tmp_path / "list.txt").values()) == [b"a.png", "below/é b.png".encode(), b"c.png"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_that_copy_of_windows_joined_are_read(encoding, tmp_path):
    """It keeps the mark of each, and ends the whole with Ctrl-Z."""
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    parts = ["a.png\r\n".encode(encoding), "b.png\r\n".encode(encoding), "\x1a".encode(encoding)]
    (tmp_path / "list.txt").write_bytes(b"".join(parts))
    assert read_all(tmp_path / "list.txt") == {"a.png": b"a", "b.png": b"b"}


@pytest.mark.parametrize(
    "name", ["DICOMDIR;1", "Thumbs.db", "RECYCLER/x", "#recycle/x", "@Recycle/x", "$RECYCLE.BIN/x"]
)
def test_what_systems_leave_in_a_folder_or_on_a_disc_is_no_slice(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    for each in ("IM1;1", name):
        (tmp_path / each).write_bytes(b"slice")
    assert list_names(tmp_path) == ["IM1;1"]


def test_two_patients_in_a_list_made_on_windows_are_two_series(tmp_path):
    for patient in ("p1", "p2"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "IM1.png").write_bytes(b"slice")
    (tmp_path / "list.txt").write_text("p1\\IM1.png\np2\\IM1.png\ngone\\IM1.png\n")
    names = [entry.name for entry in open_source(tmp_path / "list.txt").entries()]
    assert names == ["p1/IM1.png", "p2/IM1.png", "gone/IM1.png"]
    assert len({describe_file(name, b"")["series"] for name in names}) == 3


def test_a_file_whose_name_has_a_backslash_is_found_by_a_list(tmp_path):
    (tmp_path / "a\\b.png").write_bytes(b"slice")
    (tmp_path / "list.txt").write_text("a\\b.png\n")
    assert read_all(tmp_path / "list.txt") == {"a\\b.png": b"slice"}


def test_a_list_that_is_no_text_is_refused_or_names_what_is_not_there(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfea\0.\0p")  # ends in half a character
    assert set(read_all(tmp_path / "list.txt").values()) == {"unreadable_file"}
    (tmp_path / "list.txt").write_bytes(b"a.png\n\0\0\n")
    assert set(read_all(tmp_path / "list.txt").values()) == {"unreadable_file"}


READ = """
import sys
from pathlib import Path
from lungct_tools.folder.source import read_path
read_path(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("way", ["pipe", "link"])
def test_a_pipe_is_refused_with_a_reason_and_not_waited_for(way, tmp_path):
    """In a process of its own with a deadline: a pipe that nobody writes to would keep this one waiting for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    command = [sys.executable, "-c", READ, str(tmp_path / way)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert "no ordinary file" in done.stderr


def test_a_list_may_name_pipes_devices_and_folders_and_each_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "list.txt").write_text("pipe\n/dev/zero\n.\n")
    assert set(read_all(tmp_path / "list.txt").values()) == {"unreadable_file"}


def test_a_folder_with_pipes_sockets_devices_and_broken_links_ends_and_keeps_its_slices(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
        (tmp_path / "zero").symlink_to("/dev/zero")
        (tmp_path / "gone").symlink_to(tmp_path / "nothing")
        (tmp_path / "round").symlink_to(tmp_path / "round")
        (tmp_path / "slice").write_bytes(b"slice")
        found = read_all(tmp_path)
    refused = dict.fromkeys(("gone", "pipe", "round", "socket", "zero"), "unreadable_file")
    assert found == refused | {"slice": b"slice"}


def test_a_pipe_that_takes_a_files_place_while_it_is_opened_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "slice").write_bytes(b"slice")
    os.mkfifo(tmp_path / "pipe")
    really = os.open
    monkeypatch.setattr(source_module.os, "open", lambda path, flags: really(tmp_path / "pipe", flags))
    found = []
    reader = threading.Thread(target=lambda: found.append(read_path(tmp_path / "slice")), daemon=True)
    reader.start()
    reader.join(60)
    assert found == [b""]


def test_a_pipe_or_device_as_the_whole_input_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a folder nor an ordinary file"):
        open_source(tmp_path / "pipe")


def test_files_over_the_limit_are_not_read_into_memory(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**33)
    assert read_all(tmp_path / "large") == {"large": "too_many_bytes"}


def test_a_file_that_states_fewer_bytes_than_it_has_is_read_to_its_end():
    whole = Path("/proc/self/limits").read_bytes()  # an ordinary file of size 0, as the kernel tells it
    assert Path("/proc/self/limits").stat().st_size == 0 < len(whole)
    assert read_path(Path("/proc/self/limits")) == whole
    assert read_head(Path("/proc/self/limits"), 10) == whole[:10]


def test_reading_a_small_file_takes_no_room_for_the_largest(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(bytes(1000))
    tracemalloc.start()
    assert read_path(path) == bytes(1000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20 < source_module.MAX_BYTES


def test_linked_folders_are_read_once_and_links_that_lead_back_end(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("in/a.png", "in/deep/b.png", "elsewhere/c.png"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "second").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "deep" / "back").symlink_to(tmp_path / "in")
    assert list_names(tmp_path / "in") == ["a.png", "deep/b.png", "link/c.png"]


def test_a_folder_that_cannot_be_read_is_named_and_not_left_out(tmp_path):
    """One that is gone meanwhile: to root every folder is readable."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.png").write_bytes(b"junk")
    entries = open_source(tmp_path).entries()
    assert next(entries).name == "a.png"
    (tmp_path / "below").rmdir()
    with pytest.raises(SourceError, match=r"below cannot be read: No such file"):
        list(entries)


def test_names_that_differ_in_case_alone_are_two_files(tmp_path):
    for name in ("IM1", "im1"):
        (tmp_path / name).write_bytes(name.encode())
    assert read_all(tmp_path) == {"IM1": b"IM1", "im1": b"im1"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a/b.png", "a/b.png"), ("a\\b.png", "a/b.png"), ("\\\\host\\share\\b.png", "host/share/b.png"),
        ("/etc/passwd", "etc/passwd"), ("..\\../b.png", "b.png"), ("a/./c/../b.png", "a/b.png"),
        ("C:\\a\\b.png", "C:/a/b.png"), ("./", ""), ("..", ""),
    ],
)  # fmt: skip
def test_a_members_name_has_one_form(name, told):
    assert normalise(name) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("é (1).png", "é (1).png"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb\tc", "a\\nb\\tc"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"), (os.fsdecode(b"bad-\xff"), "bad-\\udcff"), ("\u3000a", "\u3000a"),
    ],
)  # fmt: skip
def test_a_name_that_would_steer_a_terminal_is_shown_with_escapes(name, told):
    assert printable(name) == told
