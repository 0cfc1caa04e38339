"""model-config.yaml, held against what TorchServe and the handler take: TorchServe ignores what it cannot read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import yaml

from lungct.settings import ENGINES, Settings, count_cores
from lungct_tools.server.seal import ArchiveError

FILE = "model-config.yaml"
# Setting -> the least number that it may have. 0 ms of batch delay would silently become 100.
NUMBERS = {
    "minWorkers": 1,
    "maxWorkers": 1,
    "batchSize": 1,
    "maxBatchDelay": 1,
    "responseTimeout": 1,
    "startupTimeout": 1,
    "maxRetryTimeoutInSec": 1,
    "clientTimeoutInMills": 0,
    "jobQueueSize": 1,
}
LARGEST = 2**31 - 1  # Java's int
NEEDED = ("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout", "jobQueueSize")
MOST_A_CORE = 4  # workers
OTHERS = ("deviceType", "deviceIds", "handler")


def check_settings(text: str | bytes) -> dict[str, Any]:
    """The settings as a mapping.

    Raises:
        ValueError: no YAML, an unknown or a missing setting, or a value that it cannot have; says which.
    """
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{FILE} is no YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(read, dict):
        raise ValueError(f"{FILE} must be a mapping of settings.")
    if missing := [name for name in NEEDED if name not in read]:
        raise ValueError(f"{FILE} lacks {missing[0]}; TorchServe's own default would count.")
    for name, given in read.items():
        if name not in NUMBERS and name not in OTHERS:
            raise ValueError(f"{FILE}: unknown setting {name!r}; known are {sorted([*NUMBERS, *OTHERS])}.")
        if name in NUMBERS and (type(given) is not int or not NUMBERS[name] <= given <= LARGEST):
            raise ValueError(f"{FILE}: {name} must be a whole number of {NUMBERS[name]} to {LARGEST}, not {given!r}.")
    if read["maxWorkers"] < read["minWorkers"]:
        raise ValueError(f"{FILE}: maxWorkers must be minWorkers or more.")
    if read.get("deviceType", "cpu") not in ("cpu", "gpu"):
        raise ValueError(f"{FILE}: deviceType must be cpu or gpu, not {read['deviceType']!r}.")
    section = read.get("handler") or {}
    if not isinstance(section, dict):
        raise ValueError(f"{FILE}: handler must be a mapping of settings.")
    check_engine(Settings.read(section).engine)
    return read


def check_engine(name: str) -> None:
    """ValueError for an engine that there is not."""
    if name not in ENGINES:
        raise ValueError(f"{FILE}: there is no engine {name!r}; there are {sorted(ENGINES)}.")


def count_most() -> int:
    """The most workers that this machine is asked to hold."""
    return MOST_A_CORE * count_cores()


def read_settings(archive: Path) -> dict[str, Any]:
    """The settings in an archive; ArchiveError when there are none that could be served with."""
    try:
        with zipfile.ZipFile(archive) as packed:
            return check_settings(packed.read(FILE))
    except KeyError:
        raise ArchiveError(f"{archive} holds no {FILE}; build it with `make archive`.") from None
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ArchiveError(f"{archive}: {error}") from None
