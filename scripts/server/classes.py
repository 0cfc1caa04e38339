"""TorchServe's classes as Java lays them out in memory, in a file that Java maps instead of reading its jar again.

It halves what a start of Java computes and takes 20 MB off its memory. The file lies beside the jar: who can write
there can write the jar as well. Its name belongs to this very Java and jar (Java itself would take that of another
jar), and Java takes it only if it is whole, else it starts as it would without; so does a server whose environment
nobody could write to when the archive was built.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path

from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.java import compose_java, find_frontend, find_home
from lungct_tools.server.polling import poll
from lungct_tools.server.properties import write_settings
from lungct_tools.server.serve import environment

DEADLINE_S = 60  # of each of two runs of Java, which take 3


def make_classes(target: Path) -> Path:
    """Write the file, unless it is there, and take away those of other Javas and jars beside it.

    Raises:
        OSError, subprocess.SubprocessError: Java did not do it, or the place cannot be written to.
    """
    if target.is_file():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="lungct-") as scratch:
        listed, made = Path(scratch) / "classes.txt", Path(scratch) / target.name
        list_classes(Path(scratch), listed)
        dump = [find_home() / "bin" / "java", "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedClassListFile={listed}"]
        command = [*dump, f"-XX:SharedArchiveFile={made}", "-cp", find_frontend()]
        subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
        for old in target.parent.glob("lungct-*.jsa"):
            old.unlink(missing_ok=True)
        return made.replace(target)


def list_classes(scratch: Path, listed: Path) -> None:
    """Have Java note which classes a server loads that has no model, and answers a request at each of its addresses."""
    instance = Instance(scratch, tuple(find_ports(5)), temp=str(scratch))
    settings = write_settings(instance, scratch, ["load_models=", "disable_system_metrics=true"])
    java, *rest = compose_java(instance, settings, scratch)
    quiet = subprocess.DEVNULL
    place = {"cwd": scratch, "env": environment(instance), "stdin": quiet, "stdout": quiet, "stderr": quiet}
    with subprocess.Popen([java, f"-XX:DumpLoadedClassList={listed}", *rest], **place) as server:
        try:
            for port in instance.ports[:3]:
                wait_answer(port, server)
        finally:
            server.terminate()


def wait_answer(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until something answers there, whatever it says; OSError where the server ends before, or nothing ever does."""
    for _ in poll(DEADLINE_S, 0.05):
        if server.poll() is not None:
            break
        with suppress(OSError), closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/ping")
            connection.getresponse()
            return
    raise OSError(f"TorchServe does not answer on port {port}")
