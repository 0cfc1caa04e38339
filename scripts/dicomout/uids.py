"""UIDs that follow from what they name: scoring twice names the same object, another model or release another one."""

from __future__ import annotations

import hashlib
import json
import uuid
from importlib.metadata import version

from lungct_tools.dicomout.assessment import Assessment

# Counted up whenever the same input gives other bytes; releases of ours and of the library that encodes count anyway.
LAYOUT = 5
WRITER = f"lungct {version('lungct')} layout {LAYOUT}, highdicom {version('highdicom')}"


def make_uid(*parts: object) -> str:
    """A UID below 2.25 (PS3.5 B.2) from the SHA-256 of its parts; at most 44 characters."""
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def name_object(kind: str, assessment: Assessment, *more: object) -> str:
    """The UID of an object or series of results: of its source, the model, the options and this writer."""
    made_by = assessment.algorithm
    said = (made_by.weights_sha256, made_by.engine, *made_by.options, assessment.deidentified)
    return make_uid(kind, *more, WRITER, *said, assessment.sources)


def name_device(assessment: Assessment) -> str:
    """The UID of the software as a device: another one for other weights, engine or release (IHE AIR)."""
    made_by = assessment.algorithm
    return make_uid("device", WRITER, made_by.name, made_by.version, made_by.weights_sha256, made_by.engine)
