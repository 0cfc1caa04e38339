"""Base64 however clients write it is one file, or is refused with what is wrong."""

import base64
from contextlib import suppress
from time import process_time
from urllib.parse import quote

import pytest

from lungct.errors import LungCTError
from lungct.exchange.request import parse
from tests.support.dicoms import build_ct
from tests.support.pictures import GRAY, encode
from tests.support.tensors import oip

CLASSES = ("Benign", "Malignant", "Normal")
FILE = bytes(range(256))
PLAIN = base64.b64encode(FILE).decode()
URL_SAFE = base64.urlsafe_b64encode(FILE).decode()


def refuse(row):
    with pytest.raises(LungCTError) as caught:
        parse(row, {}, CLASSES)
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        base64.encodebytes(FILE).decode(),
        base64.encodebytes(FILE).decode().replace("\n", "\r\n"),
        f"  {PLAIN[:40]} \t{PLAIN[40:]}\n",
        URL_SAFE,
        URL_SAFE.rstrip("="),
        f"data:image/png;base64,{PLAIN}",
        f"data:image/png; base64,{quote(PLAIN, safe='')}",
        f"{URL_SAFE[:4]} {URL_SAFE[4:]}",
        f"DATA:;charset=x;BASE64,{base64.encodebytes(FILE).decode()}",
    ],
)
def test_base64_is_read_however_it_is_written(text):
    assert parse({"body": {"data": text}}, {}, CLASSES).body == FILE
    assert parse({"body": oip(data=[text])}, {}, CLASSES).body == FILE


@pytest.mark.parametrize(
    "text", ["###", "YQ=Y", "Y", "YQ==YQ==", "-_+/", "ä", 7, None, ["YQ=="], "data:text/plain,YQ=="]
)
def test_bad_base64_is_a_corrupt_image(text):
    assert refuse({"body": {"data": text}}) == "corrupt_image"
    assert refuse({"body": oip(data=[{"a": 1} if text == ["YQ=="] else text])}) == "corrupt_image"


def test_a_text_of_other_letters_costs_no_more_than_base64():
    def measure(letter):
        body, began = b"iVBORw0KGgo" + letter * 2**20, process_time()
        with suppress(LungCTError):
            parse({"body": body}, {}, CLASSES)
        return process_time() - began

    assert min(measure("é".encode()) for _ in range(3)) < 5 * max(measure(b"AA") for _ in range(3))


def test_base64_in_which_each_plus_became_a_blank_is_refused_and_not_read_without_them():
    """Without them every later byte would be another: the file would be called damaged, which it is not."""
    lost = base64.b64encode(encode(GRAY, "JPEG")).decode().replace("+", " ")
    assert " " in lost
    for row in ({"body": lost.encode()}, {"data": lost.encode()}, {"body": {"data": lost}}, {"body": oip(data=[lost])}):
        with pytest.raises(LungCTError, match=r"may have been a \+") as caught:
            parse(row, {}, CLASSES)
        assert caught.value.code == "corrupt_image"


def test_letters_that_need_no_percent_encoding_have_it_in_few_places_or_the_text_is_none():
    """Ten million of them would take gigabytes."""
    for count, read in ((1000, True), (1001, False)):
        text = "data:;base64," + "%41" * count + PLAIN + "A" * (-count % 4)
        row = {"body": {"data": text.replace(PLAIN, "A" * len(PLAIN))}}
        if read:
            assert parse(row, {}, CLASSES).body == bytes((1000 + len(PLAIN)) * 3 // 4)
        else:
            assert refuse(row) == "corrupt_image"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_base64_as_windows_writes_it_is_read(encoding):
    for file in (encode(GRAY, "PNG"), build_ct()):
        for text in (base64.encodebytes(file).decode(), f"data:;base64,{base64.b64encode(file).decode()}"):
            assert parse({"body": text.encode(encoding)}, {}, CLASSES).body == file
            with pytest.raises(LungCTError, match="make score"):
                parse({"data": file, "second": text.encode(encoding)}, {}, CLASSES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n", b"data:;base64,", b" data:image/png;base64,"])
def test_a_body_that_is_nothing_but_base64_is_the_file_that_it_holds(kind, before):
    file = encode(GRAY, kind)
    assert parse({"body": bytearray(before + base64.encodebytes(file))}, {}, CLASSES).body == file
    assert refuse({"body": before + base64.b64encode(file)[:-3] + b"="}) == "corrupt_image"


def test_a_dicom_file_in_base64_is_one_too_and_so_is_a_jpeg_in_the_alphabet_of_urls():
    assert parse({"body": base64.b64encode(build_ct())}, {}, CLASSES).body == build_ct()
    file = encode(GRAY, "JPEG")
    assert parse({"body": base64.urlsafe_b64encode(file)}, {}, CLASSES).body == file


@pytest.mark.parametrize("preamble", [b"/9j/", b"data:", b"A" * 64])
def test_a_dicom_file_is_one_whatever_its_preamble_begins_with(preamble):
    file = preamble.ljust(128, b"\0") + build_ct()[128:]
    assert parse({"body": file}, {}, CLASSES).body == file
