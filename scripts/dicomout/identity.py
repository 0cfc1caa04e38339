"""What every object of a result says of patient, study, software and time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from highdicom import ContributingEquipment
from lungct import NOTICE
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from scripts.dicomout import codes
from scripts.dicomout.assessment import PATIENT_KEYWORDS, STUDY_KEYWORDS, Assessment
from scripts.dicomout.uids import WRITER, name_device, name_object

MANUFACTURER, MODEL = "LungServe project", "LungServe"
# The three kinds are series of their own; numbers that scanners do not reach.
SERIES_NUMBERS = {"report": 9101, "map": 9102, "capture": 9103}
# PS3.15 table E.1-1, Basic Profile, as far as our objects have the attribute: Z and X are emptied.
_EMPTIED = (*(k for k in (*PATIENT_KEYWORDS, *STUDY_KEYWORDS) if not k.endswith("UID")), "PositionReferenceIndicator")
_NO_MOMENT = datetime(1900, 1, 1)
_DAYS = {
    "InstanceCreationDate": "InstanceCreationTime",
    "ContentDate": "ContentTime",
    "SeriesDate": "SeriesTime",
    "DateOfSecondaryCapture": "TimeOfSecondaryCapture",
}


def source_header(header: Dataset, assessment: Assessment) -> Dataset:
    """A copy of a source header with every attribute that highdicom asks for, emptied where it identifies."""
    full = Dataset()
    full.update(header)
    for keyword in (*PATIENT_KEYWORDS, *STUDY_KEYWORDS):
        if keyword not in full or (assessment.deidentified and keyword in _EMPTIED):
            setattr(full, keyword, "")
    if full.PatientSex not in ("", "M", "F", "O"):
        full.PatientSex = ""
    return full


def describe_software(assessment: Assessment) -> dict[str, Any]:
    """Arguments of highdicom's constructors for the equipment that made an object."""
    made_by = assessment.algorithm
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": (WRITER, f"{made_by.name} {made_by.version}"),
        "device_serial_number": made_by.weights_sha256,
        "contributing_equipment": [_describe_algorithm(assessment)],
        "specific_character_set": "ISO_IR 192",
    }


def describe_series(kind: str, assessment: Assessment) -> dict[str, Any]:
    """Arguments of highdicom's constructors for the series of an object: "report", "map" or "capture"."""
    return {
        "series_instance_uid": name_object(f"{kind} series", assessment),
        "series_number": SERIES_NUMBERS[kind],
        "series_description": f"LungServe {kind} - research use only",
    }


def finish(data: Dataset, assessment: Assessment) -> Dataset:
    """Set what must not depend on the moment, and what de-identification asks; `data` itself comes back."""
    moment = assessment.scored_at
    if assessment.deidentified:
        moment = _NO_MOMENT
    for keyword in [name for name in _DAYS if name != "DateOfSecondaryCapture" or name in data]:
        setattr(data, keyword, moment.strftime("%Y%m%d"))
        setattr(data, _DAYS[keyword], moment.strftime("%H%M%S"))
    for equipment in data.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)  # highdicom's, of now
    data.DeviceUID = name_device(assessment)
    data.CodingSchemeIdentificationSequence = [codes.SCHEME_ITEM]
    if assessment.deidentified:
        data.PatientIdentityRemoved = "YES"
        data.DeidentificationMethod = "Basic profile, UIDs retained"
        data.DeidentificationMethodCodeSequence = [make_code(codes.BASIC_PROFILE), make_code(codes.RETAIN_UIDS)]
        data.LongitudinalTemporalInformationModified = "REMOVED"
    return data


def make_code(code: Code) -> Dataset:
    """A code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _describe_algorithm(assessment: Assessment) -> ContributingEquipment:
    """The model as contributing equipment, as IHE AIR asks."""
    made_by = assessment.algorithm
    item = ContributingEquipment(
        MANUFACTURER,
        codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=f"{MODEL} {made_by.name}"[:64],
        software_versions=(made_by.version, made_by.engine),
        device_serial_number=made_by.weights_sha256,
        contribution_description=f"Classified slices. {NOTICE}",
    )
    item.DeviceUID = name_device(assessment)
    return item
