"""Phantom series scored by the real pipeline in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest

from lungct.pipeline import Job, Pipeline
from lungct_tools.dicomout.assessment import Algorithm, Assessment, Slice, roll_up
from lungct_tools.folder.record import describe_file, describe_reply, order_classes
from tests.support.series import read_header

GRID = {"X-Heatmap": "always", "X-Heatmap-Format": "grid"}
MOMENT = datetime(2026, 3, 4, 5, 6, 7)


def score_slices(pipeline: Pipeline, files: tuple[bytes, ...]) -> tuple[list[Slice], list[dict]]:
    """The slices of an assessment, and the server's replies."""
    replies = [json.loads(r.body) for r in pipeline.score([Job({"body": body}, GRID) for body in files]).replies]
    slices = []
    for number, (body, reply) in enumerate(zip(files, replies, strict=True)):
        row = describe_file(f"{number}.dcm", body)
        if "error" in reply:
            slices.append(Slice(read_header(body), {**row, "error": reply["error"], "message": reply["message"]}))
            continue
        grids = {name: np.array(grid, np.float32) for name, grid in reply["heatmap"]["grids"].items()}
        slices.append(Slice(read_header(body), row | describe_reply(reply), grids))
    return slices, replies


@pytest.fixture(scope="session")
def assess(pipeline: Pipeline) -> Callable[..., Assessment]:
    """An assessment of CT files; keywords replace its attributes."""

    def make(files: tuple[bytes, ...], **changed: object) -> Assessment:
        slices, replies = score_slices(pipeline, files)
        model = next(reply["model"] for reply in replies if "model" in reply)
        classes = order_classes(pipeline.contract.classes)
        algorithm = Algorithm(
            model["name"], model["version"], model["weights_sha256"], model["engine"], classes,
            pipeline.contract.geometry, ("window=model",),
        )  # fmt: skip
        known = {
            "slices": slices, "rollup": roll_up(slices, classes), "algorithm": algorithm, "scored_at": MOMENT,
        }  # fmt: skip
        return Assessment(**(known | changed))

    return make


@pytest.fixture(scope="session")
def overlay(pipeline: Pipeline) -> Callable[[bytes], bytes]:
    """The server's PNG overlay of a file."""
    return lambda body: pipeline.score([Job({"body": body}, {"Accept": "image/png"})]).replies[0].body
