"""A DICOM CT image -> gray pixels at a window. Runs in the reader's child process: its codecs are not to be trusted."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset

from lungct.errors import LungCTError
from lungct.pixels.pixeldata import Syntax, Values, clear_unused_bits, find_syntax, read_frame
from lungct.pixels.rendering import Rendering, Rule, Terms, check_size, translate_faults
from lungct.window import AIR_HU, Window

CT_CLASSES = {uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage}
NEAR = math.cos(math.radians(35))  # how far an axis may be off and still count: a tilted gantry stays within 30 degrees
GRAY = ("MONOCHROME1", "MONOCHROME2")
CT_INTERCEPT = -900  # unsigned values with an intercept below are HU; so are signed ones of a CT image

# Log lines and warnings of these packages quote values of the file.
for _name in ("pydicom", "pylibjpeg", "openjpeg"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)
config.settings.reading_validation_mode = config.IGNORE


def render(body: bytes, terms: Terms) -> Rendering:
    """Decode one frame of a CT image to HU, and HU to gray.

    HU = stored value x slope + intercept (PS3.3 C.11.1), padding (C.7.5.1.1.2) is air. MONOCHROME1 only asks for an
    inverted display, so it changes nothing here.

    Args:
        body: the file, with or without preamble and meta header.
        terms: limits, frame, window.

    Raises:
        LungCTError: unsupported_dicom, corrupt_image, too_many_pixels, bad_option (frame or window not in the file).
    """
    with _quiet():
        with translate_faults("The DICOM header is damaged or cut short; export the slice again."):
            data = dcmread(io.BytesIO(body), force=True)
            check_object(data)
            syntax = find_syntax(data)
            check_pixel_description(data, terms)
            frame, notes = choose_frame(data, terms.frame)
            notes += check_view(data, frame)
            slope, intercept, more = read_rescale(data, frame)
            notes += more
            window, rule = choose_window(data, frame, terms)
            if syntax.lossy or _text(data, "LossyImageCompression") == "01":
                notes.append("The pixels were compressed by a lossy method.")
        with translate_faults("The DICOM pixel data is damaged or cut short; export the slice again."):
            hu = read_hu(data, syntax, frame, slope, intercept)
    return Rendering(window.render(hu), window, rule, tuple(notes))


def check_object(data: Dataset) -> None:
    """LungCTError unsupported_dicom unless the dataset is a CT image with pixels."""
    sop_class = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")
    if sop_class == uid.MediaStorageDirectoryStorage or "DirectoryRecordSequence" in data:
        raise _unsupported("A DICOMDIR only lists the files of a disc; score its folder: make score IN=folder OUT=out.")
    if "Secondary Capture" in uid.UID(sop_class).name:
        raise _unsupported("A secondary capture is a picture of a screen, without HU; send the CT image it shows.")
    modality = _text(data, "Modality")
    if not (sop_class or modality) or (sop_class and sop_class not in CT_CLASSES) or modality not in ("", "CT"):
        raise _unsupported("The object is no CT image (its SOP class or modality is another); send a CT slice.")
    if "PixelData" not in data:
        raise _unsupported("The object holds no pixel data, or it was cut off; send the image itself.")


def check_pixel_description(data: Dataset, terms: Terms) -> None:
    """LungCTError for pixels that are too many, coloured, or of a layout that CT does not have (PS3.3 C.7.6.3)."""
    check_size(int(data.Rows), int(data.Columns), terms.settings)
    if data.get("SamplesPerPixel", 1) != 1 or _text(data, "PhotometricInterpretation") not in GRAY:
        raise _unsupported("The pixels are colours, not CT values; send the original CT image.")
    allocated, stored = int(data.BitsAllocated), int(data.BitsStored)
    layout = allocated in (8, 16, 32) and 1 <= stored <= allocated and data.get("HighBit", stored - 1) == stored - 1
    if not layout or min(data.Rows, data.Columns) < 1 or data.PixelRepresentation not in (0, 1):
        raise _unsupported("The pixel layout (bits allocated, stored, high bit) is not one that CT images have.")


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


def check_view(data: Dataset, frame: int) -> list[str]:
    """LungCTError unsupported_dicom for localisers and non-axial slices; warnings for doubtful ones (PS3.3 C.7.6.2)."""
    frame_type = get_group(data, frame, "CTImageFrameTypeSequence").get("FrameType") or []
    kinds = {str(kind).strip() for kind in (*_as_list(data.get("ImageType")), *_as_list(frame_type))}
    if kinds & {"LOCALIZER", "SCOUT"}:
        raise _unsupported("The image is a localiser (scout), not a slice; send an axial slice.")
    notes = ["The image is derived (reformatted or processed)."] if "DERIVED" in kinds else []
    orientation = _as_list(get_group(data, frame, "PlaneOrientationSequence").get("ImageOrientationPatient"))
    if not orientation:
        return [*notes, "The file states no orientation; the slice was taken as axial."]
    right, down = np.array(orientation, float).reshape(2, 3)
    if not (abs(np.linalg.norm([right, down], axis=1) - 1) < 0.05).all() or abs(right @ down) > 0.05:
        raise LungCTError("corrupt_image", "The image orientation is no pair of unit vectors; export the slice again.")
    if abs(np.cross(right, down)[2]) < NEAR:
        raise _unsupported("The slice is not axial; send an axial slice.")
    if min(right[0], down[1]) < NEAR:
        notes.append("The slice is stored turned or mirrored (patient not supine, head first); it was scored as is.")
    return notes


def read_rescale(data: Dataset, frame: int) -> tuple[float, float, list[str]]:
    """Slope and intercept to HU and warnings; LungCTError unsupported_dicom where values are not HU (C.11.1.1.2)."""
    group = get_group(data, frame, "PixelValueTransformationSequence")
    if group.get("RescaleSlope") is None or group.get("RescaleIntercept") is None:
        raise _unsupported("The file has no rescale slope and intercept, so its values are not HU; send the CT image.")
    slope, intercept = float(group.RescaleSlope), float(group.RescaleIntercept)
    if not (0 < slope < 1e6 and abs(intercept) < 1e6):
        raise LungCTError("corrupt_image", "The rescale slope or intercept makes no sense; export the slice again.")
    unit = _text(group, "RescaleType") or "HU"
    if unit == "US" and (intercept < CT_INTERCEPT or data.PixelRepresentation == 1):  # unspecified: GDCM writes that
        return slope, intercept, ["The file does not name the unit of its values; they were taken as HU."]
    if unit != "HU":
        raise _unsupported("The values are not in HU (see RescaleType); send the CT image itself.")
    return slope, intercept, []


def choose_window(data: Dataset, frame: int, terms: Terms) -> tuple[Window, Rule]:
    """The window asked for, the model's, or the first one the file proposes, by the formula of `Window.render`.

    The file's LINEAR function (C.11.2.1.2.1) differs from that by less than a gray level.
    """
    if terms.window != "file":
        return terms.choose()
    group = get_group(data, frame, "FrameVOILUTSequence")
    centers, widths = _as_list(group.get("WindowCenter")), _as_list(group.get("WindowWidth"))
    if not centers or not widths or _text(group, "VOILUTFunction") == "SIGMOID":
        raise LungCTError("bad_option", "The file proposes no linear window; set X-Window to centre,width or omit it.")
    window = Window(float(centers[0]), float(widths[0]))
    if not (abs(window.center) <= 100_000 and 1 <= window.width <= 100_000):
        raise LungCTError("bad_option", "The file's own window makes no sense; set X-Window to centre,width.")
    return window, "file window"


def read_hu(data: Dataset, syntax: Syntax, frame: int, slope: float, intercept: float) -> npt.NDArray[np.floating[Any]]:
    """(H, W) HU of one frame, padding as air; float32, or float64 for pixels of 32 bits."""
    raw = read_frame(data, syntax, frame)
    stored = clear_unused_bits(raw, data, syntax)
    hu: npt.NDArray[np.floating[Any]] = stored.astype(np.float64 if raw.dtype.itemsize > 2 else np.float32)
    hu = hu * slope + intercept
    hu[find_padding(raw, stored, data)] = AIR_HU
    return hu


def find_padding(raw: Values, stored: Values, data: Dataset) -> npt.NDArray[np.bool_]:
    """(H, W) mask of the padding.

    Files state the padding value of a signed image as an unsigned number, or the reverse, and leave it in bits that
    are not in use. So it is compared with the allocated bits and with the stored value.
    """
    value = _as_list(data.get("PixelPaddingValue"))
    if not value:
        return np.zeros(raw.shape, bool)
    pad = _wrap(int(value[0]), raw.dtype)
    mask: npt.NDArray[np.bool_] = (raw == pad) | (stored == pad)
    limit = _as_list(data.get("PixelPaddingRangeLimit"))
    if limit:
        low, high = sorted((pad, _wrap(int(limit[0]), raw.dtype)))
        mask |= (stored >= low) & (stored <= high)
    return mask


def get_group(data: Dataset, frame: int, keyword: str) -> Dataset:
    """The functional group of an enhanced image, per frame or shared (C.7.6.16); of a classic one the dataset."""
    frames, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    for holder in (*(frames[frame : frame + 1] if frames else ()), *(shared[:1] if shared else ())):
        if holder.get(keyword):
            group: Dataset = holder[keyword][0]
            return group
    return data


def _wrap(value: int, kind: np.dtype[Any]) -> int:
    """A number as an integer type reads its bits: 63536 is -2000 in int16."""
    size = 1 << 8 * kind.itemsize
    value %= size
    return value - size if kind.kind == "i" and value >= size // 2 else value


def _as_list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | int | float) else list(value)


def _text(data: Dataset, keyword: str) -> str:
    return str(data.get(keyword) or "").strip()


def _unsupported(sentence: str) -> LungCTError:
    return LungCTError("unsupported_dicom", sentence)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
