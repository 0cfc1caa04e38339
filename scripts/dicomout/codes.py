"""Every code that our objects use: those of the standard where it has one, ours below, in this file alone.

Sources: PS3.16 (context groups 217, 7162, 7005, 4031), SNOMED CT as far as PS3.16 lists it, UCUM.
"""

from __future__ import annotations

import hashlib
import re

from pydicom.sr.coding import Code

SCHEME = "99LUNGSERVE"

CHEST = Code("816094009", "SCT", "Chest")
CT_OF_CHEST = Code("169069000", "SCT", "CT of chest")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en", "RFC5646", "English")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL = Code("121016", "DCM", "Device Observer Serial Number")
DEVICE = Code("121007", "DCM", "Device")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
GRAD_CAM = Code("130403", "DCM", "Gradient-weighted class activation")
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE = Code("121058", "DCM", "Procedure reported")
MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING = Code("121071", "DCM", "Finding")
METHOD = Code("370129005", "SCT", "Measurement Method")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_FAMILY = Code("111000", "DCM", "Algorithm Family")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
SOURCE = Code("260753009", "SCT", "Source")
SOURCE_OF_MEASUREMENT = Code("121112", "DCM", "Source of Measurement")
QUANTITY = Code("246205007", "SCT", "Quantity")
COMMENT = Code("121106", "DCM", "Comment")
NO_UNITS = Code("1", "UCUM", "no units")
IMAGES = Code("{images}", "UCUM", "images")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
# How a result is de-identified (context group 7050): what the options keep is ours, and nothing of the source's.
DEIDENTIFICATION = (
    Code("113100", "DCM", "Basic Application Confidentiality Profile"),
    Code("113104", "DCM", "Clean Structured Content Option"),
    Code("113105", "DCM", "Clean Descriptors Option"),
    Code("113109", "DCM", "Retain Device Identity Option"),
    Code("113110", "DCM", "Retain UIDs Option"),
)

SUSPICION = Code("SUSPICION", SCHEME, "Suspicion of the series by the rule of the roll-up")
PEAK = Code("PEAK", SCHEME, "Highest probability of the most worrying class")
SLICES = Code("SLICES", SCHEME, "Number of slices")
COPIES = Code("COPIES", SCHEME, "Number of copies of other slices")
SCORED = Code("SCORED", SCHEME, "Number of scored slices")
REFUSED = Code("REFUSED", SCHEME, "Number of slices that could not be assessed")
REFERRED = Code("REFERRED", SCHEME, "Number of scored slices referred to a person")
PREDICTED = Code("PREDICTED", SCHEME, "Predicted class")
DECISION = Code("DECISION", SCHEME, "Decision by the model's thresholds")
DECISIONS = {
    "report": Code("REPORT", SCHEME, "Within the model's thresholds"),
    "refer": Code("REFER", SCHEME, "Refer: a person must read it"),
}
ASSESSMENT = Code("ASSESSMENT", SCHEME, "Whether it could be assessed")
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
