"""The bill of materials lists what is served, with the versions that are really inside."""

import json
import re
import zipfile
from importlib.metadata import version

import pytest

from scripts.sbom import BUILD_FILE, find_jar
from tests.conftest import run_script

pytestmark = pytest.mark.ops


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Name -> component, those inside others as well."""
    out = tmp_path_factory.mktemp("sbom") / "sbom.json"
    done = run_script("sbom", "--out", out)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    inside = [part for each in document["components"] for part in each.get("components", [])]
    return {part["name"]: part for part in (*document["components"], *inside)}


def test_the_frozen_jar_is_listed_with_the_versions_that_it_holds(parts):
    with zipfile.ZipFile(find_jar()) as jar:
        netty = re.search(rb"netty-codec-http\.version=(.+)", jar.read("META-INF/io.netty.versions.properties"))
        assert parts["netty-codec-http"]["version"] == netty[1].decode().strip() == "4.1.53.Final"
        assert parts["grpc-netty-shaded"]["version"].encode() in jar.read("io/grpc/internal/GrpcUtil.class")
        names = set(jar.namelist())
    for name, number in {"grpc-netty-shaded": "1.50.0", "log4j-core": "2.17.1", "groovy": "3.0.9"}.items():
        assert parts[name]["version"] == number
    for coordinates, number in BUILD_FILE.items():
        group, name = coordinates.split(":")
        assert parts[name]["version"] == number
        root = {"com.lmax": "com/lmax/disruptor/", "org.yaml": "org/yaml/snakeyaml/"}.get(group)
        root = root or {"com.google.code.gson": "com/google/gson/", "io.prometheus": "io/prometheus/client/"}[group]
        assert any(each.startswith(root) for each in names), f"{name} is not in the jar"


def test_python_packages_are_those_of_serving_alone(parts):
    for name in ("torchserve", "numpy", "pydicom", "openvino"):
        assert parts[name]["version"] == version(name)
        assert parts[name]["purl"].startswith(f"pkg:pypi/{name}@")
    assert not {"pytest", "streamlit", "torch", "uv"} & set(parts)
    assert parts["OpenJDK"]["version"].startswith("21.")
