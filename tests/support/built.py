"""The objects of an assessment, as one reads them in their files."""

from __future__ import annotations

import io
from collections.abc import Mapping

from pydicom import dcmread
from pydicom.dataset import Dataset

from lungct_tools.dicomout.assessment import Assessment
from lungct_tools.dicomout.objects import build_objects


def build(assessment: Assessment, pictures: Mapping[str, bytes], *options: str) -> list[Dataset]:
    """Report, map and captures."""
    return [dcmread(io.BytesIO(made.body)) for made in build_objects(assessment, pictures, *options)]


def encode(data: Dataset) -> bytes:
    """The object as a file."""
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
