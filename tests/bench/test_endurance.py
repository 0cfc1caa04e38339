"""What the benchmark says of a worker's memory."""

import pytest

from lungct_tools.bench.endurance import measure_memory

pytestmark = pytest.mark.server


def test_the_memory_is_that_of_the_worker_and_its_children_without_torch(server):
    assert 150 < measure_memory(server) < 700
