"""Content items of a structured report (PS3.3 C.17.3) as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.sr.coding import Code

from lungct_tools.dicomout import codes
from lungct_tools.dicomout.encoding import encode_code, encode_item, encode_items

CONTAINS, MODIFIES, OBSERVES = "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"
SELECTED, INFERRED = "SELECTED FROM", "INFERRED FROM"


def container(concept: Code, items: Iterable[bytes], template: str | None = None) -> bytes:
    """A heading with what stands below it.

    Args:
        template: number of the template of PS3.16 that it follows, if it is the root of one.
    """
    more = (
        {"ContentTemplateSequence": encode_item(MappingResource="DCMR", TemplateIdentifier=template)}
        if template
        else {}
    )
    return _item(
        "CONTAINER", concept, CONTAINS, ContinuityOfContent="SEPARATE", ContentSequence=encode_items(items), **more
    )


def code(concept: Code, value: Code, relation: str = CONTAINS) -> bytes:
    """A coded answer."""
    return _item("CODE", concept, relation, ConceptCodeSequence=encode_code(value))


def text(concept: Code, value: str, relation: str = CONTAINS) -> bytes:
    """A sentence."""
    return _item("TEXT", concept, relation, TextValue=value)


def uidref(concept: Code, value: str, relation: str = CONTAINS) -> bytes:
    """A UID."""
    return _item("UIDREF", concept, relation, UID=value)


def number(concept: Code, value: float, unit: Code, source: bytes = b"") -> bytes:
    """A measurement.

    Args:
        source: the region that it was measured on, INFERRED (TID 320).
    """
    measured = encode_item(MeasurementUnitsCodeSequence=encode_code(unit), NumericValue=value)
    more = {"ContentSequence": source} if source else {}
    return _item("NUM", concept, CONTAINS, MeasuredValueSequence=measured, **more)


def image(concept: Code, kind: str, uid: str, relation: str = CONTAINS) -> bytes:
    """A reference to an image of the SOP class `kind`."""
    return _item("IMAGE", concept, relation, ReferencedSOPSequence=reference(kind, uid))


def region(outline: Sequence[Sequence[float]], kind: str, uid: str, relation: str = CONTAINS) -> bytes:
    """A closed line on an image; columns and rows from its outer corner (C.18.6.1.2)."""
    flat = [float(value) for point in outline for value in point]
    source = image(codes.SOURCE, kind, uid, SELECTED)
    concept = codes.SOURCE_OF_MEASUREMENT if relation == INFERRED else codes.IMAGE_REGION
    return _item("SCOORD", concept, relation, GraphicData=flat, GraphicType="POLYLINE", ContentSequence=source)


def reference(kind: str, uid: str, **more: object) -> bytes:
    """SOP class and instance as an item."""
    return encode_item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid, **more)


def _item(kind: str, concept: Code, relation: str, **value: object) -> bytes:
    return encode_item(RelationshipType=relation, ValueType=kind, ConceptNameCodeSequence=encode_code(concept), **value)
