"""What a DICOM header says of a slice's place: its study, its series, where in the series. Tags only if asked."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from typing import Any, NamedTuple

from lungct.errors import LungCTError
from lungct.pixels.formats import recognise
from lungct.pixels.rendering import translate_faults

# Deflated files (PS3.5 A.5) unpack whole before their first tag is known: a small one could fill the memory.
_DEFLATED = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.8.1")
_PLACE_TAGS = ["StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient", "InstanceNumber"]
_LONGEST_VALUE = 120


class Place(NamedTuple):
    """Where a slice belongs. The UIDs are tag values: they stay inside unless somebody asked for them.

    Attributes:
        study: StudyInstanceUID, "" when the header has none.
        series: SeriesInstanceUID, "" when the header has none.
        order: sorts a series from head to feet; equal orders keep their order by name.
    """

    study: str
    series: str
    order: float


def find_place(body: bytes) -> Place | None:
    """The place of a DICOM slice; None for other formats and for headers that cannot be read."""
    header = _read_header(body, _PLACE_TAGS)
    if header is None:
        return None
    return Place(str(header.get("StudyInstanceUID", "")), str(header.get("SeriesInstanceUID", "")), _find_order(header))


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


def _find_order(header: Any) -> float:
    """By position, else by number; 0 where neither is one readable number."""
    for read in (lambda: -float(header.ImagePositionPatient[2]), lambda: float(header.InstanceNumber)):
        with suppress(AttributeError, TypeError, ValueError, IndexError, OverflowError):
            return read()
    return 0.0


def _read_header(body: bytes, tags: list[str] | None) -> Any:
    """pydicom's data set up to the pixels; None when it is no DICOM file or cannot be read."""
    try:
        if recognise(body) != "DICOM" or any(syntax in body[:2048] for syntax in _DEFLATED):
            return None
        with translate_faults("The header cannot be read."):
            import pydicom  # a second to import, and only DICOM needs it

            pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # the server judges the file
            header = pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True, specific_tags=tags, force=True)
            for element in header:  # values are parsed only now
                str(element.value)
            return header
    except LungCTError:
        return None
