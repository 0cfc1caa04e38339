"""Copies of requests, and what two models say of them: how many are held, what is counted, and that nothing stays."""

import gc
import json
import socket

import pytest

from lungct_tools.proxy import comparer as comparers
from lungct_tools.proxy.comparer import ROOM, Comparer, Copy
from lungct_tools.server.deputy import Route
from lungct_tools.server.instance import Instance
from tests.support.calls import wait_until
from tests.support.scoring import SCORE, scoring


@pytest.fixture
def second():
    """The new model's server, which is surer than the old one."""
    with scoring(label="Malignant", confidence=0.8125) as server:
        yield server


@pytest.fixture
def route(tmp_path, second):
    candidate = Instance(tmp_path, (second.server_port, 9, 9, 9, 9))
    candidate.keys.write_text('{"inference": {"key": "of the candidate"}}')
    return Route(Instance(tmp_path / "first"), candidate, 50, shadow=True)


@pytest.fixture
def comparer(tmp_path, route):
    made = Comparer(tmp_path / "scores.sock")
    made.turn_to(route)
    made.start()
    return made


@pytest.fixture
def tell(tmp_path, comparer):
    """Say as nginx does what the caller of a key got."""

    def say(key, text=json.dumps(SCORE)):  # noqa: B008 -- a constant
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.sendto(f"<190>Nov 30 10:00:00 nginx: {key} {text}".encode(), str(tmp_path / "scores.sock"))

    return say


def bring(key="a"):
    return Copy("/predictions/lung_ct", {"X-Gate": "off"}, b"slice " + key.encode())


def await_counts(comparer, **wanted):
    def count():
        return {name: number for name, number in comparer.describe()["copies"].items() if number}

    wait_until(lambda: count() == wanted, 60, f"{wanted}, not {count()}")


def test_a_copy_is_compared_once_its_caller_has_an_answer(comparer, tell, second):
    assert comparer.take("a", bring)
    assert not second.seen
    tell("a")
    await_counts(comparer, compared=1)
    ((path, headers, body),) = second.seen
    assert (path, headers["X-Gate"], body) == ("/predictions/lung_ct", "off", b"slice a")
    assert headers["Authorization"] == "Bearer of the candidate"
    told = comparer.describe()
    assert told["share"] == 0.5
    assert told["labels"] == [["Benign", "Malignant", 1]]
    assert told["decisions"] == [["refer", "refer", 1]]
    assert told["difference"] == 0.0625


def test_it_holds_few_copies_drops_the_others_unread_and_has_room_again(comparer, tell, second):
    second.release.clear()
    keys = [f"number{number}" for number in range(ROOM)]
    for key in keys:
        assert comparer.take(key, bring)
        tell(key)
    wait_until(lambda: second.seen, 60, "the first is asked for")
    assert not comparer.take("more", lambda: pytest.fail("it was read"))
    await_counts(comparer, dropped=1)
    assert len(second.seen) == 1, "one at a time"
    second.release.set()
    await_counts(comparer, dropped=1, compared=ROOM)
    assert comparer.take("more", bring)


def is_left():
    return any(type(each) is Copy and each.body == b"slice of a patient" for each in gc.get_objects())


def test_nothing_of_a_request_is_kept(comparer, tell):
    comparer.take("a", lambda: bring("of a patient"))
    assert is_left()
    tell("a")
    await_counts(comparer, compared=1)
    wait_until(lambda: not is_left(), 60, "no copy is left")


def test_where_a_shadow_ends_nothing_waits_any_more(comparer, route):
    for number in range(ROOM):
        comparer.take(f"number{number}", lambda: bring("of a patient"))
    comparer.turn_to(Route(route.server))
    assert not is_left()
    comparer.turn_to(route)
    assert comparer.take("more", bring), "its room is free"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"label": 1, "confidence": 0.5, "decision": "refer"}'])
def test_what_the_old_model_did_not_score_the_new_one_is_not_asked_for(comparer, tell, second, text):
    comparer.take("a", bring)
    tell("a", text)
    tell("unknown")
    await_counts(comparer, unscored=1)
    assert not second.seen


def test_what_the_new_model_does_not_answer_counts_as_failed(comparer, tell, second):
    second.status = 500
    comparer.take("a", bring)
    tell("a")
    await_counts(comparer, failed=1)
    assert comparer.describe()["labels"] == []


def test_a_copy_that_does_not_arrive_whole_gives_its_room_back(comparer):
    for _ in range(ROOM + 1):
        assert comparer.take("a", lambda: None)
    with pytest.raises(ConnectionError):
        comparer.take("b", lambda: exec("raise ConnectionError"))  # noqa: S102 -- an expression that raises
    await_counts(comparer, unscored=ROOM + 2)


def test_where_word_of_the_answer_is_lost_others_get_the_room(comparer, monkeypatch):
    for number in range(ROOM):
        comparer.take(f"number{number}", bring)
    monkeypatch.setattr(comparers, "PATIENCE_S", 0)
    assert comparer.take("more", bring)
    await_counts(comparer, dropped=ROOM)


def test_without_a_shadow_nothing_is_taken_and_the_next_one_counts_from_zero(comparer, tell, route):
    comparer.take("a", bring)
    tell("a")
    await_counts(comparer, compared=1)
    comparer.turn_to(Route(route.server))
    assert not comparer.take("b", lambda: pytest.fail("it was read"))
    assert comparer.describe()["share"] == 0
    await_counts(comparer, compared=1)
    comparer.turn_to(route)
    await_counts(comparer)
