"""The real nginx before the real TorchServe: who gets through, with what, and how it ends."""

import base64
import json
import socket
import ssl
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungct_client import RefusedError, ServerError, Tokens
from lungct_tools.proxy.record import find
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.support.calls import read_answer, wait_until
from tests.support.gateways import ASTRAY, add_key, assert_refusal, open_gateway
from tests.support.logs import await_line, read_lines
from tests.support.origins import GOOD_IDS

pytestmark = [pytest.mark.server, pytest.mark.ops]

OIP = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["@"]}]})
OPEN = ("/predictions/lung_ct", "/explanations/lung_ct", "/v2/models/lung_ct/infer")
PROBES = ("/healthz", "/readyz")
CLOSED = [
    ("POST", "/predictions/lung_ct/1.0"), ("POST", "/predictions/other"), ("POST", "/predictions"),
    ("POST", "/predictions/lung_ct/../../models?url=x.mar"), ("POST", "/predictions/lung_ct%2f..%2fmodels"),
    ("GET", "/"), ("GET", "/ping"), ("GET", "/metrics"), ("GET", "/api-description"),
    ("GET", "/token?type=inference"), ("GET", "/models"), ("GET", "/models/lung_ct"), ("POST", "/models?url=x.mar"),
    ("PUT", "/models/lung_ct?min_worker=0"), ("DELETE", "/models/lung_ct"), ("PUT", "/models/lung_ct/1.0/set-default"),
    ("GET", "/workflows"), ("POST", "/workflows?url=x.war"), ("DELETE", "/workflows/x"), ("POST", "/wfpredict/x"),
    ("GET", "/v2/"), ("GET", "/v2/models/other"), ("GET", "/v2/models/lung_ct/config"),
    ("GET", "/v2/repository/index"), ("POST", "/v1/models/lung_ct:predict"),
    ("POST", "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"),
    ("POST", "/org.pytorch.serve.grpc.management.ManagementAPIsService/ListModels"),
    ("POST", "/healthz/../models"), ("GET", "/predictions/lung_ct/healthz"),
]  # fmt: skip
CREDENTIALS = ("none", "wrong", "TorchServe's own", "right")


@pytest.fixture(scope="module")
def door(server):
    with open_gateway(server, ("alice", "bob")) as opened:
        wait_until(lambda: opened.ask("GET", "/readyz").status_code == 200, 120, "ready")
        yield opened


@pytest.fixture
def credential(door, server):
    own = Tokens(server.keys).read("inference")
    return dict(zip(CREDENTIALS, (None, "0" * 64, own, door.keys["alice"]), strict=True))


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize(("who", "status"), list(zip(CREDENTIALS, (401, 403, 403, 200), strict=True)))
def test_the_inference_routes_are_open_for_a_key_of_ours_only(door, credential, slices, path, who, status):
    body = OIP.replace("@", base64.b64encode(slices[0]).decode()) if path.endswith("infer") else slices[0]
    kind = {"Content-Type": "application/json" if path.endswith("infer") else "application/octet-stream"}
    answer = door.ask("POST", path, credential[who], data=body, headers=kind)
    assert answer.status_code == status
    if status != 200:
        assert_refusal(answer)
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)


def ask_until_heard(door, *request, **options):
    """Strangers have a rate of their own, and a key's refusals count into its: who asks again is heard."""
    answers = []

    def is_heard():
        answers.append(door.ask(*request, **options))
        return answers[-1].status_code != 429

    wait_until(is_heard, 30, "an answer that is no 429")
    return answers[-1]


@pytest.mark.parametrize(("who", "status"), list(zip(CREDENTIALS, (401, 403, 403, 403), strict=True)))
def test_every_other_route_is_closed_for_everybody(door, credential, who, status):
    for method, path in CLOSED:
        answer = ask_until_heard(door, method, path, credential[who])
        assert answer.status_code == status, (method, path)
        assert_refusal(answer)


@pytest.mark.parametrize(("who", "status"), list(zip(CREDENTIALS, (401, 403, 403, 405), strict=True)))
def test_any_other_method_on_an_open_route_is_refused_and_the_right_one_named(door, credential, slices, who, status):
    for path in OPEN:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"):
            answer = ask_until_heard(door, method, path, credential[who], data=slices[0])
            assert answer.status_code == status, (method, path)
            assert answer.headers.get("Allow") == ("POST" if status == 405 else None)
            if method != "HEAD":
                assert_refusal(answer, "method_not_allowed" if status == 405 else None)


def test_probes_need_no_key_and_tell_nothing_but_the_answer(door, credential):
    for key in credential.values():
        answers = [door.ask("GET", path, key) for path in PROBES]
        assert [(a.status_code, a.json()) for a in answers] == [(200, {"live": True}), (200, {"ready": True})]


def ask_probe(door, path, key):
    """Once more where the probes' own rate limit, which a fast machine meets here, says so."""
    answers = []

    def ask():
        answers.append(door.ask("GET", path, key))
        return answers[-1].status_code != 429

    wait_until(ask, 60, path)
    return answers[-1]


@pytest.mark.parametrize("who", CREDENTIALS)
def test_no_path_that_ends_at_a_probe_and_no_method_scores_a_slice(door, credential, slices, who):
    for path in ASTRAY:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = door.ask(method, path, credential[who])
            assert answer.status_code == 405, (method, path)
            assert_refusal(answer, "method_not_allowed")
        assert door.ask("POST", path, credential[who], data=slices[0]).status_code == 413, path
        assert set(ask_probe(door, path, credential[who]).json()) < {"live", "ready"}, path


@pytest.mark.parametrize("name", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_tls_is_at_least_1_2(door, name):
    context = ssl.create_default_context(cafile=str(door.ca))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, name)
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
        if name in ("TLSv1_2", "TLSv1_3"):
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                assert secure.version() == name.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                context.wrap_socket(plain, server_hostname="localhost")


def test_plain_http_is_answered_with_a_sentence(door):
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = read_answer(plain)
    assert (status, json.loads(body)["error"]) == (400, "bad_request")


def test_the_client_reaches_inference_only_and_says_so(door, slices):
    client = door.client()
    assert client.predict(slices[0], heatmap="always", heatmap_format="grid")["heatmap"]["method"] == "gradcam"
    with pytest.raises(ServerError, match="does not open the management API"):
        door.client(deadline_s=0).describe()
    stranger = door.client()
    object.__setattr__(stranger._server, "key", "0" * 64)
    with pytest.raises(RefusedError) as caught:
        stranger.predict(slices[0])
    assert (caught.value.status, caught.value.code) == (403, "not_allowed")


def test_curls_default_content_type_does_no_harm(door, slices):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = door.ask("POST", OPEN[0], door.keys["alice"], data=slices[0], headers=form)
    assert answer.json()["label"]


def test_refusals_of_the_handler_come_through_as_they_are(door):
    for body, headers, status, code in (
        (b"", {}, 400, "empty_body"),
        (b"x", {"X-Heatmap": "perhaps"}, 400, "bad_option"),
        (b"some text", {}, 415, "unsupported_format"),
    ):
        answer = door.ask("POST", OPEN[0], door.keys["alice"], data=body, headers=headers)
        assert answer.status_code == status
        assert_refusal(answer, code)


def test_a_token_that_was_renewed_behind_its_back_costs_no_request(door, server, slices):
    tokens = Tokens(server.keys)
    tokens.renew("inference", tokens.read("inference"), server.url("management"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: door.ask("POST", OPEN[0], door.keys["alice"], data=slices[i % 4]), range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    wait_until(lambda: tokens.read("inference") in (door.folder / "token.conf").read_text(), 60, "nginx has it")


def test_keys_come_and_go_without_a_restart(door, slices):
    def status(key):
        return door.ask("POST", OPEN[0], key, data=slices[0]).status_code

    place = ("--run", door.run, "--clients", door.clients)
    key, before = add_key(door.run, door.clients, "carol"), find(door.run)
    wait_until(lambda: status(key) == 200, 60, "the new key works")
    assert run_script("key", "list", *place).stdout.split() == ["alice", "bob", "carol"]
    assert run_script("key", "remove", "carol", *place).returncode == 0
    wait_until(lambda: status(key) == 403, 60, "the old key is dead")
    assert run_script("key", "remove", "carol", *place).returncode == 1
    assert run_script("key", "add", "Carol;", *place).returncode == 2
    assert find(door.run) == before
    assert door.clients.stat().st_mode & 0o077 == 0


def test_starting_it_again_takes_over_a_new_certificate(door, server):
    before = ssl.get_server_certificate(("127.0.0.1", door.port))
    door.ca.unlink()
    again = run_script("gateway", "--run", server.run, "--clients", door.clients, "--listen", f"127.0.0.1:{door.port}")
    assert again.returncode == 0, again.stderr
    wait_until(lambda: ssl.get_server_certificate(("127.0.0.1", door.port)) != before, 60, "the new certificate")


def test_our_client_brings_its_own_id_and_finds_it_in_reply_refusal_and_log(door, slices):
    client = door.client()
    assert client.predict(slices[0], request_id=GOOD_IDS[3]).request_id == GOOD_IDS[3]
    with pytest.raises(RefusedError) as caught:
        client.predict(b"no picture", request_id=GOOD_IDS[4])
    assert caught.value.request_id == GOOD_IDS[4]
    log = door.folder / "access.log"
    wait_until(lambda: all(f'"{each}"' in log.read_text() for each in GOOD_IDS[3:5]), 60, "the log lines")


def test_the_log_has_names_and_ids_but_no_key_query_or_file_name(door, slices):
    answer = door.ask(
        "POST",
        f"{OPEN[0]}?patient=DOE&heatmap=SECRET",
        door.keys["alice"],
        files={"data": ("DOE^JOHN.png", slices[0])},
        headers={"Referer": "https://DOE.example", "Cookie": "DOE"},
    )
    door.ask("GET", "/DOE?patient=DOE", door.keys["alice"])
    assert answer.status_code == 200
    await_line(door.folder / "access.log", answer.headers["x-request-id"])
    for line in read_lines(door.folder / "access.log"):
        assert json.loads(line)["client"] in ("alice", "bob", "carol", "none", "unknown")
    logs = "".join(path.read_text() for path in [*door.folder.glob("*.log"), Instance.read(door.run).log])
    for secret in ("DOE", "SECRET", *door.keys.values()):
        assert secret not in logs


def test_nothing_in_the_gateways_folder_is_for_others(door):
    assert door.folder.stat().st_mode & 0o077 == 0
    for name in ("token.conf", "certificate.key", "sidecar.sock"):
        assert (door.folder / name).stat().st_mode & 0o077 == 0, name
