"""A batch of requests -> a batch of replies: parse, decode, one forward pass, heatmaps, results.

One bad item never changes its neighbours' replies: whatever fails, fails for its own index alone.
"""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lungct import exchange, gate, heatmap
from lungct.arrivals import Arrivals, Prepared
from lungct.engines import TOLERANCES, Engine, prove
from lungct.errors import LungCTError
from lungct.exchange import Origin, Reply, ScoreRequest, oip
from lungct.gate import Body, outline
from lungct.heatmap import ActivationMap, Allowance, LibraryCam, activate
from lungct.model import ModelFolder, Placement, place, softmax, to_input
from lungct.pixels import Slice
from lungct.reception import receive
from lungct.settings import Settings

logger = logging.getLogger(__name__)
T = TypeVar("T")
U = TypeVar("U")


class Job(NamedTuple):
    """One request as TorchServe hands it over, form fields or body and headers; and its ids."""

    row: Mapping[str, Any]
    headers: Mapping[str, Any]
    origin: Origin = Origin()


@dataclass(frozen=True)
class Scored:
    """A prepared request with its row of the forward pass."""

    prepared: Prepared
    logits: npt.NDArray[np.float32]  # (C,)
    evidence: npt.NDArray[np.float32]  # (C, 7, 7)
    features: npt.NDArray[np.float32]  # (512,)


class Batch(NamedTuple):
    """Replies in the order of the jobs, and the wall seconds of each stage.

    The stages add up to the whole. Slices are decoded while others are in the network: decode is what it waits for.
    """

    replies: list[Reply]
    seconds: dict[str, float]


class Pipeline:
    """Scores batches with one engine. Keeps nothing about a request; safe to call from several threads.

    Attributes:
        broken: the engine failed and cannot give the golden answers any more: a new process is needed.
    """

    def __init__(self, folder: ModelFolder, engine: Engine, settings: Settings, threads: int) -> None:
        self.contract = folder.contract
        self._folder = folder
        self._engine = engine
        self._settings = settings
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lungct")
        cv2.setNumThreads(1)  # a slice a thread; by itself each call would take all cores, in every worker
        self.broken = False

    def describe(self) -> str:
        """The contract as JSON, for `GET /models/lung_ct?customized=true`."""
        protocol = {"open_inference": oip.describe(self.contract.name, self.contract.classes)}
        return exchange.encode_json({**self.contract.document(), "engine": self._engine.name, **protocol})

    def score(self, jobs: Sequence[Job]) -> Batch:
        """Answer every job; never raises for what a client sent."""
        started = perf_counter()
        allowance = Allowance(self._settings.max_pixels, self._threads)
        arrivals = Arrivals(self._each(partial(self._prepare, allowance), jobs, jobs))
        scored = self._forward(arrivals, jobs)
        inferred = perf_counter()
        replies = self._each(self._answer, scored, jobs)
        final = [
            item if isinstance(item, Reply) else self._refuse(item, job)
            for item, job in zip(replies, jobs, strict=True)
        ]
        seconds = {
            "decode": arrivals.waited,
            "inference": inferred - started - arrivals.waited,
            "render": perf_counter() - inferred,
        }
        return Batch(final, seconds)

    def _each(
        self, work: Callable[[T], U], items: Sequence[T | LungCTError], jobs: Sequence[Job]
    ) -> Iterator[U | LungCTError]:
        """`work` on every item that has not failed yet, in threads; a failure takes the item's place.

        Several begin at once; the iterator hands out what is done, in order.
        """

        def run(item: T | LungCTError, job: Job) -> U | LungCTError:
            if isinstance(item, LungCTError):
                return item
            try:
                return work(item)
            except LungCTError as error:
                return error.strip()
            except Exception as fault:
                return _report(fault, str(job.origin))

        if len(items) == 1:
            return map(run, items, jobs)
        return self._pool.map(run, items, jobs)

    def _prepare(self, allowance: Allowance, job: Job) -> Prepared:
        contract = self.contract
        request, slice_ = receive(job.row, job.headers, contract, self._settings, allowance)
        pixels = to_input(slice_.pixels, contract.size, contract.geometry, contract.window.air, slice_.aspect)
        body = outline(pixels)
        return Prepared(request, slice_, pixels, body, (*slice_.warnings, *self._check(request, slice_, pixels, body)))

    def _check(
        self, request: ScoreRequest, slice_: Slice, pixels: npt.NDArray[np.uint8], body: Body | None
    ) -> tuple[str, ...]:
        if self._folder.gate is None:
            return (gate.NO_GATE,)
        if request.gate == "off":
            return (gate.GATE_OFF,)
        gate.check_colour(slice_.coloured)
        return (
            *gate.check_body(body),
            *gate.check_resolution(slice_.coarse),
            *gate.check_scan(*slice_.acquisition, self.contract.judged),
            *gate.check_sharpness(pixels, body, self._folder.gate),
        )

    def _forward(self, arrivals: Arrivals, jobs: Sequence[Job]) -> list[Scored | LungCTError]:
        inputs = iter(arrivals)
        try:
            if (first := next(inputs, None)) is None:
                return [item for item in arrivals.items if isinstance(item, LungCTError)]
            found = self._engine.predict(chain([first], inputs))
        except Exception as fault:
            error = _report(fault, ", ".join(str(job.origin) for job in jobs))
            arrivals.finish()
            self.broken = not self._works()
            return [item if isinstance(item, LungCTError) else error for item in arrivals.items]
        rows = iter(zip(found.logits, found.maps, found.features, strict=True))
        return [item if isinstance(item, LungCTError) else Scored(item, *next(rows)) for item in arrivals.items]

    @staticmethod
    def _refuse(error: LungCTError, job: Job) -> Reply:
        return exchange.refuse(error, job.origin.request_id, aloud=oip.is_meant(job.row, job.headers))

    def _works(self) -> bool:
        """Whether the engine outlived a fault. One on a GPU whose context broke would fail every batch to come."""
        try:
            prove(self._engine, self._folder, TOLERANCES[self._engine.kind])
        except Exception as fault:
            logger.error("Engine %s is broken: %s. This process must end.", self._engine.name, type(fault).__name__)
            return False
        return True

    def _answer(self, scored: Scored) -> Reply:
        request = scored.prepared.request
        alike = (
            self._folder.gate is None
            or request.gate == "off"
            or gate.check_features(scored.features, self._folder.gate, scored.prepared.warnings)
        )
        warnings = scored.prepared.warnings if alike else (*scored.prepared.warnings, gate.UNLIKE)
        probabilities = softmax(scored.logits, self.contract.temperature)
        trusted = gate.is_trusted(warnings, self.contract.classes[int(probabilities.argmax())])
        document = exchange.build_score(
            probabilities, scored.prepared.slice, warnings, trusted, self.contract, self._engine.name
        )
        # What the network saw, so that copies are known whatever file they came in; 50 kB: 0.04 ms.
        document["input"]["pixels_sha256"] = hashlib.sha256(scored.prepared.input.tobytes()).hexdigest()
        label, confidence, format_ = document["label"], document["confidence"], document["input"]["format"]
        head = exchange.head(document)
        outcome = "canary" if request.canary == "yes" else document["decision"]
        wanted = request.heatmap == "always" or (request.heatmap == "abnormal" and label != "Normal")
        if wanted:
            name = request.heatmap_class or label
            activation = self._explain(scored, name)
            picture = None if request.heatmap_format == "grid" else self._draw(scored.prepared, activation)
            content_type = heatmap.CONTENT_TYPES.get(request.heatmap_format)
            if request.accept == content_type and picture is not None:
                return Reply(200, content_type, picture, outcome, label, confidence, head, format_)
            document["heatmap"] = exchange.build_heatmap(
                exchange.Heatmap(request.heatmap_method, name, activation, picture, content_type),
                scored.evidence,
                scored.logits,
                self._folder.bias,
                scored.prepared.body,
                self.contract,
            )
        if request.protocol == "oip":
            answer = oip.reply(document, self.contract.classes, request.inference_id, request.outputs)
        else:
            answer = document
        body = exchange.encode_json(answer)
        return Reply(200, exchange.JSON, body, outcome, label, confidence, head, format_)

    def _explain(self, scored: Scored, name: str) -> ActivationMap:
        index = self.contract.classes.index(name)
        if scored.prepared.request.heatmap_method == "gradcam":
            return activate(scored.evidence[index])
        return self._library_cam.explain(scored.prepared.input, index, scored.prepared.request.heatmap_method)

    @cached_property
    def _library_cam(self) -> LibraryCam:
        return LibraryCam(self._folder.network)

    def _draw(self, prepared: Prepared, activation: ActivationMap) -> bytes:
        request, pixels = prepared.request, prepared.slice.pixels
        rows, columns = pixels.shape
        placement = place(rows, columns, self.contract.geometry, prepared.slice.aspect)
        if request.heatmap_size == "model":
            pixels = prepared.input[0]
            placement = Placement(0, 0, *pixels.shape, *pixels.shape)
        heat = heatmap.spread(activation.map, placement)
        return heatmap.encode(heatmap.overlay(pixels, heat, request.heatmap_colormap), request.heatmap_format)


def _report(fault: Exception, origin: str) -> LungCTError:
    """Log a fault once, by type and place only: its message could quote a patient's data."""
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)]
    logger.error("Request %s failed: %s in %s", origin, type(fault).__name__, " > ".join(places))
    return LungCTError("internal", "The server failed on this request; report the request id to its operator.")
