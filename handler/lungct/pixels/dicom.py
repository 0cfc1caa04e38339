"""A DICOM CT image -> gray pixels at a window. Runs in the reader's child process: its codecs are not to be trusted."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset

from lungct.pixels.ctimage import Description, describe
from lungct.pixels.elements import as_text, unsupported
from lungct.pixels.hounsfield import Scale, read_scale, to_gray, to_whole_hu
from lungct.pixels.pixeldata import Syntax, find_syntax, read_frame
from lungct.pixels.rendering import Plane, Rendering, Terms, Values, translate_faults

CT_CLASSES = {uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage}
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
        found = read_frame_header(body, terms)
        with translate_faults(PIXELS):
            return found.about.render(to_gray(*found.read(), found.about.window))


def read_plane(body: bytes, terms: Terms) -> Plane:
    """Decode the same frame to HU alone, for who looks at it in windows of their own. Raises what `render` raises."""
    with _quiet():
        found = read_frame_header(body, terms)
        with translate_faults(PIXELS):
            return Plane(to_whole_hu(*found.read()), found.about.aspect)


class Frame(NamedTuple):
    """One frame of a CT image before its pixels are decoded, and what its header says."""

    data: Dataset
    syntax: Syntax
    about: Description

    def read(self) -> tuple[Values, Scale]:
        """Its values as they lie in the allocated bits, and what they mean."""
        scale = read_scale(self.data, self.about.slope, self.about.intercept)
        return read_frame(self.data, self.syntax, self.about.frame), scale


def read_frame_header(body: bytes, terms: Terms) -> Frame:
    """The frame that `terms` ask for, after all checks of the header. Raises what `render` raises."""
    with translate_faults(HEADER):
        data = dcmread(io.BytesIO(body), force=True)
        check_object(data)
        syntax = find_syntax(data)
        return Frame(data, syntax, describe(data, terms, syntax.lossy))


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
