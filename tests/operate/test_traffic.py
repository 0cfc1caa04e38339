"""What the fault suite counts, and the table it writes."""

from collections import Counter

import pytest

from lungct_client import Client, RefusedError, ServerBusy, ServerDown, ServerError
from lungct_tools.server.instance import Instance
from tests.faults.readiness import Readiness
from tests.faults.table import HEAD, RULE, count, format_row, write_table
from tests.support.calls import wait_until
from tests.support.ports import closed_port
from tests.support.traffic import ANSWERED, Call, Traffic, attempt


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


def test_recovery_ends_with_the_first_yes_after_the_last_no():
    readiness = Readiness(None)
    readiness.checks = [(1, True), (2, False), (3, True), (4, False), (5, True), (6, True)]
    assert readiness.count_recovery(1.5) == 3.5
    assert readiness.count_recovery(4.5) is None
    readiness.checks = readiness.checks[:4]
    assert readiness.count_recovery(0) == float("inf")


def test_a_server_that_is_down_is_not_ready():
    def ask():
        raise ServerDown("No server at x.")

    with Readiness(ask) as readiness:
        wait_until(lambda: readiness.checks, 60, "asked")
    assert readiness.count_recovery(0) == float("inf")


def test_callers_of_a_server_that_is_not_there_count_every_loss(tmp_path):
    with closed_port() as port:
        nowhere = Client(Instance(tmp_path, (port,) * 5), deadline_s=0)
        with Traffic(nowhere, [b"x"], 2, pause_s=0.01) as traffic:
            wait_until(lambda: len(traffic.calls) >= 5, 60, "five calls")
    assert (traffic.answered, set(traffic.failures())) == (0, {"no connection"})


def test_the_table_keeps_rows_that_were_not_measured_again(tmp_path):
    file = tmp_path / "README.md"
    before = "| old | nothing | 0 | 1.0 s | - |\n| both | nothing | 9 | 9.0 s | - |\n"
    file.write_text(f"before\n\n{HEAD}\n{RULE}\n{before}\nafter\n")
    rows = [format_row("both", count(Counter({"503": 3})), 0, 2.04, 3), format_row("new", count(Counter()))]
    write_table(file, rows)
    assert file.read_text() == (
        f"before\n\n{HEAD}\n{RULE}\n| old | nothing | 0 | 1.0 s | - |\n| both | 3 x 503 | 0 | 2.0 s | 3.0 s |\n"
        "| new | nothing | - | - | - |\n\nafter\n"
    )
