"""Copies of requests for the model of a shadow: what is copied, and that callers get the old answer in any case."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest
import requests

from lungct_tools.proxy.comparer import ROOM
from lungct_tools.server.instance import Instance
from tests.nginx.callers import KEY, KEYS, LARGE
from tests.support.calls import wait_until
from tests.support.gateways import read_counts, run_nginx, skip_without_nginx
from tests.support.scoring import scoring

pytestmark = pytest.mark.ops


@pytest.fixture
def first():
    with scoring() as server:
        yield server


@pytest.fixture
def second():
    with scoring(label="Malignant") as server:
        yield server


@pytest.fixture
def shadowed(first, second, tmp_path):
    skip_without_nginx()
    candidate = Instance(tmp_path / "deputy" / "run", (second.server_port, 9, 9, 9, 9))
    candidate.run.mkdir(parents=True)
    candidate.keys.write_text('{"inference": {"key": "of the candidate"}}')
    (tmp_path / "gateway").mkdir()
    with run_nginx(
        tmp_path / "gateway", first.server_port, KEYS, candidate=candidate, percent=100, shadow=True
    ) as running:
        yield running


@pytest.fixture
def send(shadowed):
    with requests.Session() as session:

        def post(path="/predictions/lung_ct", headers=(), **more):
            headers = {"Authorization": f"Bearer {KEY}", **dict(headers)}
            data = more or {"data": b"slice"}
            trusted = {"verify": str(shadowed.certificate), "timeout": 20}
            return session.post(f"https://{shadowed.listen}{path}", headers=headers, **trusted, **data)

        yield post


@pytest.fixture
def count(shadowed):
    return lambda: read_counts(shadowed.folder.parent)["shadow"]["copies"]


def test_the_second_server_gets_copies_and_callers_the_answer_of_the_first(shadowed, send, first, second, count):
    named = {"X-Request-Id": "a-name-of-the-callers-own", "X-Heatmap": "always", "X-Window": "40,400"}
    answer = send(headers=named)
    assert answer.status_code == 200
    assert not {"X-Answered-By", "X-Score"} & set(answer.headers), "what is for us alone"
    wait_until(lambda: count()["compared"] == 1, 60, "it is compared")
    ((path, headers, body),) = second.seen
    assert (path, body, headers["X-Window"]) == ("/predictions/lung_ct", b"slice", "40,400")
    assert headers["Authorization"] == "Bearer of the candidate"
    assert not {"X-Request-Id", "X-Heatmap", "traceparent", "X-Copy"} & set(headers)
    assert len(first.seen) == 1, "nobody asks it again"
    assert read_counts(shadowed.folder.parent)["shadow"]["labels"] == [["Benign", "Malignant", 1]]


def test_large_files_forms_and_refused_requests_are_not_copied(send, first, second, count):
    assert send(data=LARGE).status_code == 200
    assert send(files={"data": b"slice"}).status_code == 200
    assert send(headers={"Authorization": "Bearer nobody's"}).status_code == 403
    assert send(data=LARGE[1:]).status_code == 200
    wait_until(lambda: count()["compared"] == 1, 60, "the one under 1 MB is compared")
    assert [len(body) for _, _, body in second.seen] == [len(LARGE) - 1]


def test_a_request_that_the_first_server_refuses_is_refused_and_not_compared(send, first, second, count):
    first.status = 503
    answer = send()
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    wait_until(lambda: count()["unscored"] == 1, 60, "its copy is given up")
    assert not second.seen


def test_while_the_second_server_hangs_callers_are_answered_and_copies_dropped(send, second, count):
    second.release.clear()
    assert {send().status_code for _ in range(ROOM + 4)} == {200}
    wait_until(lambda: count()["dropped"] == 4, 60, "no more than it holds")
    second.release.set()
    wait_until(lambda: count()["compared"] == ROOM, 60, "those that it held")


@contextmanager
def listening(address, answer):
    """In the place of the comparer one that gives each copy this answer; None: none at all, and the caller waits."""
    address.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        held = []

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    with suppress(OSError):  # nginx has waited long enough
                        connection.sendall(answer)
                    connection.close()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield held
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 500 No\r\n\r\n", b"nonsense", None])
def test_callers_get_the_old_answer_from_a_gateway_whose_comparer_fails(shadowed, send, first, second, answer):
    with listening(shadowed.socket, answer) as held:
        answers = [send() for _ in range(3)]
        first.status = 503
        assert send().json()["error"] == "unavailable", "the words are of the request, not of its copy"
        wait_until(lambda: len(held) == 4, 60, "every copy has come")
    assert [each.status_code for each in answers] == [200] * 3
    assert min(each.elapsed.total_seconds() for each in answers) < 1, "nobody waits for the copy"
    assert (len(held), second.seen) == (4, [])


def test_callers_get_the_old_answer_where_nobody_takes_copies(shadowed, send, first):
    shadowed.socket.unlink()
    assert {send().status_code for _ in range(5)} == {200}
    first.status = 503
    assert send().json()["error"] == "unavailable"


def test_nobody_can_send_a_copy(send, second, count):
    for path in ("/copy", "/copy/predictions/lung_ct"):
        assert send(path).status_code == 403
    assert sum(count().values()) == 0
