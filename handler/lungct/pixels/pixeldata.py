"""DICOM Pixel Data -> stored values of one frame (DICOM PS3.5 sections 8 and A.4, PS3.3 C.7.6.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import gdcm  # type: ignore[import-untyped]
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from lungct.errors import LungCTError

Values = npt.NDArray[Any]


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
        Syntax(uid.JPEGLSLossless, "JPEG-LS Lossless", "pyjpegls"),
        Syntax(uid.JPEGLSNearLossless, "JPEG-LS Near Lossless", "pyjpegls", lossy=True),
        Syntax(uid.JPEG2000Lossless, "JPEG 2000 Lossless", "pylibjpeg"),
        Syntax(uid.JPEG2000, "JPEG 2000", "pylibjpeg", lossy=True),
        Syntax(uid.HTJ2KLossless, "HTJ2K Lossless", "pylibjpeg"),
        Syntax(uid.HTJ2KLosslessRPCL, "HTJ2K Lossless RPCL", "pylibjpeg"),
        Syntax(uid.HTJ2K, "HTJ2K", "pylibjpeg", lossy=True),
    )
}

DECODER_DEPENDENCIES = {uid.JPEGExtended12Bit: ("gdcm>=3.0.10",)}


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
    """(H, W) stored values of frame `index` as they lie in the allocated bits; whatever pydicom and codecs raise."""
    values, _ = get_decoder(syntax.uid).as_array(
        data,
        index=index,
        raw=True,
        decoding_plugin=syntax.plugin,
        correct_unused_bits=False,  # type: ignore[arg-type]
    )
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def clear_unused_bits(values: Values, data: Dataset, syntax: Syntax) -> Values:
    """Drop what lies above Bits Stored (old scanners kept overlays there) and extend the sign.

    JPEG-LS and JPEG 2000 carry their own precision, which pydicom has applied already.
    """
    shift = 8 * values.dtype.itemsize - int(data.BitsStored)
    if shift <= 0 or syntax.uid in uid.JPEGLSTransferSyntaxes or syntax.uid in uid.JPEG2000TransferSyntaxes:
        return values
    return (values << shift) >> shift
