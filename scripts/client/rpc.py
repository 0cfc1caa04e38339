"""Calls over TorchServe's gRPC, which is open on the server's own machine only. Needs the extra grpc.

What a call says and what comes back stands in torchserve.proto beside this file; its two messages are written and read
here, so that any version of grpcio will do, and none of protobuf is needed.
"""

from __future__ import annotations

import json

import grpc

from lungct_client.address import Local
from lungct_client.client import check_size
from lungct_client.errors import RefusedError, ServerBusy, ServerDown, ServerError, ServerSilent, TokenError
from lungct_client.headers import name_options
from lungct_client.reply import Reply
from lungct_client.tokens import Tokens

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
MAX_REPLY_BYTES = 2**27  # max_response_size of config/config.properties
_LENGTH_DELIMITED = 2  # the wire type of texts, bytes and messages (protobuf's encoding guide)


class RpcClient:
    """Scores files on one server of this machine. May be shared by threads."""

    def __init__(self, server: Local, timeout_s: float = 30) -> None:
        """Args: `timeout_s` that one call may take; none is tried again, but for a token that had expired."""
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", MAX_REPLY_BYTES)]
        self._server, self._timeout_s = server, timeout_s
        self._tokens = Tokens(server.keys)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.ports[3]}", options)
        self._ask = self._channel.unary_unary(METHOD)

    def close(self) -> None:
        self._channel.close()

    def predict(self, body: bytes, **options: str | int) -> Reply:
        """Score one file; `options` as for `Client.predict`: heatmap="always", window="-600,1500".

        Raises:
            HeaderError: an option that cannot be sent.
            RefusedError: the server refused the file, as the reply's field "error" says; its `status` is 0, as gRPC has
                none, but 413 for a file that is too large to send.
            ServerError: no answer, or that of a server that has no room, whose code is busy.
            TokenError: the server does not accept our token, and it could not be renewed.
        """
        check_size(body)
        name_options(options)  # what HTTP cannot carry is no option here either
        given = {name: str(value).encode() for name, value in options.items()}
        request = write_request("lung_ct", {"data": body, **given})
        token = self._tokens.read("inference")
        try:
            answer = self._call(request, token)
        except TokenError:
            answer = self._call(request, self._tokens.renew("inference", token, self._server.url("management")))
        document = dict(json.loads(answer))
        if document.get("error") == "busy":
            raise ServerBusy(str(document["message"]), retry_after_s=1)
        if "error" in document:
            raise RefusedError(0, document["error"], document["message"], document.get("request_id"))
        return Reply(document)

    def _call(self, request: bytes, token: str) -> bytes:
        metadata = (("protocol", "gRPC"), ("authorization", f"Bearer {token}"))
        try:
            return read_reply(self._ask(request, timeout=self._timeout_s, metadata=metadata))
        except grpc.RpcError as error:
            told = f"gRPC {error.code().name}"
            match error.code():
                case grpc.StatusCode.PERMISSION_DENIED:
                    raise TokenError("The server does not accept our token.") from error
                case grpc.StatusCode.UNAVAILABLE:
                    raise ServerDown(f"{told}: no server at port {self._server.ports[3]}.") from error
                case grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise ServerSilent(f"No answer within {self._timeout_s:g} s.") from error
                case _:  # a full queue, a dead worker and more: TorchServe tells them apart by words alone
                    raise ServerError(f"{told}: {(error.details() or '').partition(chr(10))[0]}") from error


def write_request(model: str, inputs: dict[str, bytes]) -> bytes:
    """A PredictionsRequest: model_name is field 1, the map `input` field 3, each entry a message of key and value."""
    entries = (_field(3, _field(1, name.encode()) + _field(2, value)) for name, value in inputs.items())
    return _field(1, model.encode()) + b"".join(entries)


def read_reply(message: bytes) -> bytes:
    """The field `prediction`, 1, of a PredictionResponse, which has no other; ServerError for anything else."""
    length = shift = 0
    for at, byte in enumerate(message[1:6], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if message[0] == 1 << 3 | _LENGTH_DELIMITED and len(message) == at + length:
                return message[at:]
            break
    raise ServerError("The gRPC reply is none of TorchServe's predictions.")


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the high bit."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
