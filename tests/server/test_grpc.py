"""gRPC of the real TorchServe, by our client."""

import json

import grpc
import pytest

from lungct_client import RefusedError, ServerDown
from lungct_client.address import Local
from lungct_client.client import MAX_BYTES
from lungct_client.rpc import RpcClient, read_reply, write_request
from tests.support.calls import token

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def rpc(server):
    client = RpcClient(server, timeout_s=60)
    yield client
    client.close()


def test_a_slice_is_scored_with_its_options_as_inputs(rpc, client, slices):
    assert rpc.predict(slices[0]) == client.predict(slices[0])
    options = {"heatmap": "always", "heatmap_format": "grid", "heatmap_class": "Benign"}
    assert rpc.predict(slices[0], **options) == client.predict(slices[0], **options)


@pytest.mark.parametrize(
    ("body", "options", "code"),
    [(b"x", {}, "unsupported_format"), (b"", {}, "empty_body"), (b"x", {"heatmap": "perhaps"}, "bad_option")],
)
def test_a_refusal_carries_its_code_in_the_field_error(rpc, body, options, code):
    with pytest.raises(RefusedError) as caught:
        rpc.predict(body, **options)
    assert (caught.value.code, caught.value.status) == (code, 0)
    assert caught.value.request_id


def test_a_file_over_the_limit_is_told_in_a_sentence_and_the_largest_gets_through(rpc):
    with pytest.raises(RefusedError, match="larger than") as caught:
        rpc.predict(bytes(MAX_BYTES + 1))
    assert caught.value.code == "too_many_bytes"
    with pytest.raises(RefusedError) as caught:
        rpc.predict(bytes(MAX_BYTES))
    assert caught.value.code == "unsupported_format"


def test_an_expired_token_is_renewed(rpc, server, slices):
    keys = json.loads(server.keys.read_text())
    keys["inference"]["key"] = "expired1"
    server.keys.write_text(json.dumps(keys))
    assert rpc.predict(slices[0])["label"]


def test_where_nothing_listens_is_told(tmp_path, slices):
    with pytest.raises(ServerDown):
        RpcClient(Local(tmp_path, (1, 2, 3, 4, 5)), timeout_s=20).predict(slices[0])


def test_the_call_that_streams_gets_its_one_answer(server, client, slices):
    metadata = (("protocol", "gRPC"), ("authorization", token(server)["Authorization"]))
    request = write_request("lung_ct", {"data": slices[0]})
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[3]}") as channel:
        ask = channel.unary_stream("/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions")
        answers = [json.loads(read_reply(message)) for message in ask(request, metadata=metadata, timeout=60)]
    assert answers == [client.predict(slices[0])]
