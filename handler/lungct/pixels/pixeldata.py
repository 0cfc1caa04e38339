"""DICOM Pixel Data -> stored values of one frame (DICOM PS3.5 sections 8 and A.4, PS3.3 C.7.6.3)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NamedTuple

import gdcm  # type: ignore[import-untyped]
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from lungct.errors import LungCTError
from lungct.pixels.rendering import Values

# Python 3.14 has no wheel of pyjpegls; a test holds GDCM's values against its.
JPEG_LS = "pyjpegls" if find_spec("jpeg_ls") else "gdcm"


class Syntax(NamedTuple):
    """A transfer syntax we read, the pydicom plugin that decodes it ("" for none), and whether it may be lossy."""

    uid: str
    name: str
    plugin: str = ""
    lossy: bool = False


SYNTAXES = {
    syntax.uid: syntax
    for syntax in (
        Syntax(uid.ImplicitVRLittleEndian, "Implicit VR Little Endian"),
        Syntax(uid.ExplicitVRLittleEndian, "Explicit VR Little Endian"),
        Syntax(uid.DeflatedExplicitVRLittleEndian, "Deflated Explicit VR Little Endian"),
        Syntax(uid.ExplicitVRBigEndian, "Explicit VR Big Endian"),
        Syntax(uid.RLELossless, "RLE Lossless", "pydicom"),
        Syntax(uid.JPEGBaseline8Bit, "JPEG Baseline, 8 bit", "gdcm", lossy=True),
        Syntax(uid.JPEGExtended12Bit, "JPEG Extended, 12 bit", "gdcm12", lossy=True),
        Syntax(uid.JPEGLossless, "JPEG Lossless", "gdcm"),
        Syntax(uid.JPEGLosslessSV1, "JPEG Lossless SV1", "gdcm"),
        Syntax(uid.JPEGLSLossless, "JPEG-LS Lossless", JPEG_LS),
        Syntax(uid.JPEGLSNearLossless, "JPEG-LS Near Lossless", JPEG_LS, lossy=True),
        Syntax(uid.JPEG2000Lossless, "JPEG 2000 Lossless", "pylibjpeg"),
        Syntax(uid.JPEG2000, "JPEG 2000", "pylibjpeg", lossy=True),
        Syntax(uid.HTJ2KLossless, "HTJ2K Lossless", "pylibjpeg"),
        Syntax(uid.HTJ2KLosslessRPCL, "HTJ2K Lossless RPCL", "pylibjpeg"),
        Syntax(uid.HTJ2K, "HTJ2K", "pylibjpeg", lossy=True),
    )
}

DECODER_DEPENDENCIES = {uid.JPEGExtended12Bit: ("gdcm>=3.0.10",)}
END = b"\xff\xd9"  # marker that ends a stream of JPEG, JPEG-LS and JPEG 2000
MOST_ZEROS = 4  # before it
BEGIN = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # of the same, and of no fragment within one: none is in coded data
OPTIONS = {  # of pydicom's decoders, by keyword
    "Rows": "rows",
    "Columns": "columns",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "PixelRepresentation": "pixel_representation",
}


def is_available(syntax: str) -> bool:
    """Part of pydicom's plugin interface: this module decodes JPEG Extended."""
    return syntax in DECODER_DEPENDENCIES


def decode_jpeg(source: bytes, runner: DecodeRunner) -> bytes:
    """Decode one JPEG Extended frame of 8 or 12 bits; a plugin of pydicom's.

    pydicom keeps 12 bits from GDCM, because old versions failed; a test holds this one against libjpeg-turbo's pixels.
    """
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    bits = runner.bits_stored
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, runner.bits_allocated, bits, bits - 1, runner.pixel_representation))
    return bytes(image.GetBuffer().encode("utf-8", "surrogateescape"))  # GDCM's SWIG layer gives char* as str


get_decoder(uid.JPEGExtended12Bit).add_plugin("gdcm12", (__name__, "decode_jpeg"))


def find_syntax(data: Dataset) -> Syntax:
    """The transfer syntax of a dataset; LungCTError unsupported_dicom for one we cannot decode, with its name.

    Files without a meta header do not say it: they are uncompressed, as pydicom found them to be readable.
    """
    given = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if not given:
        implicit, little = data.original_encoding
        given = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        given = given if little else uid.ExplicitVRBigEndian
    found = SYNTAXES.get(str(given))
    if found is None:
        name = uid.UID(given).name  # the UID itself when unknown, which is not repeated: it came from the file
        known = "a private or unknown one" if name == given else name
        raise LungCTError(
            "unsupported_dicom",
            f"There is no decoder here for the transfer syntax ({known}); "
            "convert the file to Explicit VR Little Endian, for example with dcmconv or gdcmconv --raw.",
        )
    return found


def read_frame(data: Dataset, syntax: Syntax, index: int) -> Values:
    """(H, W) stored values of frame `index` as they lie in the allocated bits; whatever pydicom and codecs raise.

    Where the frame is found without its offset table, the dataset is left with this frame alone.
    """
    frame = find_frame(data.PixelData, index, int(data.get("NumberOfFrames") or 1)) if syntax.plugin else None
    if frame is None:
        return decode_frame(data, syntax, index)

    def decode(stream: bytes) -> Values:
        data.PixelData = encapsulate([stream])
        return decode_frame(data, syntax, 0, number_of_frames=1, extended_offsets=None)

    return decode_any(list_streams(frame), decode)


def read_fragments(pixel_data: bytes, syntax: Syntax, elements: Mapping[str, Any]) -> Values:
    """The same of the only frame of encapsulated Pixel Data, whose header `header.read_header` has read."""
    options = {option: elements[keyword] for keyword, option in OPTIONS.items()}

    def decode(stream: bytes) -> Values:
        return decode_frame(encapsulate([stream]), syntax, 0, number_of_frames=1, pixel_keyword="PixelData", **options)

    return decode_any(list_streams(b"".join(list(generate_fragments(io.BytesIO(pixel_data)))[1:])), decode)


def decode_any(streams: Sequence[bytes], decode: Callable[[bytes], Values]) -> Values:
    """The values of the first stream that can be decoded; what the last one raises where none can."""
    *others, last = streams
    for stream in others:
        with suppress(RuntimeError):  # of pydicom's, whatever a codec raises
            return decode(stream)
    return decode(last)


def decode_frame(data: Dataset | bytes, syntax: Syntax, index: int, **options: Any) -> Values:
    """(H, W) stored values of frame `index`, by pydicom; `options` go before what a dataset says."""
    values, _ = get_decoder(syntax.uid).as_array(
        data,
        index=index,
        raw=True,
        decoding_plugin=syntax.plugin,
        correct_unused_bits=False,  # type: ignore[arg-type]
        photometric_interpretation="MONOCHROME2",  # type: ignore[arg-type]  # not all files say these two
        samples_per_pixel=1,  # type: ignore[arg-type]
        **options,
    )
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def list_streams(frame: bytes) -> list[bytes]:
    """A codestream as it is, then without one zero byte, two, ... before its end marker.

    Some encoders leave them there, and decoders refuse what does not end where they expect it. Zeros may also be coded
    data, so they are taken away only where decoding fails with them.
    """
    head, end, rest = frame.rpartition(END)
    zeros = 0 if rest.strip(b"\0") else min(len(head) - len(head.rstrip(b"\0")), MOST_ZEROS)
    return [frame, *(head[:-count] + end + rest for count in range(1, zeros + 1))]


def find_frame(pixel_data: bytes, index: int, frames: int) -> bytes | None:
    """The codestream of a frame where no offset table is needed to find it, as tables are often wrong; else None.

    A single frame is all its fragments, and as many fragments as frames are one each (PS3.5 A.4); of more, those that
    begin a codestream begin a frame. The table is the item before them; where there are no more items than frames, the
    file was written without.
    """
    items = list(generate_fragments(io.BytesIO(pixel_data)))
    fragments = items if len(items) == frames else items[1:]
    if frames == 1:
        return b"".join(fragments)
    if len(fragments) == frames:
        return fragments[index]
    starts = [at for at, fragment in enumerate(fragments) if fragment.startswith(BEGIN)]
    if len(starts) != frames or starts[0]:
        return None
    return b"".join(fragments[slice(*[*starts, None][index : index + 2])])
