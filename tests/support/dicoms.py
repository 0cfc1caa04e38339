"""Builds CT files of every transfer syntax and shape that we read. No patient is behind any of them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import config, dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from lungct.errors import LungCTError
from lungct.pixels.image import Slice, decode
from lungct.pixels.nursery import WALL_SECONDS
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools.phantom import compression
from lungct_tools.phantom.anatomy import draw_slice

# Made once with imagecodecs 2026.3.6 (OpenJPH and libjpeg-turbo) from `draw_bowl`: no package that we test with can
# encode HTJ2K or 12-bit JPEG. jpeg_12bit.png is libjpeg-turbo's decoding of jpeg_12bit.jpg.
CODESTREAMS = Path(__file__).parent / "codestreams"
LOSSLESS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)
PATIENT = "PLANTED^NAME"
# Broken files are what we are here for.
config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE

HU = draw_slice(3, "smooth", 64)  # (64, 64) int16
DEADLINE_S = WALL_SECONDS + 10  # for one file: the clock of its reader, on a machine that is busy with other things


def read(body: bytes, window: Any = None, frame: int | None = None, **limits: int) -> Slice:
    """Decode as the server does, with the model's window as default."""
    return decode(body, window, frame, LUNG, Settings(**limits))


def refusal(body: bytes, *args: Any, **limits: int) -> LungCTError:
    """The error a file is refused with; AssertionError if it is not."""
    try:
        read(body, *args, **limits)
    except LungCTError as error:
        return error
    raise AssertionError("the file was accepted")


def draw_bowl() -> np.ndarray:
    """(64, 64) uint16 of 12 bits, by whole numbers only: what the files in `codestreams` show."""
    r, c = np.mgrid[:64, :64]
    return ((r - 32) ** 2 + (c - 20) ** 2 + (r * c * 7) % 61).astype(np.uint16)


def describe_ct(pixels: np.ndarray, **elements: Any) -> Dataset:
    """A CT dataset of (H, W) or (N, H, W) stored values; by default HU = value - 1024. None removes an element."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    bits = 8 * pixels.dtype.itemsize
    given = {
        "SOPClassUID": uid.CTImageStorage, "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1", "Modality": "CT",
        "PatientName": PATIENT, "PatientID": PATIENT, "SeriesDescription": PATIENT,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "Rows": pixels.shape[-2], "Columns": pixels.shape[-1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "RescaleSlope": 1, "RescaleIntercept": -1024,
        "NumberOfFrames": len(pixels) if pixels.ndim == 3 else None,
    } | elements  # fmt: skip
    for name, value in given.items():
        if value is not None:
            setattr(data, name, value)
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OW" if bits > 8 else "OB"
    return data


def save(data: Dataset, **options: Any) -> bytes:
    """The dataset as a file."""
    stream = io.BytesIO()
    data.save_as(stream, **({"enforce_file_format": True} | options))
    return stream.getvalue()


def build_ct(pixels: np.ndarray | None = None, syntax: str = uid.ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A CT file; by default the phantom in unsigned 16 bits."""
    stored = (HU + 1024).astype(np.uint16) if pixels is None else pixels
    data = describe_ct(stored, **elements)
    if syntax == uid.ExplicitVRLittleEndian:
        return save(data)
    if syntax in (uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian):
        data.file_meta.TransferSyntaxUID = syntax
        return save(data)
    if syntax == uid.ExplicitVRBigEndian:
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
        return save(data)
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        return transcode(save(data), syntax)
    plugin = {uid.RLELossless: "pydicom", uid.JPEGLSLossless: "pyjpegls", uid.JPEGLSNearLossless: "pyjpegls"}
    options: dict[str, Any] = {uid.JPEGLSNearLossless: {"jls_error": 2}, uid.JPEG2000: {"j2k_psnr": [100]}}.get(
        syntax, {}
    )
    if plugin.get(syntax) == "pyjpegls":
        pytest.importorskip("jpeg_ls", reason="nothing here encodes JPEG-LS")  # on Python 3.14; GDCM decodes it alone
    data.compress(syntax, encoding_plugin=plugin.get(syntax, "pylibjpeg"), generate_instance_uid=False, **options)
    return save(data)


def build_encapsulated(codestream: bytes, pixels: np.ndarray, syntax: str, **elements: Any) -> bytes:
    """A CT file around a codestream of (H, W) `pixels`."""
    data = describe_ct(pixels, **elements)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([codestream])
    data["PixelData"].VR = "OB"
    return save(data)


def build_of(syntax: str) -> tuple[bytes, np.ndarray]:
    """A CT file of any transfer syntax that we read, and the (H, W) HU in it before compression."""
    if syntax == uid.JPEGBaseline8Bit:
        gray = np.asarray(LUNG.render(HU))
        stream = io.BytesIO()
        Image.fromarray(gray).save(stream, "JPEG", quality=95)
        rescale = {"RescaleSlope": 4, "RescaleIntercept": -1024}
        return build_encapsulated(stream.getvalue(), gray, syntax, **rescale), gray.astype(float) * 4 - 1024
    names = {
        uid.JPEGExtended12Bit: "jpeg_12bit.jpg",
        uid.HTJ2KLossless: "htj2k_lossless.j2c",
        uid.HTJ2KLosslessRPCL: "htj2k_lossless.j2c",
        uid.HTJ2K: "htj2k_lossy.j2c",
    }
    if syntax in names:
        bits = {"BitsStored": 12, "HighBit": 11} if syntax == uid.JPEGExtended12Bit else {}
        codestream = (CODESTREAMS / names[syntax]).read_bytes()
        return build_encapsulated(codestream, draw_bowl(), syntax, **bits), draw_bowl().astype(float) - 1024
    return build_ct(syntax=syntax), HU.astype(float)


def build_enhanced(intercepts: tuple[int, ...] = (-1024, -1000, -900), **elements: Any) -> bytes:
    """An enhanced CT with one frame an intercept; frame i holds the same stored values plus i."""
    stored = np.stack([(HU + 1024).astype(np.uint16) + i for i in range(len(intercepts))])
    data = describe_ct(
        stored,
        **{
            "SOPClassUID": uid.EnhancedCTImageStorage,
            "RescaleSlope": None,
            "RescaleIntercept": None,
            "ImageOrientationPatient": None,
        }
        | elements,
    )
    shared, orientation, frame_type, voi = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "AXIAL", "NONE"]
    voi.WindowCenter, voi.WindowWidth = 40, 400
    shared.PlaneOrientationSequence = [orientation]
    shared.CTImageFrameTypeSequence = [frame_type]
    shared.FrameVOILUTSequence = [voi]
    data.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for intercept in intercepts:
        rescale, frame = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, intercept, "HU"
        frame.PixelValueTransformationSequence = [rescale]
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = frames
    return save(data)


def build_bare(syntax: str = uid.ImplicitVRLittleEndian) -> bytes:
    """A CT file without preamble and meta header, as old archives keep it."""
    data = dcmread(io.BytesIO(build_ct(syntax=syntax)))
    implicit, little = data.original_encoding
    del data.file_meta
    data.preamble = None
    return save(data, enforce_file_format=False, implicit_vr=implicit, little_endian=little)


def build_bomb(size: int) -> bytes:
    """A deflated CT file of a few kB whose pixel data inflates to `size` bytes."""
    head = build_ct(np.zeros((512, 512), np.uint16))
    meta_end = 144 + int.from_bytes(head[140:144], "little")
    meta = head[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    meta = meta[:140] + (len(meta) - 144).to_bytes(4, "little") + meta[144:]
    at = meta.index(b"1.2.840.10008.1.2.1.99")
    meta = meta[: at - 2] + (22).to_bytes(2, "little") + meta[at:]
    elements = (
        head[meta_end : head.rindex(b"\xe0\x7f\x10\x00")] + b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")
    )
    deflate = zlib.compressobj(9, wbits=-15)
    start = deflate.compress(elements) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)  # a full flush forgets, so it can repeat
    return meta + start + block * (size // 2**20) + deflate.flush()


def transcode(body: bytes, syntax: str) -> bytes:
    """Compress a file with GDCM."""
    data = dcmread(io.BytesIO(compression.transcode(body, syntax)))
    if "RescaleType" not in dcmread(io.BytesIO(body)):
        data.pop("RescaleType", None)  # GDCM adds "US"
    return save(data)
