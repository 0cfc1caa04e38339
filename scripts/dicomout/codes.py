"""Every code that our objects use: those of the standard where it has one, ours below, in this file alone.

Sources: PS3.16 (context groups 217, 7162, 7005, 4031), SNOMED CT as far as PS3.16 lists it, UCUM.
"""

from __future__ import annotations

import hashlib
import re

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

SCHEME = "99LUNGSERVE"
SCHEME_ITEM = CodingSchemeIdentificationItem(
    SCHEME, name="LungServe local codes", responsible_organization="LungServe project"
)

CHEST = Code("816094009", "SCT", "Chest")
CT_OF_CHEST = Code("169069000", "SCT", "CT of chest")
ENGLISH = Code("en", "RFC5646", "English")
DEVICE = Code("121007", "DCM", "Device")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
GRAD_CAM = Code("130403", "DCM", "Gradient-weighted class activation")
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
COMMENT = Code("121106", "DCM", "Comment")
NO_UNITS = Code("1", "UCUM", "no units")
IMAGES = Code("{images}", "UCUM", "images")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
BASIC_PROFILE = Code("113100", "DCM", "Basic Application Confidentiality Profile")
RETAIN_UIDS = Code("113110", "DCM", "Retain UIDs Option")

SUSPICION = Code("SUSPICION", SCHEME, "Suspicion of the series by the rule of the roll-up")
PEAK = Code("PEAK", SCHEME, "Highest probability of the most worrying class")
SLICES = Code("SLICES", SCHEME, "Number of slices")
SCORED = Code("SCORED", SCHEME, "Number of scored slices")
REFUSED = Code("REFUSED", SCHEME, "Number of slices that could not be assessed")
REFERRED = Code("REFERRED", SCHEME, "Number of scored slices referred to a person")
PREDICTED = Code("PREDICTED", SCHEME, "Predicted class")
DECISION = Code("DECISION", SCHEME, "Decision by the model's thresholds")
DECISIONS = {
    "report": Code("REPORT", SCHEME, "Within the model's thresholds"),
    "refer": Code("REFER", SCHEME, "Refer: a person must read it"),
}
ASSESSMENT = Code("ASSESSMENT", SCHEME, "Whether the slice could be assessed")
NOT_ASSESSED = Code("NOT_ASSESSED", SCHEME, "Could not be assessed")
SERIES = Code("SERIES", SCHEME, "Roll-up of the series")
RULE = Code("RULE", SCHEME, "Rule of the roll-up")
NOTICE = Code("NOTICE", SCHEME, "Notice")
VERSION = Code("VERSION", SCHEME, "Version of the result")
UNASSESSED = Code("UNASSESSED", SCHEME, "What could not be assessed")

# As PS3.16 context group 6063 and others name them; a model's own classes get codes of ours.
_CLASSES = {
    "Normal": Code("17621005", "SCT", "Normal"),
    "Benign": Code("30807003", "SCT", "Benign"),
    "Malignant": Code("21594007", "SCT", "Malignant"),
}


def code_class(name: str) -> Code:
    """The code of a class of the model."""
    return _CLASSES.get(name) or Code(_make_value("C", name), SCHEME, name[:64])


def code_probability(name: str) -> Code:
    """The code of the probability of a class."""
    return Code(_make_value("P", name), SCHEME, f"Probability of {name}"[:64])


def code_evidence(name: str) -> Code:
    """The code of what a cell of the map holds: signed evidence for a class."""
    return Code(_make_value("E", name), SCHEME, f"Signed evidence for {name}"[:64])


def _make_value(kind: str, name: str) -> str:
    """At most 16 characters, as the value representation SH asks; long names end in a hash."""
    plain = re.sub(r"[^A-Z0-9]", "_", name.upper())
    if plain != name.upper() or len(plain) > 14:
        plain = f"{plain[:7]}_{hashlib.sha256(name.encode()).hexdigest()[:6].upper()}"
    return f"{kind}_{plain}"
