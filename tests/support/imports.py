"""What code loads, seen in a process of its own."""

import subprocess
import sys


def check_unloaded(statements, path, *modules):
    """Run statements, to which `body` is what the file at `path` holds; none of the modules may be loaded by then."""
    script = (
        f"import pathlib, sys; body = pathlib.Path(sys.argv[1]).read_bytes(); {statements};"
        f"assert not {set(modules)!r} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", script, path], check=True)
