"""The rows of the lock that each extra takes, held against what its packages say that they need."""

import subprocess
import sys
from functools import cache
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lungct_tools import setup
from lungct_tools.packages.lacking import has
from lungct_tools.setup import choose_rows, expand, make_settings, name_package, read_extras


@cache
def read_needs(package, extra):
    """What an installed package requires here, of what is installed; "" without any extra."""
    needed = map(Requirement, metadata(package).get_all("Requires-Dist", ()))
    return [r for r in needed if (not r.marker or r.marker.evaluate({"extra": extra})) and has(r.name)]


@cache
def read_all_extras(package):
    return metadata(package).get_all("Provides-Extra", ())


def follow(requirements, every_extra=False):
    """Packages that requirements lead to, as the installed ones say; `every_extra`: and for extras not asked for."""
    left, met = [Requirement(each) for each in requirements], set()
    while left:
        each = left.pop()
        if each.marker and not each.marker.evaluate({"extra": ""}):
            continue
        for extra in ("", *(read_all_extras(each.name) if every_extra else each.extras)):
            if (node := (name_package(each.name), extra)) not in met:
                met.add(node)
                left += [Requirement(str(need).partition(";")[0]) for need in read_needs(*node)]
    return {name for name, _ in met}


@pytest.mark.parametrize("extra", sorted(read_extras()))
def test_the_rows_of_an_extra_are_those_that_its_packages_need(extra):
    """And some that one of them needs for an extra of its own: the lock's remarks on who needs what tell no extras."""
    chosen = {name for name in choose_rows([extra]) if has(name)}
    assert follow(expand([extra])) <= chosen
    assert chosen <= follow([*expand([extra]), *setup.FIRST], every_extra=True)


@pytest.mark.ops
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_35"])
def test_every_package_that_serves_has_a_wheel(python, platform, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("".join(block for blocks in choose_rows([setup.SERVES]).values() for block in blocks))
    command = [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [rows, "--python-version", python, "--python-platform", platform]
    done = subprocess.run(command, env=make_settings(sys.executable), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("pyjpegls" in done.stdout) == (python != "3.14")
