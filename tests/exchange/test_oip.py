"""Open Inference Protocol: what a request may say, and the tensors that come back."""

import json
import time

import numpy as np
import pytest

from lungct.errors import LungCTError
from lungct.exchange import oip
from lungct.exchange.request import parse
from lungct.window import Window
from tests.support.tensors import binary
from tests.support.tensors import oip as ask

CLASSES = ("Benign", "Malignant", "Normal")
SCORED = {
    "label": "Normal", "decision": "refer", "probabilities": {"Normal": 0.5, "Benign": 0.2, "Malignant": 0.3},
    "model": {"name": "lung_ct", "version": "7"},
}  # fmt: skip


def refused(document, match=None):
    with pytest.raises(LungCTError, match=match) as caught:
        parse({"body": document}, {}, CLASSES)
    return caught.value.code


def test_a_request_is_one_bytes_tensor_with_options_as_parameters():
    request = parse({"body": ask()}, {}, CLASSES)
    assert (request.body, request.heatmap, request.protocol, request.inference_id) == (b"file", "always", "oip", "7")


def test_options_may_stand_in_the_parameters_of_the_input():
    document = ask(parameters={"window": "40,400", "heatmap": "abnormal", "content_type": "base64"})
    request = parse({"body": document}, {}, CLASSES)
    assert (request.window, request.heatmap) == (Window(40, 400), "always")  # the request's own before the input's


@pytest.mark.parametrize("parameters", [["heatmap"], "heatmap=always", 7])
def test_parameters_that_are_no_object_are_refused(parameters):
    assert refused({**ask(), "parameters": parameters}, "parameters") == "bad_option"
    assert refused(ask(parameters=parameters), "parameters") == "bad_option"


def test_the_reply_is_json_whatever_else_is_accepted():
    assert parse({"body": ask()}, {"Accept": "image/png"}, CLASSES).accept == "application/json"


@pytest.mark.parametrize("shape", [[1], [1, 1], [1, 1, 1]])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_data_may_be_flat_or_nested(shape, depth):
    data = ["ZmlsZQ=="]
    for _ in range(depth):
        data = [data]
    assert parse({"body": ask(shape=shape, data=data)}, {}, CLASSES).body == b"file"


@pytest.mark.parametrize(
    "changes", [{"datatype": "FP32"}, {"data": []}, {"data": "YQ=="}, {"data": None}, {"data": [[]]}]
)
def test_any_other_tensor_is_a_bad_option(changes):
    assert refused(ask(**changes)) == "bad_option"


@pytest.mark.parametrize("name", ["input-0", "Image", "image ", "", None, 0, ["image"], {}])
def test_an_input_that_the_model_has_not_is_refused_and_the_one_that_it_has_is_named(name):
    (known,) = oip.describe("lung_ct", CLASSES)["inputs"]
    assert refused(ask(name=name), f"called {known['name']}") == "bad_option"
    headers, body = binary(b"file", name=name)
    with pytest.raises(LungCTError, match=f"called {known['name']}"):
        parse({"body": body}, headers, CLASSES)


def test_an_input_without_a_name_is_refused():
    document = ask()
    del document["inputs"][0]["name"]
    assert refused(document, "called image") == "bad_option"


def test_the_input_may_have_the_name_that_a_file_has_in_every_other_body():
    assert parse({"body": ask(name="data")}, {}, CLASSES).body == b"file"


@pytest.mark.parametrize("data", [["YQ==", "YQ=="], [["YQ==", "YQ=="]], [["YQ=="], ["YQ=="]]])
def test_several_slices_in_one_tensor_are_refused_with_the_reason(data):
    assert refused(ask(data=data, shape=[2]), "One request is one slice") == "bad_option"


@pytest.mark.parametrize("shape", [[2], [1, 2], [0], [-1], [-1, -1], [], None, "1", 1, [True], ["1"], [1.0]])
def test_a_shape_that_is_not_of_one_element_is_refused_with_the_reason(shape):
    assert refused(ask(shape=shape), "shape") == "bad_option"


def test_a_shape_of_huge_numbers_is_refused_without_their_product():
    """It would keep the worker for a minute."""
    began = time.process_time()
    assert refused(ask(shape=[10**4000] * 900), "shape") == "bad_option"
    assert time.process_time() - began < 5


@pytest.mark.parametrize("names", [["label"], ["reply", "label"], ["probabilities", "decision", "label", "reply"]])
def test_only_the_outputs_that_were_asked_for_come_back_in_that_order(names):
    request = parse({"body": {**ask(), "outputs": [{"name": name} for name in names]}}, {}, CLASSES)
    answer = oip.reply(SCORED, CLASSES, request.inference_id, request.outputs)
    assert [tensor["name"] for tensor in answer["outputs"]] == names


@pytest.mark.parametrize(
    "outputs",
    [[{"name": "logits"}], [{"name": "label"}, {"name": "label"}], ["label"], [{}], "label", [{"name": []}], 3],
)
def test_an_output_that_there_is_not_is_refused_and_those_that_there_are_are_named(outputs):
    assert refused({**ask(), "outputs": outputs}, "label, probabilities, decision, reply") == "bad_option"


@pytest.mark.parametrize("outputs", [None, []])
def test_no_outputs_means_all(outputs):
    request = parse({"body": {**ask(), "outputs": outputs}}, {}, CLASSES)
    assert len(oip.reply(SCORED, CLASSES, None, request.outputs)["outputs"]) == 4


def test_the_metadata_are_those_of_the_reply():
    told = oip.describe("lung_ct", CLASSES)["outputs"]
    sent = oip.reply(SCORED, CLASSES, None)["outputs"]
    assert told == [{name: tensor[name] for name in ("name", "datatype", "shape")} for tensor in sent]


def test_the_binary_tensor_extension_is_read():
    headers, body = binary(b"file")
    request = parse({"body": bytearray(body)}, headers, CLASSES)
    assert (request.body, request.binary) == (b"file", True)
    assert parse({"body": ask()}, {}, CLASSES).binary is False


def test_a_binary_tensor_that_does_not_fit_its_header_is_refused():
    headers, body = binary(b"file")
    deep = b"[" * 10**5  # deeper than a parser may go
    for name, wrong, told in (
        *((each, body, "JSON header") for each in ("x", "-3", "1")),
        (str(len(deep)), deep, "values"),
    ):
        with pytest.raises(LungCTError, match=told):
            parse({"body": bytearray(wrong)}, {"Inference-Header-Content-Length": name}, CLASSES)
    with pytest.raises(LungCTError, match="JSON header"):
        parse({"body": bytearray(body + b"more")}, headers, CLASSES)


def test_a_file_in_the_binary_header_beside_the_one_behind_it_is_refused():
    header = json.dumps({"inputs": [ask()["inputs"][0]]}).encode()
    body = header + (5).to_bytes(4, "little") + b"other"
    with pytest.raises(LungCTError, match="JSON header"):
        parse({"body": body}, {"Inference-Header-Content-Length": str(len(header))}, CLASSES)


def test_no_field_of_the_binary_header_stands_twice():
    header = b'{"inputs": [], "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}'
    with pytest.raises(LungCTError, match="one name"):
        parse({"body": header}, {"Inference-Header-Content-Length": str(len(header))}, CLASSES)


@pytest.mark.parametrize("lost", [1, 3, 6])
def test_a_binary_tensor_that_ends_early_is_told_so(lost):
    headers, body = binary(b"file")
    with pytest.raises(LungCTError, match="ends early") as caught:
        parse({"body": bytearray(body[:-lost])}, headers, CLASSES)
    assert caught.value.code == "corrupt_image"


def test_json_behind_the_binary_header_alone_is_read_too():
    body = json.dumps(ask()).encode()
    assert parse({"body": body}, {"Inference-Header-Content-Length": str(len(body))}, CLASSES).body == b"file"


def test_a_damaged_file_from_numpy_is_told_what_may_have_cut_it():
    """What numpy makes of a file that ends with zeros is why."""
    assert np.array([b"pixels\0\0"], dtype="S")[0] == b"pixels"
    damaged = LungCTError("corrupt_image", "The pixels end early.")
    assert "dtype=object" in oip.explain(damaged, b"pixels").message
    assert oip.explain(damaged, b"pixels\0") is damaged
    other = LungCTError("unsupported_dicom", "No CT.")
    assert oip.explain(other, b"pixels") is other


@pytest.mark.parametrize(
    ("body", "headers", "meant"),
    [
        (ask(), {}, True),
        ({"inputs": []}, {}, True),
        (b'{"inputs": broken', {}, True),
        ('{"inputs": []}'.encode("utf-16"), {}, True),
        (bytearray(binary(b"file")[1]), binary(b"file")[0], True),
        ({"data": "YQ=="}, {}, False),
        (b'{"data": "aW5wdXRz"}', {}, False),
        (b'PNG with "inputs" in it', {}, False),
        (None, {}, False),
    ],
)
def test_a_request_of_the_protocol_is_known_before_it_is_read(body, headers, meant):
    assert oip.is_meant({"body": body}, headers) is meant


def test_a_form_is_none_of_the_protocol():
    assert oip.is_meant({"data": b"file"}, {"Content-Type": "multipart/form-data"}) is False


def test_the_nested_case_is_read_as_the_flat_one(cases):
    text = (cases / "oip-shape-1-1-nested.json").read_text()
    document, flat = json.loads(text), json.loads(text)
    flat["inputs"][0] |= {"shape": [1], "data": document["inputs"][0]["data"][0]}
    assert parse({"body": document}, {}, CLASSES).body == parse({"body": flat}, {}, CLASSES).body
