"""A DICOM CT image -> gray pixels at a window. Runs in the reader's child process: its codecs are not to be trusted."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset

from lungct.errors import LungCTError
from lungct.pixels.ctimage import CT_CLASSES, Description, describe
from lungct.pixels.elements import as_text, unsupported
from lungct.pixels.formats import SEVERAL, holds_more
from lungct.pixels.header import FAULTS, read_header
from lungct.pixels.hounsfield import Scale, read_scale, to_gray, to_whole_hu
from lungct.pixels.pixeldata import SYNTAXES, find_syntax, read_fragments, read_frame
from lungct.pixels.rendering import Plane, Rendering, Terms, Values, translate_faults
from lungct.pixels.walk import Irregular

HEADER = "The DICOM header is damaged or cut short; export the slice again."
PIXELS = "The DICOM pixel data is damaged or cut short; export the slice again."

# Log lines and warnings of these packages quote values of the file.
for _name in ("pydicom", "pylibjpeg", "openjpeg"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)
config.settings.reading_validation_mode = config.IGNORE


def render(body: bytes, terms: Terms) -> Rendering:
    """Decode one frame of a CT image to HU, and HU to gray.

    MONOCHROME1 only asks for an inverted display, so it changes nothing here.

    Args:
        body: the file, with or without preamble and meta header.
        terms: limits, frame, window.

    Raises:
        LungCTError: unsupported_dicom, corrupt_image, too_many_pixels, bad_option (frame or window not in the file).
    """
    with _quiet():
        found = find_frame(body, terms)
        with translate_faults(PIXELS):
            return found.about.render(to_gray(found.decode(), found.scale, found.about.window))


def read_plane(body: bytes, terms: Terms) -> Plane:
    """Decode the same frame to HU alone, for who looks at it in windows of their own. Raises what `render` raises."""
    with _quiet():
        found = find_frame(body, terms)
        with translate_faults(PIXELS):
            return Plane(to_whole_hu(found.decode(), found.scale), found.about.aspect)


class Frame(NamedTuple):
    """What the header says of a frame, what its values mean, and what decodes them as they lie in allocated bits."""

    about: Description
    scale: Scale
    decode: Callable[[], Values]


def find_frame(body: bytes, terms: Terms) -> Frame:
    """The frame that `terms` ask for, after all checks of the header. Raises what `render` raises."""
    with suppress(*FAULTS):
        return find_only_frame(body, terms)
    return find_any_frame(body, terms)


def find_any_frame(body: bytes, terms: Terms) -> Frame:
    """The same by pydicom."""
    if holds_more(body, "DICOM"):
        raise LungCTError("unsupported_format", SEVERAL)
    with translate_faults(HEADER):
        data = dcmread(io.BytesIO(body), force=True)
        check_object(data)
        syntax = find_syntax(data)
        about = describe(data, terms, syntax.lossy)
        scale = read_scale(data, about.slope, about.intercept)
    return Frame(about, scale, partial(read_frame, data, syntax, about.frame))


def find_only_frame(body: bytes, terms: Terms) -> Frame:
    """The frame of a compressed file in which nothing is unusual, without pydicom's reading of it, which takes longer.

    Raises:
        One of FAULTS: it is another file, or pydicom has to judge it.
    """
    header = read_header(body)
    if header is None or not header.encapsulated or not SYNTAXES[header.syntax].plugin:
        raise Irregular
    syntax = SYNTAXES[header.syntax]
    about = describe(header.elements, terms, syntax.lossy)
    scale = read_scale(header.elements, about.slope, about.intercept)
    return Frame(about, scale, partial(read_fragments, body[header.start : header.stop], syntax, header.elements))


def check_object(data: Dataset) -> None:
    """LungCTError unsupported_dicom unless the dataset is a CT image with pixels."""
    sop_class = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")
    if sop_class == uid.MediaStorageDirectoryStorage or "DirectoryRecordSequence" in data:
        raise unsupported("A DICOMDIR only lists the files of a disc; score its folder: make score IN=folder OUT=out.")
    if "Secondary Capture" in uid.UID(sop_class).name:
        raise unsupported("A secondary capture is a picture of a screen, without HU; send the CT image it shows.")
    modality = as_text(data, "Modality")
    if not (sop_class or modality) or (sop_class and sop_class not in CT_CLASSES) or modality not in ("", "CT"):
        raise unsupported("The object is no CT image (its SOP class or modality is another); send a CT slice.")
    if "PixelData" not in data:
        raise unsupported("The object holds no pixel data, or it was cut off; send the image itself.")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
