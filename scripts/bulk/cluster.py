"""Shards as plain tasks of a Ray cluster: of one that runs, or of one on this machine for as long as this takes.

Ray runs what anyone sends to its ports. So one that is started here listens on 127.0.0.1 alone, takes nothing from who
does not know its token, and keeps its files in a folder that nobody else may enter.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from lungct_client import ServerError
from lungct_tools.bulk.faults import UnavailableError
from lungct_tools.bulk.shard import Shard, ShardError
from lungct_tools.bulk.work import Work
from lungct_tools.packages.lacking import explain_lacking

RETRIES = 3  # of a shard whose node or process was lost, or that another node may do better
STORE = 80 << 20  # bytes for what tasks hand on, about the least that Ray takes; ours hand on a number
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
LOOPBACK = "127.0.0.1"
# Ray turns LOOPBACK into the address by which others reach this machine, unless it believes that nobody may.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
ANSWERS_S = 5.0  # Ray itself would try for two minutes


class ClusterError(Exception):
    """The cluster cannot do this work; the message says what to do."""


@contextmanager
def joining(address: str | None) -> Iterator[Any]:
    """The package ray, connected to a cluster; to one of its own on this machine where no address is given.

    Raises:
        ClusterError: Ray is not installed, or nothing answers at the address.
    """
    if not find_spec("ray"):
        raise ClusterError(explain_lacking("ray") or "The package ray is not installed.")
    os.environ.update(QUIET)
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with tempfile.TemporaryDirectory(prefix="lung-ct-") as private:  # Ray opens its own folder to all
        if address:
            os.environ.update(ALONE if _find(address) == LOOPBACK else {})
        else:
            os.environ.update(ALONE, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
            own = {"_node_ip_address": LOOPBACK, "_temp_dir": f"{private}/ray", "object_store_memory": STORE}
            common |= {"address": "local", "include_dashboard": False, **own}
        import ray  # reads the environment

        try:
            ray.init(**({"address": address} if address else {}), **common)
        except Exception as error:  # noqa: BLE001 -- of any kind, Exception itself among them
            where = f"at {address}" if address else "on this machine"
            told = str(error).strip().partition("\n")[0]
            raise ClusterError(f"There is no Ray {where}: {told}") from None
        try:
            yield ray
        finally:
            ray.shutdown()


def _find(address: str) -> str:
    """The number of an address' host; ClusterError where nothing listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), ANSWERS_S) as connection:
            return str(connection.getpeername()[0])
    except (OSError, ValueError, OverflowError):
        raise ClusterError(f"Nothing answers at {address}; name a cluster by HOST:PORT of its head.") from None


def score_shards(ray: Any, work: Work, shards: Sequence[Shard]) -> Iterator[tuple[Shard, int]]:
    """Have shards scored by the cluster; each with its number of files, as they are done.

    Raises:
        ShardError: no node has the cores, or the GPU, that a shard wants.
        ServerError: nodes or processes were lost time and again.
        Exception: whatever a shard raised.
    """
    wanted = {"CPU": work.threads} | ({"GPU": 1} if work.device != "cpu" else {})
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in nodes):
        raise ShardError(
            f"No node of the cluster has {wanted['CPU']} cores{' and a GPU' * (len(wanted) - 1)}; name less."
        )
    task = ray.remote(
        num_cpus=wanted["CPU"],
        num_gpus=wanted.get("GPU", 0),
        max_retries=RETRIES,
        retry_exceptions=[ServerError, UnavailableError],
    )(_score)
    pending = {task.remote(work, shard): shard for shard in shards}
    while pending:
        (done,), _ = ray.wait(list(pending), num_returns=1)
        shard = pending.pop(done)
        try:
            yield shard, ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            lost = f"Shard {shard.index} was lost {RETRIES + 1} times"
            raise ServerError(f"{lost} ({type(error).__name__}); run it again to go on.") from None


def _score(work: Work, shard: Shard) -> int:
    meter = work.score(shard, threading.Event())
    return meter.done if meter else 0


def locate(work: Work) -> Work:
    """The same work for whoever is in another folder: places from the root."""
    places = {name: place.resolve() for name in ("manifest", "out", "root", "model") if (place := getattr(work, name))}
    return Work(**{**vars(work), **places})
