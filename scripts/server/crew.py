"""The workers of the front without TorchServe: one process each, which get their batches from one queue.

Whoever computes with what clients send is a child process, as under TorchServe: when it crashes, hangs or breaks its
engine, its batch gets an answer that may be asked for again, and another one starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lungct_tools.server.counters import Counters
from lungct_tools.server.seat import Plan, Request, Seat


class NoPlaceError(Exception):
    """No worker is there, or as many requests wait as may."""


class Answer(NamedTuple):
    """What a worker replied to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Crew:
    """Seats for workers, and the queue before them.

    Attributes:
        plan: how a worker is started, and what model-config.yaml says of batches and timeouts.
        wanted: workers that were asked for, at the least and at the most.
    """

    plan: Plan
    counters: Counters
    wanted: tuple[int, int]
    seats: list[Seat] = field(default_factory=list)
    _queue: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    _leaving: list[Seat] = field(default_factory=list)
    _made: int = 0

    async def ask(self, headers: Mapping[str, str], request_id: str, body: bytes) -> Answer:
        """The reply to one request.

        Raises:
            NoPlaceError: nobody takes it, or too many wait before it.
            LostError: the worker that had it is gone.
        """
        limit = self.plan.config["jobQueueSize"]
        if not self.seats or self._queue.qsize() >= limit:
            raise NoPlaceError
        request = Request({"headers": headers, "id": request_id, "length": len(body)}, body)
        self._queue.put_nowait(request)
        head, content = await request.answer
        self.counters.add("ts_inference_requests_total")
        self.counters.add("ts_inference_latency_microseconds", by=(time.monotonic() - request.asked) * 1e6)
        return Answer(head["status"], head["headers"], content)

    def scale(self, least: int, most: int) -> None:
        """Have `least` workers from now on; those that go answer first what they have."""
        self.wanted = least, most
        while len(self.seats) < least:
            number = 9000 + self._made  # as TorchServe counts them
            gpu = self._made % self.plan.gpus if self.plan.gpus else None
            self._made += 1
            self.seats.append(Seat(number, gpu, self.plan, self._queue, self.counters))
        while len(self.seats) > least:
            seat = self.seats.pop()
            seat.leave()
            self._leaving = [each for each in [*self._leaving, seat] if not each.done]
        while not self.seats and not self._queue.empty():
            self._queue.get_nowait().fail()

    async def close(self) -> None:
        """End all workers."""
        self.scale(0, 0)
        for seat in self._leaving:
            await seat.gone()

    @property
    def healthy(self) -> bool:
        """False once a worker could not be started for longer than maxRetryTimeoutInSec."""
        patience_s = self.plan.config.get("maxRetryTimeoutInSec", 300)
        return all(seat.failing_s() < patience_s for seat in self.seats)

    def describe(self, customized: bool) -> dict[str, Any]:
        """What TorchServe says of a model on its management API, as far as there is such a thing here."""
        config, limit = self.plan.config, self.plan.config["jobQueueSize"]
        kept = ("batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout")
        contract = next((seat.contract for seat in self.seats if seat.contract), None)
        return {
            "modelName": "lung_ct",
            "modelVersion": self.plan.version,
            "modelUrl": "lung_ct.mar",
            "runtime": "python",
            "minWorkers": self.wanted[0],
            "maxWorkers": self.wanted[1],
            **{name: config[name] for name in kept},
            "workers": [seat.describe() for seat in self.seats],
            "jobQueueStatus": {
                "remainingCapacity": max(0, limit - self._queue.qsize()),
                "pendingRequests": self._queue.qsize(),
            },
            **({"customizedMetadata": contract} if customized else {}),
        }
