"""TorchServe's classes, laid out for Java when the archive is built."""

import re
import subprocess
from pathlib import Path

import pytest

from lungct_tools.server import java
from lungct_tools.server.classes import make_classes
from lungct_tools.server.instance import Instance
from tests.conftest import run_script


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Made anew, beside what is left of another Java."""
    target = tmp_path_factory.mktemp("frontend") / "lungct-0123.jsa"
    target.with_name("lungct-4567.jsa").touch()
    return make_classes(target)


def explain(monkeypatch, tmp_path, classes):
    """TorchServe asked for its options, by the command of a start that finds these classes; where its own are from."""
    settings = tmp_path / "config.properties"
    settings.write_text("vmargs=-XX:+UseSerialGC -Xlog:class+load:file=loaded.txt\n")
    monkeypatch.setattr(java, "find_classes", lambda: classes)
    command = java.compose_java(Instance(tmp_path, temp=str(tmp_path)), settings, tmp_path)
    command = [*command[: command.index(java.SERVER) + 1], "--wrong"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "--ts-config" in done.stdout) == (1, True), done.stderr
    loaded = (tmp_path / "loaded.txt").read_text()
    return set(re.findall(r" org[.]pytorch[.].* source: (shared objects|file|jrt)", loaded))


def test_java_maps_its_classes_and_those_of_another_are_taken_away(monkeypatch, tmp_path, classes):
    assert list(classes.parent.iterdir()) == [classes]
    assert explain(monkeypatch, tmp_path, classes) == {"shared objects"}


def damage(whole):
    """Each page of the middle half is another."""
    spoilt = bytearray(whole)
    for place in range(len(whole) // 4, 3 * len(whole) // 4, 4096):
        spoilt[place] ^= 0xFF
    return bytes(spoilt)


@pytest.mark.parametrize(
    "change",
    [damage, lambda whole: whole[: len(whole) // 2], lambda whole: whole[:10], lambda _: b"", lambda _: b"no classes"],
    ids=["damaged", "cut short", "a few bytes", "empty", "another file"],
)
def test_what_is_no_whole_file_of_classes_stops_no_start(monkeypatch, tmp_path, classes, change):
    spoilt = tmp_path / classes.name
    spoilt.write_bytes(change(classes.read_bytes()))
    assert explain(monkeypatch, tmp_path, spoilt) == {"file"}


def test_another_jar_or_another_java_does_not_find_them(monkeypatch, tmp_path):
    ours = java.find_classes()
    jar = tmp_path / "model-server.jar"
    jar.write_bytes(b"a newer one")
    with monkeypatch.context() as changed:
        changed.setattr(java, "find_frontend", lambda: jar)
        assert java.find_classes().name != ours.name
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_classes() not in (ours, jar)


@pytest.mark.parametrize("script", ["", "#!/bin/sh\nexit 3\n"], ids=["no java", "one that ends at once"])
def test_an_archive_is_built_where_no_classes_can_be_laid_out(monkeypatch, tmp_path, script):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text(script)
    (tmp_path / "bin" / "java").chmod(0o700 if script else 0o600)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    done = run_script("archive", "--out", tmp_path / "store")
    assert (done.returncode, "starts will take longer" in done.stderr) == (0, True), done.stderr
    assert (tmp_path / "store" / "lung_ct.mar").is_file()
    assert not java.find_classes().exists()


@pytest.mark.server
def test_a_server_maps_them(server):
    assert str(java.find_classes()) in Path(f"/proc/{server.pid}/maps").read_text()
