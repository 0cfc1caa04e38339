"""Rows of a scored folder that are made up."""

import hashlib

CLASSES = ("Normal", "Benign", "Malignant")


def make_row(name, malignant=0.1, label="Normal", decision="report", series="s", error="", **more):
    """A row of slices.jsonl whose content is its name."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    row = {"file": name, "sha256": sha256, "study": "", "series": series, "instance": "", **more}
    if error:
        return {**row, "error": error, "message": "No."}
    shares = {"Normal": 0.9 - malignant, "Benign": 0.1, "Malignant": malignant}
    return {
        **row, "label": label, "confidence": 0.9, "probabilities": shares, "decision": decision, "warnings": [],
        "weights_sha256": "", "engine": "torch", **more,
    }  # fmt: skip
