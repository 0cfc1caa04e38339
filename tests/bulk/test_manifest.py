"""The list of a bulk run: grouped by series, cut into shards that no series spans, and whole or refused."""

import json
import os

import pytest
from pydicom import uid

from lungct_tools.bulk import listing, manifest
from lungct_tools.bulk.listing import HEAD, Listed, find_series, list_series
from lungct_tools.bulk.manifest import Manifest, ManifestError, write_manifest
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.record import describe_file, identify_series
from lungct_tools.folder.source import MAX_BYTES, Entry, Folder, Listing, UnreadableError
from tests.support.dicoms import build_ct


def write(path, sizes):
    """A manifest of series of these sizes, whose files come mixed."""
    names = [(f"{series:04}", f"{number}-{series}") for series, size in enumerate(sizes) for number in range(size)]
    listed = [Listed(("st", key), name) for key, name in sorted(names, key=lambda each: each[1])]
    write_manifest(listed, path.parent, path)
    return Manifest(path), listed


@pytest.mark.parametrize("sizes", [[1], [5], [1] * 40, [30, 1, 1, 1], [3, 7, 1, 12, 2, 9, 30, 4]])
def test_every_file_is_in_one_shard_and_every_series_whole_however_many_shards_there_are(sizes, tmp_path):
    found, listed = write(tmp_path / "m", sizes)
    assert (found.header.files, found.header.series) == (sum(sizes), len(sizes))
    for count in (1, 2, 3, 7, 50):
        shards = [list(found.read_shard(Shard(index, count))) for index in range(count)]
        together = [each for shard in shards for each in shard]
        assert together == sorted(listed, key=lambda each: each.key)  # a stable sort: each series as it was listed
        keys = [{each.key for each in shard} for shard in shards]
        assert sum(map(len, keys)) == len(sizes)


def test_shards_are_of_like_size(tmp_path):
    found, _ = write(tmp_path / "m", [5] * 200)
    sizes = [sum(1 for _ in found.read_shard(Shard(index, 8))) for index in range(8)]
    assert (sum(sizes), max(sizes) - min(sizes) <= 25) == (1000, True), sizes  # names of some are longer


def test_a_series_that_begins_where_a_shard_does_is_its_own(tmp_path):
    found, _ = write(tmp_path / "m", [5] * 8)  # lines of one length, so that shards begin where series do
    assert [len(list(found.read_shard(Shard(index, 4)))) for index in range(4)] == [10] * 4


def test_a_list_whose_lines_are_no_paths_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("x" * 100_000)
    with pytest.raises(ManifestError, match="one a line"):
        write_manifest(list_series(Listing(tmp_path / "list.txt"), 1), tmp_path, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_a_list_larger_than_memory_is_sorted_as_one_that_is_not(tmp_path, monkeypatch):
    write(tmp_path / "whole", [3, 7, 1, 12, 2])
    monkeypatch.setattr(manifest, "SORTED_AT_ONCE", 4)
    monkeypatch.setattr(manifest, "READ_AT_ONCE", 7)
    write(tmp_path / "portions", [3, 7, 1, 12, 2])
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "portions").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portions", "whole"]


def test_names_that_are_no_text_or_were_written_on_windows_lead_to_their_files(tmp_path):
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    odd = os.fsdecode(b'bad-\xff "\n.png')
    for name in (odd, "a/b"):
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    (folder / "list.txt").write_bytes(b"a\\b\n" + str(tmp_path / "in" / "a" / "b").encode())
    for source, names in ((Folder(folder), {odd, "a/b"}), (Listing(folder / "list.txt"), {"a/b"})):
        write_manifest(list_series(source, 1), folder, tmp_path / "m")
        found = Manifest(tmp_path / "m")
        assert names < {entry.name for entry in found.entries()}
        assert all(found.read(entry) for entry in found.entries())


@pytest.mark.parametrize("harm", ["cut", "grown", "text", "no root", "old"])
def test_what_is_no_whole_manifest_is_refused_in_a_sentence(harm, tmp_path):
    path = tmp_path / "m"
    write(path, [2, 2])
    whole = path.read_bytes()
    head, _, body = whole.partition(b"\n")
    changed = {
        "cut": whole[:-3], "grown": whole + b"x", "text": b"a.b \"name\"\n",
        "no root": json.dumps({**json.loads(head), "root": str(tmp_path / "gone")}).encode() + b"\n" + body,
        "old": json.dumps({**json.loads(head), "format": 0}).encode() + b"\n" + body,
    }  # fmt: skip
    path.write_bytes(changed[harm])
    with pytest.raises(ManifestError, match="--in" if harm == "no root" else "lungct bulk list"):
        Manifest(path)
    if harm == "no root":
        assert Manifest(path, tmp_path).root == tmp_path


def test_a_damaged_line_is_told_when_it_is_reached(tmp_path):
    path = tmp_path / "m"
    write(path, [2])
    path.write_bytes(path.read_bytes().replace(b'st.0000 "1-0"', b'st.0000 "1-0x'))
    with pytest.raises(ManifestError, match="damaged"):
        list(Manifest(path).entries())


def test_another_slice_under_an_old_name_makes_another_list_and_a_copy_that_keeps_its_dates_does_not(tmp_path):
    found = []
    for folder, body, date in (("a", b"one", 1), ("b", b"one", 1), ("b", b"other", 1), ("a", b"one", 2)):
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        (root / "IM0001").write_bytes(body)
        os.utime(root / "IM0001", (date, date))
        found.append(write_manifest(list_series(Folder(root), 1), root, tmp_path / "m").sha256)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_an_empty_folder_is_no_run(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ManifestError, match="no files"):
        write_manifest(list_series(Folder(tmp_path / "in"), 1), tmp_path / "in", tmp_path / "m")


def row_key(path):
    """The series that the row of a file will name."""
    try:
        body = Folder(path.parent).read(Entry(path.name, path))
    except UnreadableError:
        body = b""
    return identify_series(describe_file(path.name, body))


def pad(count):
    """A CT file whose Series Instance UID begins `count` bytes further on."""
    padding = {"AdditionalPatientHistory": "x" * (count // 2), "PatientComments": "x" * (count - count // 2)}
    return build_ct(SeriesInstanceUID="1.2.3.4", StudyInstanceUID="1.5", **padding)


def test_the_head_of_a_file_tells_the_series_that_its_row_will_name(tmp_path):
    at = pad(0).index(b"1.2.3.4")
    bodies = {
        "plain.dcm": build_ct(SeriesInstanceUID="1.2"),
        "without.dcm": build_ct(),
        "deflated.dcm": build_ct(syntax=uid.DeflatedExplicitVRLittleEndian, SeriesInstanceUID="1.2"),
        "far.dcm": pad(HEAD + 1000),
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(2 * HEAD),
        "empty.dcm": b"",
        **{f"cut{n}.dcm": pad(HEAD - at - n) for n in range(-4, 14, 2)},  # the UID lies across the head's end
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "huge.dcm").write_bytes(bodies["plain.dcm"])
    os.truncate(tmp_path / "huge.dcm", MAX_BYTES + 1)
    keys = {entry.name: find_series(entry) for entry in Folder(tmp_path).entries()}
    assert keys == {name: row_key(tmp_path / name) for name in (*bodies, "pipe.dcm", "huge.dcm")}
    assert len(set(keys.values())) == 3


def test_several_processes_list_what_one_lists(tmp_path, monkeypatch):
    for number in range(7):
        (tmp_path / f"{number}.dcm").write_bytes(build_ct(SeriesInstanceUID=f"1.{number % 2}"))
    monkeypatch.setattr(listing, "PORTION", 2)
    assert list(list_series(Folder(tmp_path), 2)) == list(list_series(Folder(tmp_path), 1))
