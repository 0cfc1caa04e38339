"""What the server answers: slices in as files, through its whole pipeline, answers out in order."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from lungct.engines import Engine
from lungct.model import ModelFolder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores

Floats = npt.NDArray[np.float64]
AT_ONCE = 16  # slices a batch


class Answers(NamedTuple):
    """Of N slices; a slice that is no chest CT to the server has NaN throughout, and is not answered.

    Attributes:
        probabilities: (N, C) calibrated.
        logits: (N, C).
        maps: (N, C, h, w) evidence; 7 x 7 of 224 pixels.
        answered: (N,) whether there is an answer at all.
        reported: (N,) whether its decision is report.
    """

    probabilities: Floats
    logits: Floats
    maps: Floats
    answered: npt.NDArray[np.bool_]
    reported: npt.NDArray[np.bool_]

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """(N,) index of the class; -1 where there is no answer."""
        return np.where(self.answered, np.nan_to_num(self.probabilities, nan=-1).argmax(1), -1)

    def take(self, rows: npt.NDArray[np.bool_]) -> Answers:
        """The answers where `rows` (N,) is True."""
        return Answers(*(part[rows] for part in self))

    def put(self, rows: npt.NDArray[np.int64], others: Answers) -> Answers:
        """These answers with `others` in some rows."""
        parts = [np.array(mine) for mine in self]
        for changed, theirs in zip(parts, others, strict=True):
            changed[rows] = theirs
        return Answers(*parts)


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 -> a PNG file, little compressed."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def ask(folder: ModelFolder, engine: Engine, files: Iterable[bytes], said: str, gate: str = "on") -> Answers:
    """Score files as the server does, gate and decision included, with the evidence of all classes.

    Args:
        folder: a verified model folder.
        engine: of it.
        files: slices in any format that the server reads.
        said: what the progress bar calls them.
        gate: "off" asks for an answer on whatever it is.

    Raises:
        RuntimeError: a fault of the pipeline, which is no refusal.
    """
    pipeline = Pipeline(folder, engine, Settings(), threads=count_cores())
    headers = {"X-Heatmap": "always", "X-Heatmap-Format": "grid", "X-Gate": gate}
    jobs = [Job({"body": body}, headers) for body in files]
    classes = folder.contract.classes
    blank = {"probabilities": {}, "decision": "refer", "heatmap": {"logits": {}, "grids": {}}}
    documents = []
    for first in track(range(0, len(jobs), AT_ONCE), said):
        for reply in pipeline.score(jobs[first : first + AT_ONCE]).replies:
            document = json.loads(reply.body)
            if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise RuntimeError(document["message"])
            documents.append(document if reply.status == HTTPStatus.OK else blank)
    grids = (grid for one in documents for grid in one["heatmap"]["grids"].values())
    nothing = np.full_like(next(grids, [[]]), np.nan, float)

    def collect(field: str) -> Floats:
        return np.array([[one["heatmap"][field].get(name, np.nan) for name in classes] for one in documents])

    return Answers(
        np.array([[one["probabilities"].get(name, np.nan) for name in classes] for one in documents]),
        collect("logits"),
        np.array([[one["heatmap"]["grids"].get(name, nothing) for name in classes] for one in documents]),
        np.array([bool(one["probabilities"]) for one in documents]),
        np.array([one["decision"] == "report" for one in documents]),
    )
