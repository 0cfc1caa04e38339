"""Load on a server: a closed loop by wrk, an open loop by aiohttp.

wrk (C, Debian and Homebrew) leaves the cores, which the server needs as well, almost alone: a tenth of what aiohttp
takes for a request (the page of the result says how much). Its Lua hook counts inside a window, so that neither the
start nor the end of a run enters the rate. It has no open loop. wrk2, vegeta and k6 have one and come neither from
Debian nor from PyPI; locust comes from PyPI and only has a closed one. So the open loop is ours: thirty lines on
aiohttp that send on schedule and time from the schedule.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import requests

from lungct_tools.bench.estimate import Sample

WRK_MISSING = "wrk is missing; install it: apt-get install wrk, or brew install wrk."
SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_S = 30
SETTLE_S = 180  # each stretch of a window leaves its callers' requests in the queue of a server that is slow already
LEAD = 0.25  # of a schedule; answers are not counted in it, because at its start none can be there
WARM_S, TAIL_S = 0.7, 0.3  # before and after the window that counts; wrk takes whole seconds only


@dataclass(frozen=True)
class Target:
    """Where to send what: a port on loopback, a path, headers of every request, bodies in turn."""

    port: int
    path: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"

    def frame(self) -> list[bytes]:
        """The requests as HTTP/1.1 bytes."""

        def head(length: int) -> str:
            fields = {"Host": f"127.0.0.1:{self.port}", **self.headers, "Content-Length": length}
            return f"POST {self.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"

        return [head(len(body)).encode("ascii") + body for body in self.bodies]


def run_closed(target: Target | Sequence[Target], concurrency: int, seconds: float, pause_s: float = 0.0) -> Sample:
    """`concurrency` callers that each send the next request when their answer is there; several targets of one server
    in turn. They rest between two requests, `pause_s` on average and half of it at least, so that they don't march in
    step.

    A window of `seconds` that a slow server's batch outlasts says nothing: it is doubled until an answer is in it.
    """
    sample = _run_wrk(target, concurrency, seconds, pause_s)
    while not (sample.rate or sample.errors) and seconds < TIMEOUT_S:
        seconds *= 2
        sample = _run_wrk(target, concurrency, seconds, pause_s)
    return sample


def _run_wrk(target: Target | Sequence[Target], concurrency: int, seconds: float, pause_s: float) -> Sample:
    targets = [target] if isinstance(target, Target) else list(target)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, request in enumerate(request for each in targets for request in each.frame()):
            files.append(Path(folder) / f"{number}.http")
            files[-1].write_bytes(request)
        before = _children_s()
        duration = math.ceil(WARM_S + seconds + TAIL_S)
        done = subprocess.run(
            ["wrk", "--threads=1", f"--connections={concurrency}", f"--duration={duration}s"]
            + [f"--timeout={TIMEOUT_S}s", f"--script={SCRIPT}", targets[0].url]
            + ["--", str(WARM_S), str(seconds), str(1000 * pause_s), *map(str, files)],
            capture_output=True, text=True, check=True, timeout=duration + 2 * TIMEOUT_S,
        )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    latency = (found["p50"] / 1000, found["p95"] / 1000, found["p99"] / 1000)
    load_ms = 1000 * (_children_s() - before) / max(found["answered"], 1)
    rate = found["counted"] / found["seconds"] if found["counted"] else 0.0
    return Sample(rate, latency, found["failed"], found["answered"], load_ms)


def run_settled(target: Target, concurrency: int, seconds: float) -> Sample:
    """The same, and then wait until the server is done with what the callers left in its queue: others come next.

    The queue is first in, first out: one request that is answered says so.
    """
    sample = run_closed(target, concurrency, seconds)
    requests.post(target.url, data=target.bodies[0], headers=dict(target.headers), timeout=SETTLE_S)
    return sample


def _children_s() -> float:
    """CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def find_wrk() -> bool:
    """Whether wrk is on PATH."""
    return shutil.which("wrk") is not None


def run_open(target: Target, rate: float, seconds: float) -> Sample:
    """Requests at a fixed rate, whatever the answers do; latency counts from when each one was due.

    The rate is that of answers between LEAD and the end of the schedule: a server that keeps up answers as fast as it
    is asked, however long each answer takes. Over the time until the last one came it would answer more slowly.
    """
    return asyncio.run(_run_open(target, rate, seconds))


async def _run_open(target: Target, rate: float, seconds: float) -> Sample:
    clock = asyncio.get_running_loop().time
    latencies: list[float] = []
    answered: list[float] = []
    failures = 0
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def send(body: bytes, due: float) -> None:
            nonlocal failures
            try:
                async with session.post(target.url, data=body, headers=target.headers) as answer:
                    await answer.read()
                if answer.status == 200:
                    answered.append(clock())
                else:
                    failures += 1
            except (aiohttp.ClientError, TimeoutError):
                failures += 1
            latencies.append(1000 * (clock() - due))

        started, used = clock(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for number in range(round(rate * seconds)):
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - clock()))
                group.create_task(send(target.bodies[number % len(target.bodies)], due))
        p50, p95, p99 = (float(value) for value in np.percentile(latencies, (50, 95, 99)))
        opens, closes = started + LEAD * seconds, started + seconds
        reached = sum(opens <= at < closes for at in answered) / (closes - opens)
        load_ms = 1000 * (time.process_time() - used) / len(latencies)
        return Sample(reached, (p50, p95, p99), failures, len(latencies), load_ms)
