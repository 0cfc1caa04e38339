"""Drawn DICOM files in the compressed transfer syntaxes of CT, for what measures or tests how such files are read."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import gdcm
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate

PLUGINS = {uid.RLELossless: "pydicom", uid.JPEGLSLossless: "pyjpegls", uid.JPEG2000Lossless: "pylibjpeg"}


def compress(body: bytes, syntax: str) -> bytes:
    """An uncompressed file in a syntax of PLUGINS, or one that GDCM writes; RuntimeError without an encoder here."""
    if syntax not in PLUGINS:
        return transcode(body, syntax)
    data, stream = dcmread(io.BytesIO(body)), io.BytesIO()
    data.compress(syntax, encoding_plugin=PLUGINS[syntax], generate_instance_uid=False)
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def transcode(body: bytes, syntax: str) -> bytes:
    """Compress a file with GDCM, the only one here that encodes lossless JPEG; RuntimeError where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder, "a.dcm")), str(Path(folder, "b.dcm"))
        Path(source).write_bytes(body)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(source)
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        read = reader.Read()
        change.SetInput(reader.GetImage())
        changed = read and change.Change()
        writer.SetFileName(target)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not (changed and writer.Write()):
            raise RuntimeError(f"GDCM does not write this file in the transfer syntax {syntax}.")
        return Path(target).read_bytes()


def wrap(codestream: bytes, body: bytes, syntax: str) -> bytes:
    """The file with a codestream of the same rows and columns in place of its pixels."""
    data, stream = dcmread(io.BytesIO(body)), io.BytesIO()
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([codestream])
    data["PixelData"].VR = "OB"
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
