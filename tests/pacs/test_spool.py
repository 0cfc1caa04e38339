"""The spool: one process, a quota, names that tell nothing, and nothing half done."""

import io
import json
import os
from pathlib import Path

import pytest
from pydicom import dcmread

from lungct_tools.folder.source import UnreadableError
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.numbers import describe
from lungct_tools.pacs.spool import FullError, Spool, SpoolError, hash_name
from lungct_tools.pacs.status import judge, survey, write_numbers
from tests.support.series import draw_series, read_header

FILES = draw_series(3, name="spool")


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool", 10**6) as found:
        yield found


def put(spool, *bodies):
    for body in bodies:
        series, _ = spool.put(body, read_header(body))
    return series


def built(series, number=1):
    return series.add_version(
        number,
        iter([("1-report.dcm", b"x")]),
        {
            "slices": sorted(series.slices()),
            "objects": [{"file": "1-report.dcm", "sop_class": "1"}],
            "report": ["1", "2"],
        },
    )


def test_a_slice_is_kept_as_it_came_and_its_header_beside_it(spool):
    series = put(spool, *FILES)
    (name,) = [n for n in series.slices() if series.read(n) == FILES[0]]
    assert name == hash_name(dcmread(io.BytesIO(FILES[0])).SOPInstanceUID)
    assert series.header(name) == read_header(FILES[0])


def test_every_folder_on_the_way_to_a_slice_or_a_result_survives_a_loss_of_power(tmp_path, monkeypatch):
    """A file that is synced is gone all the same where a folder above it is not."""
    synced, sync = set(), os.fsync

    def note(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        found = path.iterdir() if path.is_dir() else ()
        synced.update(Path(str(each).replace("/.1.new/", "/1/")) for each in found)  # it gets its name later
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    with Spool(tmp_path / "spool", 10**6) as spool:
        series = put(spool, FILES[0])
        files = [*(series.root / "in").iterdir(), *built(series).folder.iterdir()]
    way = {folder for file in files for folder in (file, *file.parents) if folder.is_relative_to(spool.root)}
    assert len(files) == 4
    assert way - {spool.root} <= synced


def test_a_slice_that_comes_again_is_one(spool):
    assert spool.put(FILES[0], read_header(FILES[0]))[1]
    assert spool.put(FILES[0], read_header(FILES[0]))[1] is None


def test_another_slice_with_the_uid_of_a_known_one_is_refused_and_changes_nothing(spool):
    series = put(spool, FILES[0])
    other = read_header(FILES[1])
    other.SOPInstanceUID = read_header(FILES[0]).SOPInstanceUID
    with pytest.raises(UnreadableError, match="Another slice"):
        spool.put(FILES[1], other)
    assert [series.read(name) for name in series.slices()] == [FILES[0]]


def test_of_slices_that_tell_no_place_the_uid_alone_makes_no_copies(spool):
    """Some who remove names give one UID to all slices, and take their numbers and positions away."""
    header = read_header(FILES[0])
    del header.InstanceNumber, header.ImagePositionPatient
    assert spool.put(FILES[0], header)[1]
    assert spool.put(FILES[0], header)[1] is None
    with pytest.raises(UnreadableError, match="Another slice"):
        spool.put(FILES[1], header)


def test_a_second_process_is_refused(spool):
    with pytest.raises(SpoolError, match="Another process"):
        Spool(spool.root, 10**6)


def test_beyond_the_quota_nothing_is_taken_until_something_is_deleted(tmp_path):
    size = len(FILES[0])
    with Spool(tmp_path / "spool", int(2.5 * size)) as spool:
        series = put(spool, *FILES[:2])
        with pytest.raises(FullError):
            put(spool, FILES[2])
        assert len(series.slices()) == 2
        assert spool.close_if(series, lambda series: True)
        put(spool, draw_series(1, name="other")[0])
    with Spool(tmp_path / "spool", int(1.5 * size)) as spool, pytest.raises(FullError):  # counted anew
        put(spool, FILES[2])


def test_what_was_deleted_is_still_known(spool):
    series = put(spool, *FILES[:2])
    built(series)
    assert spool.close_if(series, lambda series: True)
    assert sorted(path.name for path in series.root.iterdir()) == ["closed.json"]
    assert spool.put(FILES[0], read_header(FILES[0]))[1] is None
    assert spool.put(FILES[2], read_header(FILES[2]))[1]
    assert series.last_report() == (1, None)


def test_a_result_that_was_being_written_is_none(spool):
    series = put(spool, *FILES)

    def files():
        yield "1-report.dcm", b"x"
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - a bare one
        series.add_version(1, files(), {})
    assert series.versions() == []
    assert built(series).files == ["1-report.dcm"]
    assert [version.number for version in series.versions()] == [1]


def test_the_last_row_of_a_slice_counts_and_a_torn_one_does_not(spool):
    series = put(spool, *FILES)
    series.append({"file": "a", "label": "Normal"})
    series.append({"file": "a", "label": "Benign"})
    with (series.root / "rows.jsonl").open("ab") as file:
        file.write(b'{"file": "b"')
    before = (series.root / "rows.jsonl").read_bytes()
    assert {name: row["label"] for name, row in series.rows().items()} == {"a": "Benign"}
    assert (series.root / "rows.jsonl").read_bytes() == before  # who reads while another process writes cuts nothing
    assert (series.root / "rows.jsonl").stat().st_mode & 0o077 == 0
    series.append({"file": "c", "label": "Normal"})
    assert series.rows().keys() == {"a", "c"}


def test_states_follow_what_is_on_disk(spool):
    series = put(spool, *FILES[:2])
    assert judge(series, {"peer"}) == "open"
    version = built(series)
    assert judge(series, {"peer"}) == "unsent"
    assert judge(series, set()) == "sent"  # nobody waits for it
    version.note_sent("peer", version.files)
    assert judge(series, {"peer"}) == judge(series) == "sent"
    assert judge(series, {"peer", "other"}) == "unsent"
    version.note_refusal("other", "0xA900")
    assert judge(series, {"peer", "other"}) == "refused"
    put(spool, FILES[2])
    assert judge(series, {"peer"}) == "open"
    series.close()
    assert judge(series, {"peer"}) == "deleted"


def test_a_series_that_is_deleted_while_others_look_at_it_ends_nobody(spool, monkeypatch):
    """The thread that writes the numbers for the exporter, above all, and whoever asks for the status."""
    series = put(spool, *FILES)
    (built(series).folder / "manifest.json").unlink()  # what a deletion comes to first may be this
    assert series.versions() == []
    write_numbers(spool.root, {"peer"}, scored=7, waiting_since=None)
    names = series.slices()
    spool.close_if(series, lambda series: True)
    monkeypatch.setattr(SeriesFolder, "slices", lambda _: names)  # as they were found a moment before
    (row,) = survey(spool.root, set(), identify=True)
    assert (row["slices"], "study_uid" in row) == (3, False)


class Gone(type(Path())):
    """A file that was there a moment ago."""

    def is_file(self):
        return True

    def stat(self, **_):
        raise FileNotFoundError(2, "No such file or directory")

    lstat = stat


def test_what_a_series_takes_can_be_counted_while_it_is_written(spool, monkeypatch):
    series = put(spool, *FILES)
    size, look = series.size(), Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: [*look(folder, pattern), Gone(folder / ".rows.new")])
    assert series.size() == size > sum(map(len, FILES))


def test_status_tells_uids_only_if_asked(spool):
    series = put(spool, *FILES)
    uid = read_header(FILES[0]).StudyInstanceUID
    assert uid not in json.dumps(survey(spool.root, set()))
    (row,) = survey(spool.root, set(), identify=True)
    assert row["study_uid"] == uid
    assert (row["series"], row["slices"], row["scored"], row["version"]) == (series.name, 3, 0, 0)


def test_metrics_count_series_by_state(spool):
    put(spool, *FILES)
    write_numbers(spool.root, {"peer"}, scored=7, waiting_since=None)
    found = {sample.name: sample for metric in describe(spool.root) for sample in metric.samples if not sample.labels}
    assert found["lung_ct_pacs_up"].value == 1
    assert found["lung_ct_pacs_slices_total"].value == 7
    assert found["lung_ct_pacs_oldest_unsent_seconds"].value == 0
    states = {s.labels["state"]: s.value for m in describe(spool.root) for s in m.samples if s.labels}
    assert states == {"open": 1, "unsent": 0, "refused": 0, "sent": 0, "deleted": 0}


@pytest.mark.parametrize("ended", [True, False])
def test_numbers_of_a_process_that_ended_are_not_shown(spool, tmp_path, ended):
    write_numbers(spool.root, set(), 7, None, ended)
    document = json.loads((spool.root / "numbers.json").read_text())
    if not ended:  # it was killed an hour ago
        (spool.root / "numbers.json").write_text(json.dumps({**document, "at": document["at"] - 3600}))
    for root in (spool.root, tmp_path / "none"):
        assert [(s.name, s.value) for m in describe(root) for s in m.samples] == [("lung_ct_pacs_up", 0)]


@pytest.mark.parametrize("uids", [("",), ("1.2", "")])
def test_a_series_without_a_uid_has_no_name(uids):
    with pytest.raises(Exception, match="no UID"):
        hash_name(*uids)


def test_a_folder_is_named_by_a_hash_whatever_the_uid(tmp_path):
    assert set(hash_name("../../x", "/etc")) <= set("0123456789abcdef")
    assert SeriesFolder(tmp_path / "none").slices() == set()
