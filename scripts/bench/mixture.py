"""The same mixed requests for every server whose memory is looked at after them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

import requests

from lungct_tools.bench.bodies import Bodies
from lungct_tools.bench.load import SETTLE_S
from lungct_tools.bench.rates import BUSY
from lungct_tools.bench.servers import OPTIONS, aim
from lungct_tools.server.instance import Instance

LARGE_EVERY = 100  # requests
Mixed = tuple[bytes, dict[str, str]]


def mix(bodies: Bodies) -> Iterator[Mixed]:
    """Files and header options without end: JPEG, PNG and DICOM in turn, each with every kind of map and without.

    Now and then a large picture, with a JPEG overlay: 1.4 answers 500 to several PNG overlays of such at once.
    """
    kinds = list(product(OPTIONS.values(), (bodies.jpegs, bodies.pngs, bodies.dicoms)))
    turn = 0
    while True:
        for options, files in kinds:
            turn += 1
            if turn % LARGE_EVERY == 0:
                yield bodies.large[turn // LARGE_EVERY % 2], OPTIONS["classes + JPEG overlay"]
            else:
                yield files[turn % len(files)], options


def send_mixed(instance: Instance, bodies: Bodies, count: int) -> int:
    """Send so many, BUSY at a time; how many were not answered with 200."""
    target = aim(instance, [], {})

    def send(mixed: Mixed) -> bool:
        body, options = mixed
        answer = requests.post(target.url, body, headers={**target.headers, **options}, timeout=SETTLE_S)
        return answer.status_code == 200

    with ThreadPoolExecutor(BUSY) as pool:
        return count - sum(pool.map(send, islice(mix(bodies), count)))
