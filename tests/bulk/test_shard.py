"""Which share a process does, by what its scheduler tells it."""

import pytest

from lungct_tools.bulk.shard import Shard, ShardError


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, (0, 1)),
        ({"JOB_COMPLETION_INDEX": "0", "LUNG_CT_SHARDS": "12"}, (0, 12)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "0"}, (3, 4)),
        # one task of an array that is run again, alone
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "3",
          "LUNG_CT_SHARDS": "4"}, (3, 4)),
    ],
)  # fmt: skip
def test_a_scheduler_tells_the_shard(environment, shard):
    assert Shard.find(environment) == shard


@pytest.mark.parametrize(
    "environment",
    [
        {"JOB_COMPLETION_INDEX": "0"},
        {"JOB_COMPLETION_INDEX": "4", "LUNG_CT_SHARDS": "4"},
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "3"},
        {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"},
        {"SLURM_ARRAY_TASK_ID": "1"},
    ],
)
def test_a_shard_that_is_not_told_whole_is_refused_and_never_guessed(environment):
    with pytest.raises(ShardError, match="I/N"):
        Shard.find(environment)


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "0/0", "1/x", "1/2/3", " 1/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ShardError):
        Shard.parse(text)
