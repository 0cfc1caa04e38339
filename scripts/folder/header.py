"""What a DICOM header says of a slice's place: its study, its series, where in the series. Tags only if asked."""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

from lungct.errors import LungCTError
from lungct.pixels.ctimage import CT_CLASSES
from lungct.pixels.elements import Elements, as_text, get_value
from lungct.pixels.formats import recognise
from lungct.pixels.header import FAULTS, read_elements, read_meta
from lungct.pixels.plane import check_view
from lungct.pixels.rendering import translate_faults
from lungct.pixels.walk import Walk

_DEFLATED = "1.2.840.10008.1.2.1.99"
_MOST_INFLATED = 2**20  # bytes of a deflated file, which whole could fill the memory; a header is some 5 kB
_PLAIN = bytes(128) + b"DICM\2\0\x10\0UI\x14\0" + b"1.2.840.10008.1.2.1\0"  # what stands before an inflated data set
_UIDS = {
    0x00080018: ("SOPInstanceUID", b"UI"),
    0x0020000D: ("StudyInstanceUID", b"UI"),
    0x0020000E: ("SeriesInstanceUID", b"UI"),
}
_FRAMES = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_MOST_BYTES = 2**14  # of a value
_PLACE_TAGS = [
    *(keyword for keyword, _ in _UIDS.values()),
    "SOPClassUID", "ImageType", "PatientID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "ImageOrientation", "PatientOrientation", "NumberOfFrames",
    "InConcatenationNumber", *_FRAMES,
]  # fmt: skip
# Of a usual file: pydicom takes as long for these as the rest of its row takes.
_USUAL = {
    **_UIDS,
    0x00100020: ("PatientID", b"LO"),
    0x00200013: ("InstanceNumber", b"IS"),
    0x00200032: ("ImagePositionPatient", b"DS"),
    0x00209162: ("InConcatenationNumber", b"US"),
}
_LONGEST_VALUE = 120
_OWNER_DIGITS = 3


class Place(NamedTuple):
    """Where a slice belongs. The UIDs are tag values: they stay inside unless somebody asked for them.

    Attributes:
        study: StudyInstanceUID, "" when the header has none.
        series: SeriesInstanceUID, "" when the header has none.
        order: sorts a series from head to feet; equal orders keep their order by name.
        instance: SOPInstanceUID, "" when the header has none.
        spot: position in millimetres, and frames and instance number, as texts, "" for what is not told: two files of
            one instance that agree in both are copies of each other, and two of equal pixels that agree in the first.
        patient: three hexadecimal digits of a hash of PatientID and study, "" when the header has no PatientID: too few
            to find out the number by trying them all, and enough to tell most patients apart who got the same UIDs.
        axial: False for what the header knows to be no axial image: scouts, other planes, objects that are no CT image.
    """

    study: str
    series: str
    order: float
    instance: str = ""
    spot: tuple[str, str] = ("", "")
    axial: bool = True
    patient: str = ""


def find_place(body: bytes) -> Place | None:
    """The place of a DICOM slice; None for other formats and for headers that cannot be read."""
    header = read_elements(body, _USUAL)
    if header is None or not all(isinstance(header.get(keyword), str) for keyword, _ in _UIDS.values()):
        header = _read_header(body, _PLACE_TAGS)
    if header is None:
        return None
    position = _find_position(header)
    frames = [_tell(header.get(name)) for name in ("NumberOfFrames", "InConcatenationNumber", "InstanceNumber")]
    study, series, instance = (str(header.get(f"{level}InstanceUID") or "") for level in ("Study", "Series", "SOP"))
    spot = (repr(position) if position else "", repr(frames) if any(frames) else "")
    patient = as_text(header, "PatientID")
    owner = patient and hash_key(f"{study}\n{patient}")[:_OWNER_DIGITS]
    return Place(study, series, _find_order(header, position), instance, spot, _is_axial(header), owner)


def list_tags(body: bytes) -> list[tuple[str, str]]:
    """Name and value of every plain tag in a DICOM header. They may identify a patient: show them only on request."""
    header = _read_header(body, None)
    if header is None:
        return []
    plain = (element for element in header if element.VR not in ("SQ", "OB", "OW", "OF", "UN"))
    return [(element.name, str(element.value)[:_LONGEST_VALUE]) for element in plain]


def hash_key(text: str) -> str:
    """A short name for a study or series that does not tell its UID: 12 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _tell(value: Any) -> str:
    """A number as text, whatever was before it; what is none as it is, and nothing for what is absent."""
    with suppress(TypeError, ValueError):
        return str(int(value))
    return str(value or "")


def _find_position(header: Elements) -> list[float]:
    """ImagePositionPatient to 10 micrometres, of the frame that is scored; [] where it is not three numbers."""
    with suppress(LungCTError), translate_faults("The position cannot be read."):
        found = get_value(header, _middle(header), "PlanePositionSequence", "ImagePositionPatient")
        position = [round(float(number), 2) + 0.0 for number in found]  # + 0.0: no -0.0
        if len(position) == 3 and all(map(math.isfinite, position)):
            return position
    return []


def _find_order(header: Elements, position: list[float]) -> float:
    """By position, else by number; 0 where neither is readable."""
    if position:
        return -position[2]
    with suppress(TypeError, ValueError, OverflowError):
        return float(header.get("InstanceNumber"))
    return 0.0


def _is_axial(header: Elements) -> bool:
    """False where the server would refuse the view (PS3.3 C.7.6.2), and for objects that are no CT images."""
    if as_text(header, "SOPClassUID") not in {"", *CT_CLASSES}:
        return False
    try:
        with translate_faults("The view cannot be read."):
            check_view(header, _middle(header))
    except LungCTError as error:
        return error.code != "unsupported_dicom"
    return True


def _middle(header: Elements) -> int:
    """The frame that the server takes where none is asked for."""
    with suppress(TypeError, ValueError):
        return int(header.get("NumberOfFrames") or 1) // 2
    return 0


def _read_header(body: bytes, tags: list[str] | None) -> Any:
    """pydicom's data set up to the pixels, without elements that cannot be parsed; None when it is no DICOM file."""
    try:
        if recognise(body) != "DICOM":
            return None
        with translate_faults("The header cannot be read."):
            import pydicom  # a second to import, and only DICOM needs it

            body = _inflate(body)
            pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # the server judges the file
            header = pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True, specific_tags=tags, force=True)
            _drop_long(header)
            for tag in list(header.keys()):
                try:
                    with translate_faults("The value cannot be read."):
                        if (element := header[tag]).VR != "SQ":  # values are parsed only now
                            str(element.value)
                except LungCTError:
                    del header[tag]
            return header
    except LungCTError:
        return None


def _drop_long(header: Any) -> None:
    """Take away what is longer than any value that is looked at here: a list of millions takes pydicom a minute."""
    datasets = [header]
    for frames in (header.get(keyword) for keyword in _FRAMES):
        datasets += frames[_middle(header) :][:1] or frames[:1] if frames else []
    for data in datasets:  # grows meanwhile
        for tag in list(data.keys()):
            element = data.get_item(tag)
            if getattr(element, "length", 0) > _MOST_BYTES and element.tag.group != 0x5200:
                del data[tag]
            elif data is not header and data[tag].VR == "SQ":
                datasets += data[tag].value[:1]


def _inflate(body: bytes) -> bytes:
    """A deflated file (PS3.5 A.5) as a plain one, cut off behind what a header takes; any other as it is.

    ValueError where pydicom might take a file for deflated that we cannot read as such: it inflates all there is.
    """
    walk = Walk(body, 132)
    try:
        syntax = read_meta(walk, body)
    except FAULTS:
        if _DEFLATED.encode() in body:
            raise ValueError from None
        return body
    if syntax != _DEFLATED:
        return body
    return _PLAIN + zlib.decompressobj(-zlib.MAX_WBITS).decompress(memoryview(body)[walk.at :], _MOST_INFLATED)
