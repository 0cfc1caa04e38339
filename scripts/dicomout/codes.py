"""Every code that our objects use, beside those of highdicom's templates: the standard's where it has one, or ours.

Objects share them, which spares a tenth of a report's memory; nobody may change one.
Sources: PS3.16 (context groups 217, 7162, 7005, 4031), SNOMED CT as far as PS3.16 lists it, UCUM.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache

from highdicom.sr import CodedConcept

SCHEME = "99LUNGSERVE"

CHEST = CodedConcept("816094009", "SCT", "Chest")
CT_OF_CHEST = CodedConcept("169069000", "SCT", "CT of chest")
DEVICE = CodedConcept("121007", "DCM", "Device")
PROCESSING_EQUIPMENT = CodedConcept("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = CodedConcept("123110", "DCM", "Artificial Intelligence")
GRAD_CAM = CodedConcept("130403", "DCM", "Gradient-weighted class activation")
METHOD = CodedConcept("370129005", "SCT", "Measurement Method")
SOURCE_OF_MEASUREMENT = CodedConcept("121112", "DCM", "Source of Measurement")
COMMENT = CodedConcept("121106", "DCM", "Comment")
NO_UNITS = CodedConcept("1", "UCUM", "no units")
IMAGES = CodedConcept("{images}", "UCUM", "images")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
SOURCE_IMAGE = CodedConcept("121322", "DCM", "Source image for image processing operation")
# How a result is de-identified (context group 7050): what the options keep is ours, and nothing of the source's.
DEIDENTIFICATION = (
    CodedConcept("113100", "DCM", "Basic Application Confidentiality Profile"),
    CodedConcept("113104", "DCM", "Clean Structured Content Option"),
    CodedConcept("113105", "DCM", "Clean Descriptors Option"),
    CodedConcept("113109", "DCM", "Retain Device Identity Option"),
    CodedConcept("113110", "DCM", "Retain UIDs Option"),
)

SUSPICION = CodedConcept("SUSPICION", SCHEME, "Suspicion of the series by the rule of the roll-up")
PEAK = CodedConcept("PEAK", SCHEME, "Highest probability of the most worrying class")
SLICES = CodedConcept("SLICES", SCHEME, "Number of slices")
COPIES = CodedConcept("COPIES", SCHEME, "Number of copies of other slices")
SCORED = CodedConcept("SCORED", SCHEME, "Number of scored slices")
REFUSED = CodedConcept("REFUSED", SCHEME, "Number of slices that could not be assessed")
REFERRED = CodedConcept("REFERRED", SCHEME, "Number of scored slices referred to a person")
PREDICTED = CodedConcept("PREDICTED", SCHEME, "Predicted class")
DECISION = CodedConcept("DECISION", SCHEME, "Decision by the model's thresholds")
DECISIONS = {
    "report": CodedConcept("REPORT", SCHEME, "Within the model's thresholds"),
    "refer": CodedConcept("REFER", SCHEME, "Refer: a person must read it"),
}
ASSESSMENT = CodedConcept("ASSESSMENT", SCHEME, "Whether it could be assessed")
NOT_ASSESSED = CodedConcept("NOT_ASSESSED", SCHEME, "Could not be assessed")
SERIES = CodedConcept("SERIES", SCHEME, "Roll-up of the series")
RULE = CodedConcept("RULE", SCHEME, "Rule of the roll-up")
NOTICE = CodedConcept("NOTICE", SCHEME, "Notice")
VERSION = CodedConcept("VERSION", SCHEME, "Version of the result")
UNASSESSED = CodedConcept("UNASSESSED", SCHEME, "What could not be assessed")

# As PS3.16 context group 6063 and others name them; a model's own classes get codes of ours.
_CLASSES = {
    "Normal": CodedConcept("17621005", "SCT", "Normal"),
    "Benign": CodedConcept("30807003", "SCT", "Benign"),
    "Malignant": CodedConcept("21594007", "SCT", "Malignant"),
}


@cache
def code_class(name: str) -> CodedConcept:
    """The code of a class of the model."""
    return _CLASSES.get(name) or CodedConcept(_make_value("C", name), SCHEME, name[:64])


@cache
def code_probability(name: str) -> CodedConcept:
    """The code of the probability of a class."""
    return CodedConcept(_make_value("P", name), SCHEME, f"Probability of {name}"[:64])


@cache
def code_evidence(name: str) -> CodedConcept:
    """The code of what a cell of the map holds: signed evidence for a class."""
    return CodedConcept(_make_value("E", name), SCHEME, f"Signed evidence for {name}"[:64])


def _make_value(kind: str, name: str) -> str:
    """At most 16 characters, as the value representation SH asks; long names end in a hash."""
    plain = re.sub(r"[^A-Z0-9]", "_", name.upper())
    if plain != name.upper() or len(plain) > 14:
        plain = f"{plain[:7]}_{hashlib.sha256(name.encode()).hexdigest()[:6].upper()}"
    return f"{kind}_{plain}"
