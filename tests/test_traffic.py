"""What the fault suite counts, and the table it writes."""

from collections import Counter

import pytest

from scripts.client import Client, RefusedError, ServerBusy, ServerDown, ServerError
from scripts.instance import Instance, find_ports
from tests.calls import wait_until
from tests.faults.table import HEAD, RULE, count, format_row, write_table
from tests.traffic import ANSWERED, Call, Traffic, attempt, count_rate


class Failing:
    """Raises in place of a server; the real one is in tests/faults."""

    def __init__(self, error):
        self.error = error

    def predict(self, _):
        raise self.error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ServerBusy("503: The server is busy.", 2), "503"),
        (ServerDown("No server at x."), "no connection"),
        (RefusedError(403, "not_allowed", "The key is unknown.", None), "403 not_allowed"),
        (ServerError("500: Worker died."), "500: Worker died."),
    ],
)
def test_every_failure_has_a_short_name(error, outcome):
    assert attempt(Failing(error), b"").outcome == outcome


def test_the_longest_gap_is_between_answers_and_starts_with_the_fault():
    traffic = Traffic(None, [b""], 0)
    traffic.calls = [Call(0, at, outcome) for at, outcome in ((1, ANSWERED), (4, ANSWERED), (5, "503"), (9, ANSWERED))]
    assert traffic.longest_gap(0) == 5
    assert traffic.longest_gap(3.5) == 5
    assert traffic.longest_gap(10) == float("inf")


def test_a_rate_counts_whole_batches():
    every_two_seconds = [Call(0, at, ANSWERED) for at in (1, 3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7)]
    assert count_rate(every_two_seconds, 3.5, 6.5) == 2
    assert count_rate([*every_two_seconds, Call(0, 4, "503")], 2.9, 7) == 2
    assert count_rate(every_two_seconds, 8, 9) == 0


def test_callers_of_a_server_that_is_not_there_count_every_loss(tmp_path):
    nowhere = Client(Instance(tmp_path, tuple(find_ports(5))), deadline_s=0)
    with Traffic(nowhere, [b"x"], 2, pause_s=0.01) as traffic:
        wait_until(lambda: len(traffic.calls) >= 5, 30, "five calls")
    assert (traffic.answered, set(traffic.failures())) == (0, {"no connection"})


def test_the_table_keeps_rows_that_were_not_measured_again(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(
        f"before\n\n{HEAD}\n{RULE}\n| old | nothing | 0 | 1.0 s |\n| both | nothing | 9 | 9.0 s |\n\nafter\n"
    )
    write_table(file, [format_row("both", count(Counter({"503": 3})), 0, 2.04), format_row("new", count(Counter()))])
    assert file.read_text() == (
        f"before\n\n{HEAD}\n{RULE}\n| old | nothing | 0 | 1.0 s |\n| both | 3 x 503 | 0 | 2.0 s |\n"
        "| new | nothing | - | - |\n\nafter\n"
    )
