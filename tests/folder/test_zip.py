"""Members of ZIPs: each opened by its entry, under a name of one form, and counted while they are read."""

import io
import stat
import struct
import zipfile

import pytest

from lungct_tools.folder import archive as archive_module
from lungct_tools.folder.archive import Archive, is_zip, open_source
from lungct_tools.folder.source import SourceError, UnreadableError
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.zips import pack


def read_all(packed):
    """Name and bytes of every member, or the sentence it is refused with."""
    source = Archive(io.BytesIO(packed))
    found = []
    for entry in source.entries():
        try:
            found.append((entry.name, source.read(entry)))
        except UnreadableError as error:
            found.append((entry.name, str(error)))
    return found


def test_backslashes_are_separators_before_any_rule_sees_a_name():
    members = ["case1\\", "case1\\a.png", "case2\\a.png", "case2\\Thumbs.db", "__MACOSX\\case1\\._a.png", ".git\\x"]
    assert read_all(pack(*((name, name.encode()) for name in members))) == [
        ("case1/a.png", b"case1\\a.png"), ("case2/a.png", b"case2\\a.png"),
    ]  # fmt: skip


def test_a_folder_is_none_of_the_slices_however_its_entry_says_so():
    said = {"unix": (stat.S_IFDIR | 0o755) << 16, "dos": 0x10, "file": (stat.S_IFREG | 0o644) << 16}
    entries = []
    for name, attributes in said.items():
        entries.append(zipfile.ZipInfo(name))
        entries[-1].external_attr = attributes
    assert read_all(pack(*((entry, b"") for entry in entries), ("$RECYCLE.BIN/a", b"1"))) == [("file", b"")]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_both_are_read():
    packed = pack(("a.png", b"first"), ("b.png", b"other"), ("a.png", b"second"), ("x/../a.png", b"third"))
    assert read_all(packed) == [("a.png", b"first"), ("a.png", b"second"), ("a.png", b"third"), ("b.png", b"other")]


def test_an_absolute_name_or_one_that_leads_upwards_is_a_name_and_no_place():
    packed = pack(("/etc/hostname", b"1"), ("../../up.png", b"2"), ("..\\..\\back.png", b"3"))
    assert [name for name, _ in read_all(packed)] == ["back.png", "etc/hostname", "up.png"]


def encrypt(packed):
    """The same ZIP with the flag of encryption in every header; what zipfile would say of a password."""
    changed = bytearray(packed)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = -1
        while (found := changed.find(mark, found + 1)) >= 0:
            changed[found + at] |= 1
    return bytes(changed)


def test_encrypted_nested_linked_and_damaged_members_have_a_sentence_each():
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "without a password" in read_all(encrypt(pack(("a.png", b"x"))))[0][1]
    assert "A ZIP inside a ZIP" in read_all(pack(("inner.zip", pack(("a.png", b"x")))))[0][1]
    assert "is a link" in read_all(pack((link, "/etc/passwd")))[0][1]
    assert "is damaged" in read_all(pack(("a.png", b"a" * 99)).replace(b"a" * 99, b"b" * 99))[0][1]
    packed = pack(("a.png", b"a" * 99))
    for old, new in ((b"PK\x03\x04\x14\0\0\0\0\0", 8), (b"PK\x01\x02\x14\x03\x14\0\0\0\0\0", 10)):
        assert old in packed
        packed = packed.replace(old, old[:new] + b"\x09\0")  # Deflate64, as Windows packs large files
    assert "by a method" in read_all(packed)[0][1]


def test_members_without_sizes_in_front_are_read():
    """Written to a pipe, a ZIP has its sizes behind each member (APPNOTE 4.3.9)."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, body):
            self.written += bytes(body)
            return len(body)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"slice" * 99)
    assert pipe.written[6] & 8
    assert read_all(pipe.written) == [("a.png", b"slice" * 99)]


def test_zip64_is_read(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a.png", "b.png", "c.png"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(name.encode())
    assert b"PK\x06\x06" in stream.getvalue()
    assert read_all(stream.getvalue()) == [(name, name.encode()) for name in ("a.png", "b.png", "c.png")]


@pytest.mark.parametrize("lie", [False, True])
def test_a_zip_of_too_many_members_is_refused_before_it_fills_the_memory(lie, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 10)
    packed = bytearray(pack(*((f"{number}", b"") for number in range(11))))
    if lie:
        packed[-14:-10] = struct.pack("<HH", 1, 1)  # the number of members in the end record (APPNOTE 4.3.16)
    with pytest.raises(SourceError, match="more than 10 members"):
        Archive(io.BytesIO(bytes(packed)))
    assert len(read_all(pack(*((f"{number}", b"") for number in range(10))))) == 10


def test_a_member_over_the_limit_is_not_read_into_memory():
    assert "larger than 32 MB" in read_all(pack(("zeros", bytes(40 * 2**20)), how=zipfile.ZIP_DEFLATED))[0][1]


def test_a_zip_that_is_none_is_refused(tmp_path):
    for body in (b"PK\x05\x06" + bytes(10), b"PK\x03\x04junk"):
        (tmp_path / "a.zip").write_bytes(body)
        with pytest.raises(SourceError, match="damaged"):
            open_source(tmp_path / "a.zip")


def test_a_slice_that_holds_the_marks_of_a_zip_is_a_slice(tmp_path):
    """At the end, where noise has them now and then, or in the 128 bytes before a DICOM file."""
    dicom = encode_dicom(draw_slice(1, "none", 64))
    end = pack()
    for body in (dicom + end, b"PK\x03\x04" + dicom[4:]):
        assert not is_zip(body)
        (tmp_path / "slice").write_bytes(body)
        source = open_source(tmp_path / "slice")
        assert [source.read(entry) for entry in source.entries()] == [body]


def test_members_and_names_of_a_damaged_zip_are_refused_and_not_raised():
    good = pack(("é.png", bytes(range(256)) * 16), how=zipfile.ZIP_LZMA)
    assert "is damaged" in read_all(good[:45] + bytes(200) + good[245:])[0][1]
    with pytest.raises(SourceError):
        read_all(good.replace("é".encode(), b"\xff\xff"))
