"""`lungct bulk` says in one sentence what it cannot do."""

import pytest

from lungct_tools.bulk.listing import Listed
from lungct_tools.bulk.manifest import write_manifest
from lungct_tools.packages import lacking

SENTENCES = {
    "list IN IN/m": "lies inside IN",
    "list scans.zip m": "unpack",
    "list nothing m": "does not exist",
    "run nothing out": "cannot be read",
    "run MANIFEST out --shard 3/3": "I/N",
    "run MANIFEST out --in nothing": "--in",
    "run MANIFEST out --model nothing": "make archive",
    "gather IN": "no bulk run",
    "ray MANIFEST out --in nothing": "--in",
}


def make_manifest(folder):
    folder.joinpath("in").mkdir()
    write_manifest([Listed(("", "s"), "a.png")], folder / "in", folder / "manifest")
    return folder / "manifest"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere", "127.0.0.1:99999999"])
def test_a_cluster_that_is_not_there_is_told_at_once(address, tmp_path, run_here):
    code, said = run_here("bulk", "ray", make_manifest(tmp_path), tmp_path / "out", "--address", address)
    assert (code, said.count("\n"), f"Nothing answers at {address};" in said) == (2, 1, True), said


def test_without_ray_its_extra_is_named(tmp_path, run_here, monkeypatch):
    monkeypatch.setattr("lungct_tools.bulk.cluster.find_spec", lambda package: None)
    monkeypatch.setattr(lacking, "has", lambda package: package != "ray")
    code, said = run_here("bulk", "ray", make_manifest(tmp_path), tmp_path / "out")
    assert (code, said.count("\n"), "`make setup EXTRAS=ray`" in said) == (2, 1, True), said


def test_where_all_shards_are_done_no_cluster_is_asked(tmp_path, run_here):
    manifest, out = make_manifest(tmp_path), tmp_path / "out"
    run = ("bulk", "ray", manifest, out, "--address", "127.0.0.1:9")
    assert run_here(*run, "--shards", 2)[0] == 2, "it is begun, with two shards"
    for index in range(2):
        (out / "parts" / f"{index:06}").mkdir(parents=True)
        (out / "parts" / f"{index:06}" / "000000.jsonl").touch()
    assert run_here(*run) == (0, "")
    code, said = run_here(*run, "--shards", 3)
    assert (code, "begun with another shards" in said) == (2, True)


@pytest.mark.parametrize("words", SENTENCES)
def test_what_cannot_be_done_is_refused_in_a_sentence(words, tmp_path, run_here):
    (tmp_path / "scans.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    make_manifest(tmp_path)
    places = {"IN": tmp_path / "in", "IN/m": tmp_path / "in" / "m", "MANIFEST": tmp_path / "manifest"}
    names = {name: tmp_path / name for name in ("nothing", "out", "m", "scans.zip")}
    code, said = run_here("bulk", *((places | names).get(word, word) for word in words.split()))
    assert (code, said.count("\n"), SENTENCES[words] in said) == (2, 1, True), said
    assert not (tmp_path / "out").exists()
