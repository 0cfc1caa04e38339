"""One worker process of the front without TorchServe, and another in its place when it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lungct.settings import list_given_folders
from lungct_tools.server.counters import Counters
from lungct_tools.server.processes import read_resident
from lungct_tools.server.startup import AGAIN

logger = logging.getLogger(__name__)
PAUSES_S = (0, 1, 1, 2, 3, 5, 8, 13, 21, 30)  # before another try; the last one from then on
END_S = 5  # for a worker whose socket was closed
LENGTHS = struct.Struct(">II")  # of lungct.pixels.wire, which speaks at the other end


class LostError(Exception):
    """A worker ended, or did not answer in time, with requests in its hands."""


@dataclass(frozen=True)
class Plan:
    """How workers are started.

    Attributes:
        folder: of the unpacked archive, whose code they run.
        config: model-config.yaml.
        hidden: pattern of names of environment variables that they do not get.
        gpus: how many they share; 0: they compute on the CPU.
        version: of the model.
    """

    folder: Path
    config: Mapping[str, Any]
    hidden: str
    gpus: int
    version: str

    def surround(self) -> dict[str, str]:
        """A worker's environment: the core that it imports is the archive's."""
        kept = {name: value for name, value in os.environ.items() if not re.fullmatch(self.hidden, name)}
        return {**kept, "PYTHONPATH": os.pathsep.join([str(self.folder), *list_given_folders()])}


@dataclass
class Request:
    """One request that waits, or is with a worker."""

    head: Mapping[str, Any]
    body: bytes
    answer: asyncio.Future[tuple[dict[str, Any], bytes]] = field(default_factory=asyncio.Future)
    asked: float = field(default_factory=time.monotonic)

    def fail(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(LostError())


class Seat:
    """Keeps one worker until it is told to leave."""

    def __init__(
        self, number: int, gpu: int | None, plan: Plan, queue: asyncio.Queue[Request], counters: Counters
    ) -> None:
        self.contract: dict[str, Any] | None = None
        self._number, self._gpu, self._plan, self._queue, self._counters = number, gpu, plan, queue, counters
        self._pid, self._began, self._status = 0, datetime.now(UTC), "LOADING"
        self._failing: float | None = None
        self._leaving, self._idle = False, True  # idle: with no request in its hands
        self._task = asyncio.create_task(self._keep())

    @property
    def done(self) -> bool:
        return self._task.done()

    def failing_s(self) -> float:
        """For how long no worker could be started here."""
        return time.monotonic() - self._failing if self._failing else 0

    def describe(self) -> dict[str, Any]:
        """In TorchServe's words; memory is that of now."""
        held = 0
        with suppress(OSError):
            held = read_resident(Path(f"/proc/{self._pid}")) if self._pid else 0
        return {
            "id": str(self._number),
            "startTime": self._began.isoformat(timespec="milliseconds"),
            "status": self._status,
            "memoryUsage": held,
            "pid": self._pid,
            "gpu": self._gpu is not None,
            "gpuUsage": "N/A",
        }

    def leave(self) -> None:
        """End the worker, once it has answered what it has."""
        self._leaving = True
        if self._idle:
            self._task.cancel()

    async def gone(self) -> None:
        """Wait until it has left."""
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        tries = 0
        while not self._leaving:
            try:
                served = await self._employ()
            except OSError as fault:  # no room for another process
                logger.error("Worker %d cannot be started: %s.", self._number, fault.strerror)
                served = False
            tries = 0 if served else tries + 1
            self._failing = None if served else self._failing or time.monotonic()
            if tries > 1:
                logger.error("%s: worker %d, try %d.", AGAIN, self._number, tries)
            await asyncio.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])

    async def _employ(self) -> bool:
        """Have one worker until it ends; whether it was ever ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "lungct.serving.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=self._plan.surround(),
            )
        self._pid, self._began, self._status = process.pid, datetime.now(UTC), "LOADING"
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=2**22)
        ended = asyncio.create_task(process.wait())
        work = asyncio.create_task(self._work(reader, writer))
        try:
            await asyncio.wait((ended, work), return_when=asyncio.FIRST_COMPLETED)
            if not self._leaving:
                logger.error("Worker %d, process %d, ended.", self._number, process.pid)
        finally:
            served, self._status = self._status == "READY", "UNLOADING"
            work.cancel()
            writer.close()
            await asyncio.wait((ended, work), timeout=END_S if self._leaving and served else 0)
            if process.returncode is None:
                process.kill()
                await ended
            self._pid = 0
        return served

    async def _work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = self._plan.config
        asked = {"folder": str(self._plan.folder), "config": config, "gpu": self._gpu}
        try:
            async with asyncio.timeout(config["startupTimeout"]):
                await send(writer, {**asked, "batch_size": config["batchSize"]}, [])
                head, _ = await receive(reader)
            self.contract, self._status = json.loads(head["contract"]), "READY"
            while not self._leaving:
                batch = [await self._queue.get()]
                self._idle = False
                try:
                    await self._score(batch, reader, writer)
                finally:
                    self._idle = True
                    for request in batch:
                        request.fail()  # those that have no answer
        except Exception as fault:  # noqa: BLE001 -- a late, ended or confused worker: in all cases another one
            logger.error("Worker %d does not answer: %s.", self._number, type(fault).__name__)

    async def _score(self, batch: list[Request], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Fill the batch, and have it answered."""
        await self._fill(batch)
        for request in batch:
            self._counters.add("ts_queue_latency_microseconds", by=(time.monotonic() - request.asked) * 1e6)
        async with asyncio.timeout(self._plan.config["responseTimeout"]):
            await send(writer, {"jobs": [each.head for each in batch]}, [each.body for each in batch])
            head, blob = await receive(reader)
        start = 0
        for request, reply in zip(batch, head["replies"], strict=True):
            if not request.answer.done():
                request.answer.set_result((reply, blob[start : start + reply["length"]]))
            start += reply["length"]
        for name, *values, value in head["series"]:
            self._counters.add(name, *values, by=value)

    async def _fill(self, batch: list[Request]) -> None:
        """Add what waits, and what comes within maxBatchDelay, up to batchSize."""
        ends = time.monotonic() + self._plan.config["maxBatchDelay"] / 1000
        while len(batch) < self._plan.config["batchSize"]:
            left = ends - time.monotonic()
            if self._queue.empty() and left <= 0:
                return
            try:
                async with asyncio.timeout(max(0, left)):
                    batch.append(self._queue.get_nowait() if not self._queue.empty() else await self._queue.get())
            except TimeoutError:
                return


async def send(writer: asyncio.StreamWriter, head: Mapping[str, Any], blobs: list[bytes]) -> None:
    """One message, as `lungct.pixels.wire.receive` reads it."""
    text = json.dumps(head).encode("ascii")
    writer.write(LENGTHS.pack(len(text), sum(map(len, blobs))) + text)
    for blob in blobs:
        writer.write(blob)
        await writer.drain()


async def receive(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """One message, as `lungct.pixels.wire.send` writes it; IncompleteReadError or ConnectionError at the end."""
    text_length, blob_length = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
    return json.loads(await reader.readexactly(text_length)), await reader.readexactly(blob_length)
