"""Which file formats there are: told by their first bytes, never by name."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError

# Byte signatures: PNG 3rd ed. 5.2; JPEG (T.81) B.2; TIFF 6.0 section 2 and BigTIFF; RIFF/WebP container spec.
SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the bitmap headers there are; "BM" alone is too weak a sign

_FOLDER_TOOL = "unpack it and score the folder: make score IN=folder OUT=results."
_ARCHIVE = f"An archive is no slice; {_FOLDER_TOOL}"
_VOLUME = "A volume file does not say how its slices were shown; export the slice as DICOM, or as 8-bit gray PNG."
_DOCUMENT = "A document or web page is no slice; send the image file itself."
_JSON = 'A JSON file is no slice; send the image file itself, or as {"data": "<the file in base64>"}.'
_EXPORT = "is not read; export the slice as DICOM or as 8-bit gray PNG."
EMPTY = "The file is empty; send the slice itself."
SEVERAL = "The file holds several pictures; send one slice a request."
REFUSED = (
    (0, b"PK\x03\x04", _ARCHIVE),
    (0, b"PK\x05\x06", _ARCHIVE),
    (0, b"PK\x07\x08", _ARCHIVE),
    (0, b"\x1f\x8b", f"A gzip file is no slice; {_FOLDER_TOOL}"),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (0, b"\xfd7zXZ\0", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", f"JPEG 2000 outside DICOM {_EXPORT}"),
    (0, b"\xff\x4f\xff\x51", f"JPEG 2000 outside DICOM {_EXPORT}"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", f"JPEG XL {_EXPORT}"),
    (0, b"\xff\x0a", f"JPEG XL {_EXPORT}"),
    (4, b"ftyp", f"A film, HEIC or AVIF {_EXPORT}"),
    (0, b"GIF8", f"GIF {_EXPORT}"),
    (344, b"n+1\0", _VOLUME),
    (344, b"ni1\0", _VOLUME),
    (4, b"n+2\0", _VOLUME),
    (0, b"NRRD", _VOLUME),
    (0, b"ObjectType", _VOLUME),
    (0, b"\x93NUMPY", _VOLUME),
)
TEXTS = ((b"%PDF", _DOCUMENT), (b"<", _DOCUMENT), (b"{", _JSON), (b"[", _JSON))  # as `find_text` has their beginning
_PNG_END = b"IEND\xaeB`\x82"
_JOINTS = b"&\r\n"  # between files that were joined
# Thumbnails within a JPEG end as it does, and are followed by what is no file.
_AFTER_JPEG = re.compile(rb"\xff\xd9[&\r\n]{0,2}(\xff\xd8\xff|\x89PNG\r\n\x1a\n|\0{128}DICM)")
_PREAMBLE = 128  # bytes before a DICOM file's mark, zeros as good as always
_META_HEADER = b"DICM\2\0\0\0UL\4\0"
_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"  # byte order marks, white space, the noughts of UTF-16


def recognise(body: bytes) -> str:
    """The format of a file: PNG, JPEG, TIFF, BMP, WEBP or DICOM.

    Raises:
        LungCTError: unsupported_format, with what to send instead where the first bytes tell what the file is.
    """
    if body[128:132] == b"DICM":  # before all others: the 128 bytes before may be the head of a TIFF (PS3.10 7.1)
        return "DICOM"
    for magic, name in SIGNATURES:
        if body.startswith(magic):
            return name
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in BMP_HEADERS:
        return "BMP"
    for offset, magic, sentence in REFUSED:
        if body.startswith(magic, offset):
            raise LungCTError("unsupported_format", sentence)
    text = find_text(body)
    for begin, sentence in TEXTS:
        if text.startswith(begin):
            raise LungCTError("unsupported_format", sentence)
    if starts_dicom(body):
        return "DICOM"
    raise LungCTError(
        "unsupported_format", "The bytes are no PNG, JPEG, TIFF, BMP, WebP or DICOM; export the slice as one of these."
    )


def is_known(body: bytes) -> bool:
    """Whether `recognise` knows a format that we read."""
    try:
        return bool(recognise(body))
    except LungCTError:
        return False


def holds_more(body: bytes, kind: str) -> bool:
    """Whether behind the end of a file another one begins that we read, as `cat` and curl's `--data-binary` join them.

    A decoder would show the first and say nothing of the others. Of a TIFF no byte tells the end.
    """
    if kind == "DICOM":
        at = body.find(_META_HEADER, 2 * _PREAMBLE)
        return at > 0 and not any(body[at - _PREAMBLE : at])
    if kind == "JPEG":
        return _AFTER_JPEG.search(body) is not None
    end = len(body)
    if kind == "PNG" and (at := body.find(_PNG_END)) > 0:
        end = at + len(_PNG_END)
    if kind in ("BMP", "WEBP"):  # which say how long they are; WebP without the 8 bytes before it
        # some bitmaps say 0
        end = int.from_bytes(body[2:6], "little") or end if kind == "BMP" else int.from_bytes(body[4:8], "little") + 8
    return is_known(body[end : end + 512].lstrip(_JOINTS))


def find_text(body: bytes | bytearray) -> bytes:
    """The first characters of a body, should it be a text, behind whatever stands before a text."""
    return bytes(body[:512]).lstrip(_BEFORE_TEXT)


def starts_dicom(body: bytes) -> bool:
    """Whether a file without preamble starts with a DICOM element of group 2 or 8, as old archives write them.

    The element is (group, element, then explicit VR: two capital letters, or implicit VR: a length that fits). See
    DICOM PS3.5 section 7.1.
    """
    if len(body) < 8:
        return False
    if body[:2] in (b"\x02\0", b"\x08\0"):
        fits = int.from_bytes(body[4:8], "little") <= len(body) - 8
        return _is_vr(body[4:6]) or (fits and body[3] == 0)
    return body[:2] in (b"\0\x02", b"\0\x08") and _is_vr(body[4:6])


def measure_plain(body: bytes, kind: str) -> tuple[int, int] | None:
    """Rows and columns of a plain PNG or JPEG, whose decoding is sure to end soon and to take little memory; else None.

    Plain is a sequential 8-bit JPEG in at most four scans, or an 8-bit PNG, in few parts and without metadata: no
    progressive scans, compressed texts, EXIF or animation, each of which costs time out of proportion to the file.
    """
    walk = {"JPEG": _measure_jpeg, "PNG": _measure_png}.get(kind)
    return walk(body) if walk else None


def _is_vr(letters: bytes) -> bool:
    return letters.isalpha() and letters.isupper()


# T.81 table B.1: tables, restart interval, JFIF and Adobe segments, comment.
_JPEG_PARTS = frozenset((0xDB, 0xC4, 0xDD, 0xE0, 0xEE, 0xFE))
_PNG_PARTS = frozenset((b"PLTE", b"tRNS", b"IDAT", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"tIME"))
_MAX_JPEG_PARTS, _MAX_SCANS, _MAX_PNG_PARTS = 32, 4, 256


def _measure_jpeg(body: bytes) -> tuple[int, int] | None:
    at, size = 2, None
    for _ in range(_MAX_JPEG_PARTS):
        mark, code = body[at : at + 1], body[at + 1 : at + 2]
        if mark != b"\xff" or not code:
            return None
        if code[0] == 0xDA:
            # Every scan counts: coded data holds no FF DA, because in it FF is followed by 00 or a restart number.
            return size if _count_scans(np.frombuffer(body, np.uint8, offset=at)) <= _MAX_SCANS else None
        if code[0] in (0xC0, 0xC1) and body[at + 4 : at + 5] == b"\x08":
            size = (_number(body, at + 5, 2), _number(body, at + 7, 2))
        elif code[0] not in _JPEG_PARTS:
            return None
        at += 2 + _number(body, at + 2, 2)
    return None


def _count_scans(codes: npt.NDArray[np.uint8]) -> int:
    """How often FF DA is in (N,) bytes: bytes.count takes five times as long, a hundredth of all that a slice takes."""
    marks = np.flatnonzero(codes[:-1] == 0xFF)
    return int(np.count_nonzero(codes[marks + 1] == 0xDA))


def _measure_png(body: bytes) -> tuple[int, int] | None:
    if body[12:16] != b"IHDR" or body[24:25] != b"\x08":
        return None
    at = 33  # signature and IHDR, which is 25 bytes with length and checksum
    for _ in range(_MAX_PNG_PARTS):
        name = body[at + 4 : at + 8]
        if name == b"IEND":
            return _number(body, 20, 4), _number(body, 16, 4)
        if name not in _PNG_PARTS:
            return None
        at += 12 + _number(body, at, 4)
    return None


def _number(body: bytes, at: int, length: int) -> int:
    return int.from_bytes(body[at : at + length], "big")
