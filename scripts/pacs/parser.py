"""The child process that parses headers of files from outside: `python -P -m lungct_tools.pacs.parser`, see `headers`.

What it answers is plain JSON of a few checked values, so a file can end this process and nothing else.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import resource
import signal
import socket
import warnings
from collections.abc import Callable
from typing import Any

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from lungct.pixels.nursery import limit_memory
from lungct.pixels.wire import CPU_SECONDS, receive, send
from lungct_tools.dicomout.keywords import KEYWORDS

NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
WALL_SECONDS = 6.0
_COUNTS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2, "PixelAspectRatio": 2}
_SEVERAL = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
_LONGEST = {"SH": 16, "CS": 16, "LO": 64, "PN": 194}  # characters, PS3.5 6.2; a name has three groups of 64
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")


def main() -> None:
    """Answer jobs on stdin until the other end closes. The timers kill the process where it stands."""
    logging.disable()  # pydicom quotes values
    warnings.simplefilter("ignore")
    config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory()
    with socket.socket(fileno=os.dup(0)) as peer:
        while True:
            try:
                body = receive(peer)[1]
            except (EOFError, OSError):
                return
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            answer = answer_job(bytes(body))
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(peer, answer, b"")


def answer_job(body: bytes) -> dict[str, Any]:
    """{"header": DICOM JSON of KEYWORDS}, or {"missing": keyword} for a file without what names it."""
    try:
        data = dcmread(io.BytesIO(body), stop_before_pixels=True, specific_tags=list(KEYWORDS), force=True)
        header = pick(data)
    except Exception:  # noqa: BLE001 - pydicom raises dozens of kinds for broken files
        return {"missing": "a readable header"}
    for keyword in NEEDED:
        if not header.get(keyword):
            return {"missing": keyword}
    return {"header": header.to_json_dict()}


def pick(data: Dataset) -> Dataset:
    """The KEYWORDS that have a value of their kind; what is not well formed counts as not there."""
    found = Dataset()
    for keyword in KEYWORDS:
        if keyword not in data:
            continue
        try:
            kind, value = data[keyword].VR, data[keyword].value
            values = list(value) if isinstance(value, MultiValue) else [value]
            fits = keyword in _SEVERAL or len(values) == _COUNTS.get(keyword, 1)
            if value is not None and fits and all(CHECKS[kind](each, kind) for each in values):
                setattr(found, keyword, value)
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
    return found


def _check_number(value: Any, kind: str) -> bool:
    return math.isfinite(float(value)) and abs(float(value)) < 1e9


def _check_text(value: Any, kind: str) -> bool:
    return len(str(value)) <= _LONGEST[kind] and str(value).isprintable() and "\\" not in str(value)


CHECKS: dict[str, Callable[[Any, str], bool]] = {
    "UI": lambda value, kind: bool(_UID.fullmatch(str(value))),
    "DA": lambda value, kind: bool(_DATE.fullmatch(str(value))),
    "TM": lambda value, kind: bool(_TIME.fullmatch(str(value))),
    **dict.fromkeys(("DS", "IS", "US"), _check_number),
    **dict.fromkeys(_LONGEST, _check_text),
}


if __name__ == "__main__":
    main()
