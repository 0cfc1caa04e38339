"""TorchServe's gRPC service for predictions: its messages and its stub, as torchserve.proto beside this file has them.

Needs the extra grpc. The messages are made here rather than generated, so that any version of protobuf will do, and in
a pool of their own, so that TorchServe's stubs can be loaded beside them.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "org.pytorch.serve.grpc.inference"
SERVICE = "InferenceAPIsService"
TEXT, BYTES, MESSAGE = (
    Field.TYPE_STRING,
    Field.TYPE_BYTES,
    Field.TYPE_MESSAGE,
)
ONE, MANY = Field.LABEL_OPTIONAL, Field.LABEL_REPEATED


def _field(name: str, number: int, kind: Any = TEXT, label: Any = ONE, message: str = "") -> Field:
    named = {"type_name": f".{PACKAGE}.{message}"} if message else {}
    return Field(name=name, number=number, type=kind, label=label, **named)


def describe() -> FileDescriptorProto:
    """torchserve.proto as protobuf's compiler describes it."""
    file = FileDescriptorProto(name="torchserve.proto", package=PACKAGE, syntax="proto3")
    request = file.message_type.add(name="PredictionsRequest")
    request.field.extend([_field("model_name", 1), _field("model_version", 2)])
    request.field.append(_field("input", 3, MESSAGE, MANY, "PredictionsRequest.InputEntry"))
    entry = request.nested_type.add(name="InputEntry")
    entry.field.extend([_field("key", 1), _field("value", 2, BYTES)])
    entry.options.map_entry = True
    file.message_type.add(name="PredictionResponse").field.append(_field("prediction", 1, BYTES))
    method = file.service.add(name=SERVICE).method.add(name="Predictions")
    method.input_type, method.output_type = f".{PACKAGE}.PredictionsRequest", f".{PACKAGE}.PredictionResponse"
    method.options.SetInParent()
    return file


_POOL = DescriptorPool()
_POOL.Add(describe())
PredictionsRequest: Any = GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.PredictionsRequest"))
PredictionResponse: Any = GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.PredictionResponse"))


class InferenceStub:
    """The calls of TorchServe's inference service that this project answers.

    Attributes:
        Predictions: call it with a PredictionsRequest; `.prediction` of what comes back is the reply's JSON as bytes.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.Predictions = channel.unary_unary(
            f"/{PACKAGE}.{SERVICE}/Predictions",
            request_serializer=PredictionsRequest.SerializeToString,
            response_deserializer=PredictionResponse.FromString,
        )
