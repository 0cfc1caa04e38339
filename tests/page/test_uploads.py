"""Files and ZIPs that a person uploads: the folder tool's rules, limits that hold, and names that tell slices apart."""

import zipfile

import pytest

from lungct_tools.page import uploads as uploads_module
from lungct_tools.page.study import Finding, Study
from lungct_tools.page.table import make_table
from lungct_tools.page.uploads import MAX_SLICES, Upload, unpack
from lungct_tools.page.viewer import make_tags
from tests.support.dicoms import build_ct
from tests.support.rows import CLASSES
from tests.support.zips import pack


def name_all(*files):
    """Names and bodies of the slices in (name, bytes) files."""
    slices, _ = unpack([Upload(*file) for file in files])
    return [(slice_.name, slice_.body) for slice_ in slices]


def test_a_zip_from_windows_is_read_by_the_folder_tools_rules():
    members = ["case1\\", "case1\\a.png", "case2\\a.png", "case2\\Thumbs.db", "__MACOSX\\case1\\._a.png"]
    packed = pack(*((name, name.encode()) for name in members))
    assert [name for name, _ in name_all(("scan.zip", packed))] == ["case1/a.png", "case2/a.png"]
    found, _ = unpack([Upload("scan.zip", packed)])
    assert len(Study([Finding(slice_) for slice_ in found]).series()) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_both_are_shown():
    assert name_all(("scan.zip", pack(("a", b"1"), ("a", b"2")))) == [("a", b"1"), ("a", b"2")]


def test_slices_of_one_name_in_two_uploads_have_two_names_and_two_series():
    one, other = pack(("case/IM1", b"1")), pack(("case/IM1", b"2"))
    found, _ = unpack([Upload("scan.zip", one), Upload("scan.zip", other), Upload("IM1", b"3"), Upload("IM1", b"4")])
    assert len({slice_.name for slice_ in found}) == 4
    assert len({slice_.stem for slice_ in found}) == 4
    assert len(Study([Finding(slice_) for slice_ in found]).series()) == 3
    assert [name for name, _ in name_all(("a.zip", one), ("b.zip", other))] == ["a.zip/case/IM1", "b.zip/case/IM1"]


def test_an_unreadable_member_is_a_row_with_its_reason_and_is_not_sent():
    (nested,), notes = unpack([Upload("scan.zip", pack(("inner.zip", pack(("a.png", b"x")))))])
    assert "A ZIP inside a ZIP" in str(nested.fault)
    assert (nested.name, nested.body, notes) == ("inner.zip", b"", [])


def test_a_slice_whose_end_looks_like_a_zip_is_a_slice():
    assert name_all(("noise.png", b"\x89PNG" + pack())) == [("noise.png", b"\x89PNG" + pack())]


def test_what_a_page_may_hold_is_counted_while_it_is_read(monkeypatch):
    monkeypatch.setattr(uploads_module, "MAX_TOTAL", 100)
    read = []
    really = uploads_module.Archive.read
    monkeypatch.setattr(uploads_module.Archive, "read", lambda self, entry: read.append(entry) or really(self, entry))
    found, notes = unpack([Upload("scan.zip", pack(*((f"{number:02}", bytes(30)) for number in range(50))))])
    assert (len(found), len(read)) == (3, 4)
    assert "Only the first 3 slices" in notes[0]


def test_members_that_are_refused_count_as_what_it_took_to_read_them():
    """A small ZIP of very many members, each of which unpacks to more than a slice may have."""
    packed = pack(*((f"{number:02}", bytes(33 * 2**20)) for number in range(20)), how=zipfile.ZIP_DEFLATED)
    found, notes = unpack([Upload("bomb.zip", packed)])
    assert len(found) == 15  # of 32 MB and a byte each
    assert "Only the first 15" in notes[0]
    assert {slice_.fault.code for slice_ in found} == {"too_many_bytes"}


def test_a_member_that_was_not_unpacked_costs_nothing_but_its_row():
    bad = pack(*((f"{number}.zip", b"PK\x03\x04") for number in range(MAX_SLICES + 5)))
    found, notes = unpack([Upload("many.zip", bad)])
    assert len(found) == MAX_SLICES
    assert notes


def test_no_table_that_streamlit_saves_as_csv_holds_a_formula():
    """Of its own accord, by a button at each table, with nothing escaped."""
    (line,) = make_table([Finding(Upload("=1+1.png", b""), error="empty_body")], CLASSES, {})
    assert line["file"] == "'=1+1.png"
    tags = {line["tag"]: line["value"] for line in make_tags(build_ct(SeriesDescription="=1+1"))}
    assert tags["Series Description"] == "'=1+1"


def test_a_number_of_a_header_is_shown_as_it_stands_there():
    tags = {
        line["tag"]: line["value"] for line in make_tags(build_ct(RescaleIntercept="-1024", SliceLocation="-120.5"))
    }
    assert (tags["Rescale Intercept"], tags["Slice Location"]) == ("-1024", "-120.5")


@pytest.mark.parametrize("names", [(), ("__MACOSX/._a.png", "folder/")])
def test_a_zip_that_holds_no_files_is_told(names):
    found, notes = unpack([Upload("empty.zip", pack(*((name, b"") for name in names)))])
    assert (found, len(notes)) == ([], 1)
    assert "empty.zip holds no files" in notes[0].replace("\\", "")
