"""Make .venv from requirements.lock: pinned, hash-checked, nothing but the package index. Runs on plain Python.

    python3 scripts/setup.py            # does only what is missing

LUNG_CT_TORCH_INDEX=URL takes torch and torchvision from another wheel index (a CPU-only build is 6 GB smaller), without
hashes, and leaves the CUDA libraries out.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "lungct.stamp"
CUDA_ROWS = ("nvidia-", "cuda-", "triton")
TORCH_ROWS = ("torch", "torchvision")


def read_lock() -> dict[str, list[str]]:
    """Package name -> its requirement blocks (several where markers choose a version)."""
    text = (ROOT / "requirements.lock").read_text()
    blocks: dict[str, list[str]] = {}
    for block in re.findall(r"^[a-zA-Z0-9].*\n(?:[ \t]+.*\n?)*", text, re.MULTILINE):
        blocks.setdefault(re.split(r"[=\[ ]", block, maxsplit=1)[0], []).append(block)
    return blocks


def fingerprint(torch_index: str) -> str:
    """Changes when anything does that the environment is made from."""
    parts = [(ROOT / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
    return hashlib.sha256(b"".join([*parts, torch_index.encode(), sys.version.encode()])).hexdigest()


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, env=env)


def install(rows: list[str], command: list[str], env: dict[str, str] | None = None) -> None:
    """Install requirement blocks with `command`, every file checked against its hashes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(rows))
        file.flush()
        run([*command, "--no-deps", "--require-hashes", "-r", file.name], env)


def index_of_pip(python: str) -> dict[str, str]:
    """uv does not read pip's settings: hand it the index that pip is set to, if any."""
    listed = subprocess.run(
        [python, "-P", "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"[.]index-url='(.+)'", listed)
    return {"UV_DEFAULT_INDEX": found[1]} if found and "UV_DEFAULT_INDEX" not in os.environ else {}


def make_environment(torch_index: str) -> None:
    """Create .venv and install the lock and this project into it."""
    python = str(VENV / "bin" / "python")
    if not (VENV / "bin" / "pip").exists():
        print(f"setup: making {VENV}", flush=True)
        run([sys.executable, "-P", "-m", "venv", "--clear", str(VENV)])
    lock = read_lock()
    print("setup: the installer (uv)", flush=True)
    install(lock["uv"], [python, "-P", "-m", "pip", "install", "--quiet"])
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", python]
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # else every start of every process would compile torch anew
        uv.append("--compile-bytecode")
    env = {**os.environ, **index_of_pip(python)}
    if torch_index:
        print("setup: torch and torchvision from LUNG_CT_TORCH_INDEX, not hash-checked", flush=True)
        pins = [lock[name][0].split()[0] for name in TORCH_ROWS]
        run([*uv, "--index-url", torch_index, *pins], env)
        lock = {n: rows for n, rows in lock.items() if n not in TORCH_ROWS and not n.startswith(CUDA_ROWS)}
    print(f"setup: {len(lock)} packages (7.5 GB on disk with the CUDA libraries of torch)", flush=True)
    install([block for rows in lock.values() for block in rows], uv, env)
    print("setup: this project, editable", flush=True)
    run([*uv, "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], env)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print(f"setup: Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.12")
        return 2
    torch_index = os.environ.get("LUNG_CT_TORCH_INDEX", "")
    wanted = fingerprint(torch_index)
    if STAMP.is_file() and STAMP.read_text() == wanted:
        print("setup: .venv is up to date")
        return 0
    try:
        make_environment(torch_index)
    except subprocess.CalledProcessError as error:
        print(f"setup: this step failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    STAMP.write_text(wanted)
    print("setup: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
