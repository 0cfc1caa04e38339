"""`lungct bulk` says in one sentence what it cannot do."""

import pytest

from lungct_tools.bulk.listing import Listed
from lungct_tools.bulk.manifest import write_manifest

SENTENCES = {
    "list IN IN/m": "lies inside IN",
    "list scans.zip m": "unpack",
    "list nothing m": "does not exist",
    "run nothing out": "cannot be read",
    "run MANIFEST out --shard 3/3": "I/N",
    "run MANIFEST out --in nothing": "--in",
    "run MANIFEST out --model nothing": "make archive",
    "gather IN": "no bulk run",
}


@pytest.mark.parametrize("words", SENTENCES)
def test_what_cannot_be_done_is_refused_in_a_sentence(words, tmp_path, run_here):
    (tmp_path / "scans.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    (tmp_path / "in").mkdir()
    write_manifest([Listed(("", "s"), "a.png")], tmp_path / "in", tmp_path / "manifest")
    places = {"IN": tmp_path / "in", "IN/m": tmp_path / "in" / "m", "MANIFEST": tmp_path / "manifest"}
    names = {name: tmp_path / name for name in ("nothing", "out", "m", "scans.zip")}
    code, said = run_here("bulk", *((places | names).get(word, word) for word in words.split()))
    assert (code, said.count("\n"), SENTENCES[words] in said) == (2, 1, True), said
    assert not (tmp_path / "out").exists()
