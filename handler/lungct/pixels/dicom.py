"""A DICOM CT image -> gray pixels at a window. Runs in the reader's child process: its codecs are not to be trusted."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset

from lungct.errors import LungCTError
from lungct.pixels.elements import as_list, as_text, get_group, get_value, unsupported
from lungct.pixels.hounsfield import Scale, read_scale, to_gray, to_hu
from lungct.pixels.pixeldata import Syntax, Values, find_syntax, read_frame
from lungct.pixels.plane import check_view, read_aspect
from lungct.pixels.rendering import Acquisition, Plane, Rendering, Rule, Terms, check_size, translate_faults
from lungct.window import Window

CT_CLASSES = {uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage}
GRAY = "MONOCHROME"  # 1 or 2, and before DICOM without either
HEADER = "The DICOM header is damaged or cut short; export the slice again."
PIXELS = "The DICOM pixel data is damaged or cut short; export the slice again."
CT_INTERCEPT = -900  # unsigned values with an intercept below are HU; so are signed ones of a CT image

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
        with translate_faults(HEADER):
            found = read_frame_header(body, terms)
            window, rule = choose_window(found.data, found.frame, terms)
            if found.syntax.lossy or as_text(found.data, "LossyImageCompression") == "01":
                found.notes.append("The pixels were compressed by a lossy method.")
        with translate_faults(PIXELS):
            pixels = to_gray(*found.read(), window)
            made = read_acquisition(found.data, found.frame)
    return Rendering(pixels, window, rule, tuple(found.notes), made, found.aspect)


def read_plane(body: bytes, terms: Terms) -> Plane:
    """Decode the same frame to HU alone, for who looks at it in windows of their own. Raises what `render` raises."""
    with _quiet():
        with translate_faults(HEADER):
            found = read_frame_header(body, terms)
        with translate_faults(PIXELS):
            hu = np.rint(to_hu(*found.read()))
            return Plane(np.clip(hu, -32768, 32767).astype(np.int16), found.aspect)


class Frame(NamedTuple):
    """One frame of a CT image before its pixels are decoded; `notes` are warnings."""

    data: Dataset
    syntax: Syntax
    frame: int
    notes: list[str]
    aspect: float
    slope: float
    intercept: float

    def read(self) -> tuple[Values, Scale]:
        """Its values as they lie in the allocated bits, and what they mean."""
        scale = read_scale(self.data, self.slope, self.intercept)
        return read_frame(self.data, self.syntax, self.frame), scale


def read_frame_header(body: bytes, terms: Terms) -> Frame:
    """What the header says of the frame that `terms` ask for, after all checks."""
    data = dcmread(io.BytesIO(body), force=True)
    check_object(data)
    syntax = find_syntax(data)
    check_pixel_description(data, terms)
    frame, notes = choose_frame(data, terms.frame)
    notes += check_view(data, frame)
    aspect = read_aspect(data, frame)
    slope, intercept, more = read_rescale(data, frame)
    return Frame(data, syntax, frame, notes + more, aspect, slope, intercept)


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


def check_pixel_description(data: Dataset, terms: Terms) -> None:
    """LungCTError for pixels that are too many, coloured, or of a layout that CT does not have (PS3.3 C.7.6.3)."""
    check_size(int(data.Rows), int(data.Columns), terms.settings)
    # Either gray means the same HU, so a file that does not say which is no riddle.
    kind = as_text(data, "PhotometricInterpretation").upper()
    if (data.get("SamplesPerPixel") or 1) != 1 or not (kind or GRAY).startswith(GRAY):
        raise unsupported("The pixels are colours, not CT values; send the original CT image.")
    allocated, stored = int(data.BitsAllocated), int(data.BitsStored)
    layout = allocated in (8, 16, 32) and 1 <= stored <= allocated and data.get("HighBit", stored - 1) == stored - 1
    if not layout or min(data.Rows, data.Columns) < 1 or data.PixelRepresentation not in (0, 1):
        raise unsupported("The pixel layout (bits allocated, stored, high bit) is not one that CT images have.")


def choose_frame(data: Dataset, asked: int | None) -> tuple[int, list[str]]:
    """The frame to score, counted from 0, and a warning where nobody asked for it."""
    count = int(data.get("NumberOfFrames") or 1)
    if count < 1:
        raise LungCTError("corrupt_image", "The DICOM header declares no frames; export the slice again.")
    if asked is not None and asked >= count:
        raise LungCTError("bad_option", "X-Frame is beyond the last frame of the file; frames count from 0.")
    if asked is None and count > 1:
        middle = count // 2
        return middle, [f"The file has several frames; the middle one, {middle}, was scored. Set X-Frame to choose."]
    return asked or 0, []


def read_rescale(data: Dataset, frame: int) -> tuple[float, float, list[str]]:
    """Slope and intercept to HU and warnings; LungCTError unsupported_dicom where values are not HU (C.11.1.1.2)."""
    group = get_group(data, frame, "PixelValueTransformationSequence", "RescaleSlope")
    if group.get("RescaleSlope") is None or group.get("RescaleIntercept") is None:
        raise unsupported("The file has no rescale slope and intercept, so its values are not HU; send the CT image.")
    slope, intercept = float(group.RescaleSlope), float(group.RescaleIntercept)
    if not (0 < slope < 1e6 and abs(intercept) < 1e6):
        raise LungCTError("corrupt_image", "The rescale slope or intercept makes no sense; export the slice again.")
    unit = as_text(group, "RescaleType") or "HU"
    if unit == "US" and (intercept < CT_INTERCEPT or data.PixelRepresentation == 1):  # unspecified: GDCM writes that
        return slope, intercept, ["The file does not name the unit of its values; they were taken as HU."]
    if unit != "HU":
        raise unsupported("The values are not in HU (see RescaleType); send the CT image itself.")
    return slope, intercept, []


def read_acquisition(data: Dataset, frame: int) -> Acquisition:
    """Slice thickness and kernel, of a classic image or of the frame's groups; what is not a number is not stated."""
    kernels = as_list(get_value(data, frame, "CTReconstructionSequence", "ConvolutionKernel"))
    try:
        thickness = float(get_value(data, frame, "PixelMeasuresSequence", "SliceThickness"))
    except (TypeError, ValueError):
        thickness = math.nan
    return Acquisition(thickness if 0 < thickness < math.inf else None, str(kernels[0]).strip() if kernels else "")


def choose_window(data: Dataset, frame: int, terms: Terms) -> tuple[Window, Rule]:
    """The window asked for, the model's, or the first one the file proposes, by the formula of `Window.render`.

    The file's LINEAR function (C.11.2.1.2.1) differs from that by less than a gray level.
    """
    if terms.window != "file":
        return terms.choose()
    group = get_group(data, frame, "FrameVOILUTSequence", "WindowCenter")
    centers, widths = as_list(group.get("WindowCenter")), as_list(group.get("WindowWidth"))
    if not centers or not widths or as_text(group, "VOILUTFunction") == "SIGMOID":
        raise LungCTError("bad_option", "The file proposes no linear window; set X-Window to centre,width or omit it.")
    window = Window(float(centers[0]), float(widths[0]))
    if not (abs(window.center) <= 100_000 and 1 <= window.width <= 100_000):
        raise LungCTError("bad_option", "The file's own window makes no sense; set X-Window to centre,width.")
    return window, "file window"


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
