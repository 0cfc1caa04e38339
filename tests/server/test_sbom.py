"""The bill of materials lists what is served, with the versions that are really inside."""

import json
import re
import subprocess
import zipfile
from importlib.metadata import version
from pathlib import PurePosixPath

import pytest

from lungct_tools.proxy.nginx import find_nginx
from lungct_tools.server.libraries import PACKAGES
from lungct_tools.server.sbom import BUILD_FILE, find_jar
from tests.conftest import run_script

OWN = "org/pytorch/serve"  # TorchServe's own packages
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
    told = {
        "grpc-netty-shaded": "1.50.0",
        "log4j-core": "2.17.1",
        "groovy": "3.0.9",
        "picocli": "4.6.1",
        "ant": "1.10.11",
    }
    for name, number in {**told, "junit": "4.13.2", "antlr": "2.7.7", "jquery": "3.5.1"}.items():
        assert parts[name]["version"] == number
    for coordinates, number in BUILD_FILE.items():
        assert parts[coordinates.partition(":")[2]]["version"] == number


def test_every_class_in_the_frozen_jar_belongs_to_a_library_that_is_listed(parts):
    with zipfile.ZipFile(find_jar()) as jar:
        classes = {re.sub("^META-INF/versions/[0-9]+/", "", name) for name in jar.namelist() if name.endswith(".class")}
    homes = {str(PurePosixPath(name).parent) for name in classes - {"module-info.class"}}
    used, strange = set(), set()
    for home in homes:
        fits = [root for root in (*PACKAGES, OWN) if f"{home}/".startswith(f"{root}/")]
        used.update([max(fits, key=len)] if fits else [])
        strange.update([] if fits else [home])
    assert strange == set()
    assert used == {*PACKAGES, OWN}, "a package that the jar has not"
    listed = {f"{part['group']}:{part['name']}" for part in parts.values() if "group" in part}
    assert set(PACKAGES.values()) <= listed


def test_python_packages_are_those_of_serving_alone(parts):
    for name in ("torchserve", "numpy", "pydicom", "openvino"):
        assert parts[name]["version"] == version(name)
        assert parts[name]["purl"].startswith(f"pkg:pypi/{name}@")
    assert not {"pytest", "streamlit", "torch", "uv"} & set(parts)
    assert parts["OpenJDK"]["version"].startswith("21.")


def test_the_programs_that_the_gateway_runs_are_listed_as_they_are_installed(parts):
    told = subprocess.run([find_nginx(), "-V"], capture_output=True, text=True, check=True).stderr
    assert f"nginx/{parts['nginx']['version']}" in told
    assert f"OpenSSL {parts['openssl']['version']}" in told
    assert parts["util-linux"]["version"]


def test_a_part_whose_version_nothing_tells_has_the_hash_of_its_classes(parts):
    unknown = [part for part in parts.values() if "version" not in part]
    for part in unknown:
        kept = {each["name"]: each["value"] for each in part["properties"]}
        assert re.fullmatch("[0-9a-f]{64}", kept["lung-ct:classes-sha256"]), part["name"]
