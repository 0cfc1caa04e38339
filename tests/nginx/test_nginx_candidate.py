"""A share of the requests is for a candidate: which ones, who answers them, and that none is lost when it is gone."""

from collections import Counter

import pytest
import requests

from lungct_tools.server.instance import Instance
from tests.nginx.callers import KEY, KEYS
from tests.nginx.conftest import recording
from tests.support.calls import settle, wait_until
from tests.support.gateways import read_counts, run_nginx, skip_without_nginx
from tests.support.ports import closed_port

pytestmark = pytest.mark.ops
IDS = [f"request-number-{number:06}" for number in range(80)]
OWN, SECOND = "Bearer of the hour", "Bearer of the candidate"


@pytest.fixture(scope="module")
def second():
    """What listens where the candidate does."""
    with recording() as server:
        yield server


def open_divided(folder, upstream, port):
    skip_without_nginx()
    candidate = Instance(folder / "deputy" / "run", (port, 9, 9, 9, 9))
    candidate.run.mkdir(parents=True)
    candidate.keys.write_text('{"inference": {"key": "of the candidate"}}')
    (folder / "gateway").mkdir()
    return run_nginx(folder / "gateway", upstream.server_port, KEYS, candidate=candidate, percent=25)


@pytest.fixture(scope="module")
def divided(upstream, second, tmp_path_factory):
    with open_divided(tmp_path_factory.mktemp("divided"), upstream, second.server_port) as running:
        yield running


@pytest.fixture(scope="module")
def bereft(upstream, tmp_path_factory):
    """The same, but where the candidate was nobody listens any more."""
    with closed_port() as port, open_divided(tmp_path_factory.mktemp("bereft"), upstream, port) as running:
        yield running


@pytest.fixture
def send(upstream, second):
    upstream.seen, upstream.plan, second.seen, second.plan = [], [], [], []

    with requests.Session() as session:

        def post(nginx, name, **more):
            headers = {"Authorization": f"Bearer {KEY}", **({"X-Request-Id": name} if name else {})}
            url = f"https://{nginx.listen}/predictions/lung_ct"
            data = more or {"data": b"slice"}
            return session.post(url, headers=headers, verify=str(nginx.certificate), timeout=20, **data)

        yield post


@pytest.fixture
def chosen(divided, send):
    """An id whose request is for the candidate."""
    return next(name for name in IDS if send(divided, name).headers["X-Answered-By"] == "candidate")


def test_a_share_is_for_the_candidate_by_its_id_and_each_server_gets_its_own_token(divided, send, upstream, second):
    answers = {name: send(divided, name).headers["X-Answered-By"] for name in IDS}
    assert 8 <= Counter(answers.values())["candidate"] <= 32, "a quarter of 80, and chance"
    for server, who, token in ((upstream, "serving", OWN), (second, "candidate", SECOND)):
        asked = [headers for _, headers, _ in server.seen]
        assert {headers["X-Request-Id"] for headers in asked} == {name for name in IDS if answers[name] == who}
        assert {headers["Authorization"] for headers in asked} == {token}
        assert not any("X-Asked" in headers for headers in asked)
    assert {name: send(divided, name).headers["X-Answered-By"] for name in IDS} == answers, "a retry stays"
    assert {send(divided, None).headers["X-Answered-By"] for _ in IDS} == {"serving", "candidate"}, "ids are fresh"


def test_what_the_candidate_does_not_answer_the_server_does(divided, send, upstream, second, chosen):
    for plan in ([500], [503], [None, None], ["internal"]):
        upstream.seen, second.plan = [], list(plan)
        answer = send(divided, chosen)
        assert (answer.status_code, answer.headers["X-Answered-By"]) == (200, "serving"), plan
        assert [(headers["Authorization"], body) for _, headers, body in upstream.seen] == [(OWN, b"slice")]


def test_where_neither_answers_the_caller_is_told_to_come_again(divided, send, upstream, second, chosen):
    upstream.plan, second.plan = [503], [503]
    answer = send(divided, chosen)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "X-Answered-By" not in answer.headers


def test_an_expired_token_of_the_candidate_is_renewed_and_it_answers(divided, send, upstream, second, chosen):
    upstream.seen, second.seen, second.plan = [], [], [400]
    assert send(divided, chosen).headers["X-Answered-By"] == "candidate"
    assert (len(second.seen), upstream.seen) == (2, [])


def test_a_form_goes_to_whom_its_id_is_for(divided, send, upstream, second, chosen):
    upstream.seen, second.seen = [], []
    assert send(divided, chosen, files={"data": b"slice"}).headers["X-Answered-By"] == "candidate"
    assert (len(second.seen), upstream.seen) == (1, [])
    second.plan = [None, None]
    assert send(divided, chosen, files={"data": b"slice"}).headers["X-Answered-By"] == "serving"
    assert len(upstream.seen) == 1


def test_a_candidate_that_is_gone_costs_no_request(bereft, send, upstream):
    assert {send(bereft, name).headers["X-Answered-By"] for name in IDS} == {"serving"}
    assert {send(bereft, name, files={"data": b"slice"}).status_code for name in IDS[:20]} == {200}
    assert {headers["Authorization"] for _, headers, _ in upstream.seen} == {OWN}


def test_answers_are_counted_by_whom_they_were_for_and_who_gave_them(divided, send, second, chosen):
    def count():
        told = read_counts(divided.folder.parent)
        assert told["share"] == 0.25
        return Counter({(asked, answered): number for asked, answered, number in told["answers"]})

    before = settle(count)
    other = next(name for name in IDS if send(divided, name).headers["X-Answered-By"] == "serving")
    tried = IDS.index(other)  # those before it were the candidate's
    second.plan = [503]
    assert send(divided, chosen).headers["X-Answered-By"] == "serving"
    refused = requests.post(f"https://{divided.listen}/predictions/lung_ct", verify=divided.certificate, timeout=20)
    assert refused.status_code == 401
    form = send(divided, chosen, files=[("data", b"one"), ("data", b"two")])
    assert (form.status_code, "X-Answered-By" in form.headers) == (400, False)
    wanted = Counter({("serving", "serving"): 1, ("candidate", "candidate"): tried, ("candidate", "serving"): 1})
    wait_until(lambda: count() - before == +wanted, 60, "each is counted once, a refusal not")


def test_without_a_candidate_no_reply_says_who_answered(nginx, post):
    assert "X-Answered-By" not in post().headers
    told = settle(lambda: read_counts(nginx.folder.parent))
    assert (told["share"], told["answers"]) == (0, [])
