"""The gateway from another machine: predict, score and the page know its address, a key and nothing of a run folder."""

import pytest

from lungct_client import Gateway
from lungct_tools.server.choice import ChoiceError, open_gateway, read_environment
from lungct_tools.server.status import describe
from tests.conftest import run_script
from tests.support import gateways
from tests.support.calls import wait_until

remote = [pytest.mark.server, pytest.mark.ops]


@pytest.fixture(scope="module")
def door(server):
    with gateways.open_gateway(server) as opened:
        wait_until(lambda: opened.ask("GET", "/readyz").status_code == 200, 120, "ready")
        yield opened


@pytest.fixture
def options(door, tmp_path):
    (tmp_path / "key").write_text(f"{door.keys['alice']}\n")  # as an editor leaves it
    return ("--server", f"https://127.0.0.1:{door.port}", "--key-file", tmp_path / "key", "--ca", door.ca)


@pytest.fixture
def scans(tmp_path, slices):
    (tmp_path / "scans").mkdir()
    for number, body in enumerate(slices):
        (tmp_path / "scans" / f"{number}.png").write_bytes(body)
    return tmp_path / "scans"


class TestThroughTheGateway:
    pytestmark = remote

    def test_predict_says_what_it_says_beside_the_server(self, server, options, scans):
        far = run_script("predict", scans, "--json", *options)
        near = run_script("predict", scans, "--json", "--run", server.run)
        assert far.returncode == near.returncode == 0, far.stderr
        assert far.stdout == near.stdout

    def test_score_writes_the_same_rows_as_beside_the_server(self, server, options, scans, tmp_path):
        for name, where in (("far", options), ("near", ("--run", server.run))):
            done = run_script("score", scans, tmp_path / name, "--format", "jsonl", *where)
            assert done.returncode == 0, done.stderr
        rows = [(tmp_path / name / "slices.jsonl").read_text() for name in ("far", "near")]
        assert rows[0] == rows[1]

    def test_what_is_served_is_told_to_those_with_a_key_alone(self, door):
        assert door.client().contract()["classes"] == ["Benign", "Malignant", "Normal"]
        assert door.ask("GET", "/model").status_code == 401
        assert door.ask("GET", "/model", "0" * 64).status_code == 403
        assert door.ask("POST", "/model", door.keys["alice"]).status_code == 405

    def test_the_page_tells_the_state_of_a_server_that_it_reaches_by_its_gateway(self, door):
        state = describe(Gateway(f"https://127.0.0.1:{door.port}", door.keys["alice"], door.ca))
        assert state["ready"]
        assert state["classes"]
        refused = describe(Gateway(f"https://127.0.0.1:{door.port}", "0" * 64, door.ca))
        assert not refused["ready"]

    def test_a_wrong_key_ends_with_three_and_a_sentence_without_the_key(self, door, scans, tmp_path):
        wrong = "f" * 64
        (tmp_path / "wrong").write_text(wrong)
        place = ("--server", f"https://127.0.0.1:{door.port}", "--key-file", tmp_path / "wrong", "--ca", door.ca)
        for name, more in (("predict", ()), ("score", (tmp_path / "out",))):
            done = run_script(name, scans, *more, *place)
            assert done.returncode == 3
            assert "key" in done.stderr
            assert wrong not in done.stderr + done.stdout
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("http://ct.example.org", "key", None), "https://HOST:PORT"),
        (("https://ct.example.org", None, None), "needs --key-file"),
        (("https://ct.example.org", "missing", None), "cannot be read"),
        (("https://ct.example.org", "empty", None), "holds 0 words"),
        (("https://ct.example.org", "key", "missing"), "there is no such file"),
    ],
)
def test_what_is_missing_to_reach_a_gateway_is_said(tmp_path, given, said):
    (tmp_path / "key").write_text("abc")
    (tmp_path / "empty").write_text("")
    address, *files = given
    with pytest.raises(ChoiceError, match=said):
        open_gateway(address, *(tmp_path / name if name else None for name in files))


def test_options_that_cannot_work_end_with_two(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    done = run_script("predict", tmp_path / "a.png", "--server", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "https://HOST:PORT" in done.stderr


def test_the_page_s_process_gets_names_of_files_and_reads_the_key_itself(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("abc\n")
    monkeypatch.setenv("LUNG_CT_SERVER", "https://ct.example.org")
    monkeypatch.setenv("LUNG_CT_KEY_FILE", str(tmp_path / "key"))
    assert read_environment(tmp_path) == Gateway("https://ct.example.org", "abc")
