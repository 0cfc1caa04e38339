"""The worker of the front without TorchServe: `python -m lungct.serving.worker FD`, a socket to its front.

The front sends {"folder", "config", "gpu", "batch_size"} once and then batches; the worker answers {"contract"} when it
is ready and then each batch in turn. It ends with the front, whose end closes the socket, or when its engine is broken.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

from lungct import traces
from lungct.errors import LungCTError
from lungct.exchange import Reply, oip, read_origin, refuse
from lungct.pipeline import Batch, Job
from lungct.pixels import wire
from lungct.serving.loading import Loaded, load
from lungct.serving.rows import read_row
from lungct.serving.tally import count_series, list_calls

logger = logging.getLogger("lungct.serving.worker")  # it runs as __main__


def main() -> int:
    """Serve until the front closes the socket; 1 where the model does not load or its engine broke."""
    for number in (signal.SIGTERM, signal.SIGINT):  # they reach the whole group, and the front drains first
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format=os.environ["LUNG_CT_LOG_FORMAT"], level=logging.WARNING, stream=sys.stdout)
    logging.getLogger("lungct").setLevel(logging.INFO)
    with socket.socket(fileno=int(sys.argv[1])) as peer, suppress(EOFError, ConnectionError):
        try:
            sender = traces.open_sender(os.environ.get("LUNG_CT_TRACES", ""))  # first: a wrong one loads no model
            asked, _ = wire.receive(peer)
            loaded = load(Path(asked["folder"]), asked["config"], asked["gpu"], asked["batch_size"])
        except Exception as fault:  # noqa: BLE001 -- the front starts another; of its own model alone this tells
            logger.error("The model does not load: %s: %s", type(fault).__name__, fault)
            return 1
        logger.info("Ready: engine %s, %d threads.", loaded.engine, loaded.threads)
        wire.send(peer, {"contract": loaded.pipeline.describe()}, b"")
        while not loaded.pipeline.broken:
            head, blob = wire.receive(peer)
            wire.send(peer, *answer(loaded, head["jobs"], blob, sender))
        os._exit(1)  # Python's own end could wait for a broken GPU for ever
    return 0


def answer(
    loaded: Loaded, asked: Sequence[Mapping[str, Any]], blob: bytearray, sender: traces.Sender | None
) -> tuple[dict[str, Any], bytes]:
    """Head and blob of a batch's answer: replies in order with their lengths, and what the metrics count.

    Args:
        asked: of each request its headers with names in lower case, its id, and the length of its body in `blob`.
        sender: of traces, where a collector was named.
    """
    began, start = time(), 0
    places: list[Job | Reply] = []
    for each in asked:
        body = bytes(memoryview(blob)[start : start + each["length"]])
        start += each["length"]
        places.append(_prepare(body, each["headers"], each["id"]))
    jobs = [place for place in places if isinstance(place, Job)]
    scored = loaded.pipeline.score(jobs) if jobs else Batch([], {})
    if sender:
        sender.tell(list_calls(scored, jobs, began, loaded.engine))
    ready = iter(scored.replies)
    batch = Batch([place if isinstance(place, Reply) else next(ready) for place in places], scored.seconds)
    series = count_series(batch)
    if sender and (dropped := sender.take_dropped()):
        series["lung_ct_traces_dropped_total",] = dropped
    bodies = [reply.body.encode() if isinstance(reply.body, str) else reply.body for reply in batch.replies]
    heads = [
        {"status": reply.status, "headers": {"content-type": reply.content_type, **reply.headers}, "length": len(body)}
        for reply, body in zip(batch.replies, bodies, strict=True)
    ]
    return {"replies": heads, "series": [[*name, value] for name, value in series.items()]}, b"".join(bodies)


def _prepare(body: bytes, headers: Mapping[str, str], made: str) -> Job | Reply:
    """A request for the pipeline, or its refusal where its form cannot be read."""
    origin = read_origin(headers, made)
    try:
        return Job(*read_row(body, headers), origin)
    except LungCTError as error:
        return refuse(error, origin.request_id, aloud=oip.is_meant({"body": body}, headers))


if __name__ == "__main__":
    sys.exit(main())
