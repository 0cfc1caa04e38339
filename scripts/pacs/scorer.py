"""Slices through the fleet with their evidence, as rows of the folder tool; then a series as an assessment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.dicomout.assessment import Algorithm, Assessment, Slice, roll_up
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.record import Row, describe_file, describe_reply
from lungct_tools.folder.scoring import Order


@contextmanager
def _known() -> Iterator[None]:
    """A gateway that no longer knows our key has refused us, and no slice."""
    try:
        yield
    except RefusedError as error:
        if error.status in (401, 403):
            raise TokenError(str(error)) from None
        raise


class Scorer:
    """Scores slices with one model; ServerError where the servers hold different ones or none answers.

    Attributes:
        contract: model.json of the servers' model.
    """

    def __init__(self, fleet: Fleet, window: str | None = None) -> None:
        self._fleet = fleet
        self.contract = fleet.contract()
        self._order = Order.make(self.contract, "none", window, uids=False)

    @property
    def weights_sha256(self) -> str:
        return self._order.weights_sha256

    def score(self, name: str, body: bytes) -> Row:
        """The folder tool's row of a slice, and `grids`: signed evidence by class, (7, 7) lists.

        Raises:
            ServerError, TokenError: no server can answer, or none knows our key: there is no row.
        """
        row = describe_file(name, body)
        try:
            with _known():
                reply = self._fleet.predict(body, heatmap="always", heatmap_format="grid", **self._order.headers())
        except RefusedError as error:
            return {**row, "error": error.code, "message": str(error)}
        return {**row, **describe_reply(reply), "grids": reply["heatmap"]["grids"]}

    def draw(self, body: bytes) -> bytes | None:
        """PNG overlay of a slice; None where the server refuses to draw it. ServerError when no server answers."""
        failure = None
        for client in self._fleet.clients:
            try:
                with suppress(RefusedError), _known():
                    return client.overlay(body, "png", **self._order.headers())
                return None
            except ServerError as error:
                failure = error
        raise failure or ServerError("There is no server.")

    def assess(
        self, slices: Iterable[tuple[Dataset, Row]], scored_at: datetime, deidentified: bool = False, **version: Any
    ) -> Assessment:
        """An assessment of a series from its headers and rows.

        Args:
            slices: any order; rows of `score`.
            version: `version` and `replaces` of the assessment.
        """
        found = sorted((_join(header, row) for header, row in slices), key=_place)
        algorithm = self._describe(each.row for each in found)
        return Assessment(
            found, roll_up(found, algorithm.classes), algorithm, scored_at, deidentified=deidentified, **version
        )

    def _describe(self, rows: Iterable[Row]) -> Algorithm:
        engines = sorted({row["engine"] for row in rows if "engine" in row})
        return Algorithm(
            name=self.contract["name"],
            version=str(self.contract["version"]),
            weights_sha256=self.weights_sha256,
            engine="+".join(engines) or "none",
            classes=self._order.classes,
            geometry=self.contract["geometry"],
            options=(f"window={self._order.window or 'model'}",),
        )


def _join(header: Dataset, row: Row) -> Slice:
    grids: Mapping[str, Sequence[Sequence[float]]] = row.get("grids") or {}
    plain = {name: value for name, value in row.items() if name != "grids"}
    return Slice(header, plain, {name: np.array(grid, np.float32) for name, grid in grids.items()})


def _place(each: Slice) -> tuple[int, str]:
    return int(each.header.get("InstanceNumber") or 0), each.uid
