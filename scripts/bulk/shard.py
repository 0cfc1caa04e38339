"""Which share of the work a process does: as it was told, or by its place in a Kubernetes Job or a Slurm array."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

COUNT = "LUNG_CT_SHARDS"


class ShardError(Exception):
    """A share is named wrongly; the message says what to do."""


class Shard(NamedTuple):
    """Share `index` of `count`, from 0."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read I/N; ShardError unless 0 <= I < N."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text, re.ASCII)
        if not found or not int(found[1]) < int(found[2]):
            raise ShardError(f"{text!r} is no shard; give I/N with I from 0 to N-1, such as 0/4.")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Shard:
        """The share that a Kubernetes Indexed Job or a Slurm array gave this process; the whole where there is none.

        Kubernetes tells no container how many indices its Job has, and Slurm tells a task that is run again alone that
        it is the only one: $LUNG_CT_SHARDS says how many shares there are, and a Job must have it.

        Raises:
            ShardError: the number of shares is not known, or a Slurm array does not begin at 0.
        """
        count = environment.get(COUNT)
        if index := environment.get("JOB_COMPLETION_INDEX"):
            if not count:
                raise ShardError(f"Set {COUNT} to the number of completions of the Job, or give --shard I/N.")
        elif index := environment.get("SLURM_ARRAY_TASK_ID"):
            if not count and environment.get("SLURM_ARRAY_TASK_MIN", "0") != "0":
                raise ShardError(f"Number the array from 0, set {COUNT}, or give --shard I/N.")
            count = count or environment.get("SLURM_ARRAY_TASK_COUNT", "")
        else:
            return cls(0, 1)
        return cls.parse(f"{index}/{count}")
