"""Print the OpenAPI description of our routes, their options, answers and errors, from the code that has them.

    lungct openapi                       # as it is in docs/openapi.json
    lungct openapi --model my_model      # with the classes of another model

Management and metrics are TorchServe's own: ask them with `curl -X OPTIONS`. A test holds docs/openapi.json to this
output, and the answers of a real server to what it says.
"""

from __future__ import annotations

import json
import re
import tomllib
from http import HTTPStatus
from pathlib import Path

from lungct import NOTICE
from lungct.errors import STATUS
from lungct.exchange.form import FILE_FIELDS
from lungct.exchange.oip import INPUTS
from lungct.exchange.origin import REQUEST_ID, TRACE
from lungct.exchange.request import CHOICES, OPTIONS, ScoreRequest
from lungct.model.folder import load_model_folder
from lungct.settings import Settings
from lungct_tools import ROOT
from lungct_tools.commandline import make_parser
from lungct_tools.documents.schemas import Schema, describe_answers

SAID = {
    "heatmap": "Whether to send a heatmap; abnormal: for Benign and Malignant.",
    "heatmap_method": "All but gradcam need `library_cams: true` in model-config.yaml.",
    "heatmap_format": "grid: numbers alone.",
    "heatmap_size": "source: as the slice; model: as the network's input.",
    "heatmap_colormap": "Colours of the overlay.",
    "gate": "off: score whatever the picture shows; the reply says so.",
    "canary": "yes: a monitor's own request, which the metrics count apart.",
    "heatmap_class": "The class whose evidence is drawn.",
    "window": "centre,width in HU, or file: the one that a DICOM file proposes. Default: the model's.",
    "frame": "Frame of a multi-frame DICOM, from 0; without it the middle one, with a warning.",
}
READS = ("401", "403", "405", "413", "429")  # what the gateway may refuse of a question
TORCHSERVE: Schema = {
    "type": "object",
    "description": "TorchServe's own word: no token (400), a full queue or no worker (503), a worker that died (500).",
    "required": ["code", "type", "message"],
    "properties": {"code": {"type": "integer"}, "type": {"type": "string"}, "message": {"type": "string"}},
}


def describe_options(classes: tuple[str, ...]) -> dict[str, Schema]:
    """Option -> the schema of its value."""
    found: dict[str, Schema] = {
        name: {"enum": [*allowed], "default": getattr(ScoreRequest, name)} for name, allowed in CHOICES.items()
    }
    found["heatmap_class"] = {"enum": ["predicted", *classes], "default": "predicted"}
    found["window"] = {"pattern": "^(file|[^,]+,[^,]+)$", "examples": ["-500,1500", "file"]}
    found["frame"] = {"pattern": "^[0-9]{1,6}$"}
    return {name: {"type": "string", "description": SAID[name], **found[name]} for name in OPTIONS}


IDS = {
    "X-Request-Id": {
        "description": "Your id of the request, for the logs and the refusal's body; another form is dropped.",
        "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
    },
    "traceparent": {
        "description": "W3C Trace Context, version 00. Its trace id is kept, its flags are not obeyed.",
        "schema": {"type": "string", "pattern": f"^{TRACE.pattern}$"},
    },
}


def read_gateway() -> dict[int, str]:
    """Status -> code of what the gateway says itself, from its configuration."""
    settings = (ROOT / "config" / "nginx" / "nginx.conf").read_text()
    block = re.findall(r"map \$status \$problem \{(.*?)\}", settings, re.DOTALL)[0]
    return {400: re.findall(r"default (\w+);", block)[0]} | {
        int(status): code for status, code in re.findall(r"(\d+) (\w+);", block)
    }


def describe_refusals() -> dict[str, Schema]:
    """Status -> response, for every refusal of ours, of the gateway and of TorchServe."""
    codes: dict[int, set[str]] = {}
    for code, status in [*STATUS.items(), *((code, status) for status, code in read_gateway().items())]:
        codes.setdefault(status, set()).add(code)
    found = {}
    for status in sorted(codes):
        known = sorted(codes[status])
        error = {"anyOf": [{"enum": known}, {"pattern": f"^({'|'.join(known)}): "}]}
        ours = {"allOf": [refer("Refusal"), {"properties": {"error": error}}]}
        schema = {"anyOf": [ours, refer("TorchServeError")]} if status in (400, 500, 503) else ours
        found[str(status)] = answer(f"{HTTPStatus(status).phrase}: {', '.join(sorted(codes[status]))}", schema)
    return found


def refuse(*statuses: str) -> dict[str, Schema]:
    """The same for one operation, by reference; of these statuses, or all."""
    return {status: {"$ref": f"#/components/responses/{status}"} for status in statuses or describe_refusals()}


def refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def answer(said: str, schema: Schema) -> Schema:
    """A response that is JSON."""
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def describe_score(said: str) -> Schema:
    """The operation that scores a file."""
    most = Settings().max_bytes
    file = {"type": "string", "format": "binary", "maxLength": most}
    form = {"allOf": [{"required": [FILE_FIELDS[0]], "properties": {FILE_FIELDS[0]: file}}, refer("Options")]}
    coded = {"allOf": [{"required": ["data"], "properties": {"data": {"type": "string"}}}, refer("Options")]}
    picture = {"schema": {"type": "string", "format": "binary"}}
    good = answer("The slice was scored; with Accept: image/png or image/jpeg the overlay itself.", refer("Reply"))
    good["content"] |= {"image/png": picture, "image/jpeg": picture}
    return {
        "summary": said,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in (*OPTIONS, *IDS)],
        "requestBody": {
            "required": True,
            "description": "May be sent with Content-Encoding: gzip, but for a form.",
            "content": {
                "application/octet-stream": {"schema": file},
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": coded},
            },
        },
        "responses": {"200": good, **refuse()},
    }


def describe_inference() -> Schema:
    """The same by the Open Inference Protocol."""
    data = {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string"}}
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {"name": {"enum": [*INPUTS]}, "datatype": {"const": "BYTES"}, "data": data},
    }
    asked = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "parameters": refer("Options"),
            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        },
    }
    return {
        "summary": "Score one slice by the Open Inference Protocol v2; options are parameters.",
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in IDS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {"200": answer("The slice was scored.", refer("InferenceReply")), **refuse()},
    }


def describe_probe(name: str, said: str) -> Schema:
    """A question to the gateway that is answered with yes or no."""
    schema = {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}
    return {
        "summary": f"{said} (the gateway alone)",
        "responses": {**refuse(*READS), "200": answer("yes", schema), "503": answer("no", schema)},
    }


def describe_document(said: str, *fields: str) -> Schema:
    """A question to the gateway that is answered with a document of these fields and perhaps more."""
    schema: Schema = {"type": "object", "required": [*fields]}
    return {
        "summary": f"{said} (the gateway alone)",
        "responses": {"200": answer(said, schema), **refuse(*READS, "503")},
    }


def describe_questions(name: str) -> dict[str, Schema]:
    """Path -> what it answers, for all that is read from the gateway; the first two need no key."""
    model = f"/v2/models/{name}"
    live, ready = describe_probe("live", "Whether the server is there."), describe_probe("ready", "Whether it scores.")
    return {
        "/healthz": {"get": live | {"security": []}},
        "/readyz": {"get": ready | {"security": []}},
        "/model": {
            "get": describe_document("model.json as it is served, and its engine", "classes", "files", "engine")
        },
        "/v2": {"get": describe_document("Open Inference Protocol: the server", "name", "version", "extensions")},
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        model: {"get": describe_document("Open Inference Protocol: the model's tensors", "name", "inputs", "outputs")},
        f"{model}/ready": {"get": ready},
    }


def build(model: Path) -> Schema:
    """The whole description. Raises what `load_model_folder` raises."""
    contract = load_model_folder(model).contract
    options = describe_options(contract.classes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LungServe",
            "version": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
            "description": f"A lung-CT slice goes in, class, probabilities and Grad-CAM come out. {NOTICE}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "https://127.0.0.1:8443", "description": "the gateway; the bearer is a client's key"},
            {"url": "http://127.0.0.1:8080", "description": "TorchServe; the bearer is its inference key"},
        ],
        "security": [{"bearer": []}],
        "paths": {
            f"/predictions/{contract.name}": {"post": describe_score("Score one slice.")},
            f"/explanations/{contract.name}": {"post": describe_score("Score one slice, heatmap always.")},
            f"/v2/models/{contract.name}/infer": {"post": describe_inference()},
            **describe_questions(contract.name),
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": {
                name: {"name": "X-" + name.replace("_", "-").title(), "in": "header", "schema": schema}
                for name, schema in options.items()
            }
            | {name: {"name": name, "in": "header", **said} for name, said in IDS.items()},
            "responses": describe_refusals(),
            "schemas": {
                **describe_answers(contract),
                "Options": {"type": "object", "properties": options},
                "TorchServeError": TORCHSERVE,
            },
        },
    }


def render(document: Schema) -> str:
    return json.dumps(document, indent=1) + "\n"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    args = parser.parse_args()
    print(render(build(args.model)), end="")
    return 0
