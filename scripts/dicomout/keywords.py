"""All that is read of a source header; what is not here reaches no object.

Apart from the rest, as the child that reads headers loads nothing else of ours.
"""

PATIENT_KEYWORDS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY_KEYWORDS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
PLACE_KEYWORDS = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "FrameOfReferenceUID")
KEYWORDS = (
    *PATIENT_KEYWORDS, *STUDY_KEYWORDS, *PLACE_KEYWORDS, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "InstanceNumber", "Rows", "Columns", "SliceThickness", "PositionReferenceIndicator", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "PixelAspectRatio",
)  # fmt: skip
