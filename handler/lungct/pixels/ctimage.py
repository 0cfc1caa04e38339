"""What the header of a CT image says, whoever read it: layout, view, scale, window (PS3.3 C.8.2.1, C.7.6.3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.pixels.elements import Elements, as_list, as_text, get_group, get_value, require, unsupported
from lungct.pixels.header import CT_IMAGE
from lungct.pixels.plane import check_view, read_aspect
from lungct.pixels.rendering import Acquisition, Rendering, Rule, Terms, check_size
from lungct.window import Window

CT_CLASSES = {CT_IMAGE, f"{CT_IMAGE}.1", f"{CT_IMAGE}.2"}  # classic, enhanced, converted to enhanced (PS3.4 B.5)
GRAY = "MONOCHROME"  # 1 or 2, and before DICOM without either
CT_INTERCEPT = -900  # unsigned values with an intercept below are HU; so are signed ones of a CT image


class Description(NamedTuple):
    """What counts of a header, for one frame.

    Attributes:
        frame: which one, counted from 0.
        notes: sentences about choices that were made.
        aspect: height over width of a pixel, 0.5 to 2.
        slope, intercept: HU = stored value x slope + intercept.
        window, rule: what HU are shown at, and where it comes from.
        acquisition: thickness and kernel.
    """

    frame: int
    notes: tuple[str, ...]
    aspect: float
    slope: float
    intercept: float
    window: Window
    rule: Rule
    acquisition: Acquisition

    def render(self, pixels: npt.NDArray[np.uint8]) -> Rendering:
        """The slice, its gray levels being at hand."""
        return Rendering(pixels, self.window, self.rule, self.notes, self.acquisition, self.aspect)


def describe(data: Elements, terms: Terms, lossy: bool = False) -> Description:
    """What the header says of the frame that `terms` ask for, after all checks.

    Args:
        data: the header.
        terms: limits, frame, window.
        lossy: whether the transfer syntax may lose something.

    Raises:
        LungCTError: unsupported_dicom, corrupt_image, too_many_pixels, bad_option (frame or window not in the file).
        LookupError, TypeError, ValueError: an element is missing, empty or no number.
    """
    check_pixel_description(data, terms)
    frame, notes = choose_frame(data, terms.frame)
    notes += check_view(data, frame)
    aspect = read_aspect(data, frame)
    slope, intercept, more = read_rescale(data, frame)
    notes += more
    window, rule = choose_window(data, frame, terms)
    if lossy or as_text(data, "LossyImageCompression") == "01":
        notes.append("The pixels were compressed by a lossy method.")
    return Description(frame, tuple(notes), aspect, slope, intercept, window, rule, read_acquisition(data, frame))


def check_pixel_description(data: Elements, terms: Terms) -> None:
    """LungCTError for pixels that are too many, coloured, or of a layout that CT does not have (PS3.3 C.7.6.3)."""
    check_size(int(require(data, "Rows")), int(require(data, "Columns")), terms.settings)
    # Either gray means the same HU, so a file that does not say which is no riddle.
    kind = as_text(data, "PhotometricInterpretation").upper()
    if (data.get("SamplesPerPixel") or 1) != 1 or not (kind or GRAY).startswith(GRAY):
        raise unsupported("The pixels are colours, not CT values; send the original CT image.")
    allocated, stored = int(require(data, "BitsAllocated")), int(require(data, "BitsStored"))
    layout = allocated in (8, 16, 32) and 1 <= stored <= allocated and data.get("HighBit") in (None, stored - 1)
    smallest = min(require(data, "Rows"), require(data, "Columns"))
    if not layout or smallest < 1 or require(data, "PixelRepresentation") not in (0, 1):
        raise unsupported("The pixel layout (bits allocated, stored, high bit) is not one that CT images have.")


def choose_frame(data: Elements, asked: int | None) -> tuple[int, list[str]]:
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


def read_rescale(data: Elements, frame: int) -> tuple[float, float, list[str]]:
    """Slope and intercept to HU and warnings; LungCTError unsupported_dicom where values are not HU (C.11.1.1.2)."""
    group = get_group(data, frame, "PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = group.get("RescaleSlope"), group.get("RescaleIntercept")
    if slope is None or intercept is None:
        raise unsupported("The file has no rescale slope and intercept, so its values are not HU; send the CT image.")
    slope, intercept = float(slope), float(intercept)
    if not (0 < slope < 1e6 and abs(intercept) < 1e6):
        raise LungCTError("corrupt_image", "The rescale slope or intercept makes no sense; export the slice again.")
    unit = as_text(group, "RescaleType") or "HU"
    signed = require(data, "PixelRepresentation") == 1
    if unit == "US" and (signed or intercept < CT_INTERCEPT):  # unspecified: GDCM writes that
        return slope, intercept, ["The file does not name the unit of its values; they were taken as HU."]
    if unit != "HU":
        raise unsupported("The values are not in HU (see RescaleType); send the CT image itself.")
    return slope, intercept, []


def read_acquisition(data: Elements, frame: int) -> Acquisition:
    """Slice thickness and kernel, of a classic image or of the frame's groups; what is not a number is not stated."""
    kernels = as_list(get_value(data, frame, "CTReconstructionSequence", "ConvolutionKernel"))
    try:
        thickness = float(get_value(data, frame, "PixelMeasuresSequence", "SliceThickness"))
    except (TypeError, ValueError):
        thickness = math.nan
    return Acquisition(thickness if 0 < thickness < math.inf else None, str(kernels[0]).strip() if kernels else "")


def choose_window(data: Elements, frame: int, terms: Terms) -> tuple[Window, Rule]:
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
