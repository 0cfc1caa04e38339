"""Make .venv from requirements.lock: pinned, hash-checked, only what is asked for. Runs on plain Python.

    python3 scripts/setup.py                  # what serves
    python3 scripts/setup.py bench ui         # that, and two extras of pyproject.toml
    python3 scripts/setup.py --gpu            # that, and torch where an NVIDIA GPU is seen

It does only what is missing and takes nothing away. A .venv that somebody made by hand stays as it is. pip's index,
certificate, proxy and credentials are used, wherever pip has them from. LUNG_CT_TORCH_INDEX=URL takes torch and
torchvision from another wheel index (a CPU-only build is 6 GB smaller), without hashes, and leaves CUDA out.

Exit codes: 0 all is there, 1 a step failed, 2 this Python is too old or too new, or an extra does not exist.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "lungct.stamp"
SERVES = "archive"  # the extra that every environment has
FIRST = ("setuptools", "uv")  # uv installs the rest, which setuptools builds where there is no wheel
CUDA_ROWS = ("nvidia-", "cuda-", "triton")
TORCH_ROWS = ("torch", "torchvision")
# pip's setting -> the variable in which uv reads the same.
SETTINGS = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}


def name_package(requirement: str) -> str:
    """The package that a requirement or a lock's row is about, as the lock spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def read_lock() -> dict[str, list[str]]:
    """Package name -> its requirement blocks (several where markers choose a version)."""
    text = (ROOT / "requirements.lock").read_text()
    blocks: dict[str, list[str]] = {}
    for block in re.findall(r"^[a-zA-Z0-9].*\n(?:[ \t]+.*\n?)*", text, re.MULTILINE):
        blocks.setdefault(name_package(block), []).append(block)
    return blocks


def read_extras() -> dict[str, list[str]]:
    """Extra -> its requirements; "" -> those of every environment."""
    import tomllib  # which Pythons before 3.11 lack, and those are to get as far as our sentence

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def expand(extras: Iterable[str]) -> set[str]:
    """What extras require, through other extras of ours, with what every environment has."""
    declared, left, found = read_extras(), {"", *extras}, set()
    done: set[str] = set()
    while left:
        done.add(extra := left.pop())
        for requirement in declared[extra]:
            if inner := re.match(r"lungct\[(.+?)]", requirement):
                left |= set(inner[1].split(",")) - done
            else:
                found.add(requirement)
    return found


def choose_rows(extras: Iterable[str]) -> dict[str, list[str]]:
    """The part of the lock that extras need, read from its remarks on who needs what; uv's own row with it."""
    lock, chosen = read_lock(), {*map(name_package, expand(extras)), *FIRST}
    needed_by = {
        name: {name_package(each) for block in blocks for each in re.findall(r"# via (.+)", block)[0].split(", ")}
        for name, blocks in lock.items()
    }
    while more := {name for name, parents in needed_by.items() if parents & chosen} - chosen:
        chosen |= more
    return {name: lock[name] for name in sorted(chosen)}


def fingerprint(rows: dict[str, list[str]], torch_index: str) -> str:
    """Changes when anything does that the environment is made from."""
    project = (ROOT / "pyproject.toml").read_text()
    parts = [project, *(block for blocks in rows.values() for block in blocks), torch_index, sys.version]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def read_stamp() -> dict[str, object] | None:
    """What we last made of .venv; None where it was not us."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except FileNotFoundError:
        return None
    except ValueError:  # of version 1.4, which installed everything
        return {"extras": ["test"], "made": ""}


def write_stamp(extras: Iterable[str], made: str) -> None:
    """`made` is "" until all of it is there: who is interrupted begins again."""
    STAMP.write_text(json.dumps({"extras": sorted(extras), "made": made}) + "\n")


def see_gpu() -> bool:
    """Whether TorchServe will see an NVIDIA GPU: it asks the same program."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    try:
        found = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, check=False)  # noqa: S607 -- from PATH
        return b"GPU" in found.stdout
    except OSError:
        return False


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, env=env)


def install(rows: Iterable[list[str]], command: list[str], env: dict[str, str] | None = None) -> None:
    """Install requirement blocks with `command`, every file checked against its hashes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(block for blocks in rows for block in blocks))
        file.flush()
        run([*command, "--no-deps", "--require-hashes", "-r", file.name], env)


def translate_settings(listed: str) -> dict[str, str]:
    """pip's settings, as `pip config list` shows them, in uv's variables.

    [install] counts more than [global], and the environment more than both. The values are Python literals.
    """
    ranks = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for section, name, value in re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listed, re.MULTILINE):
        if ranks[section] >= found.get(name, (0, ""))[0]:
            found[name] = ranks[section], str(ast.literal_eval(value))
    named = {SETTINGS[name]: value for name, (_, value) in found.items() if name in SETTINGS}
    if "UV_FIND_LINKS" in named:
        named["UV_FIND_LINKS"] = ",".join(named["UV_FIND_LINKS"].split())
    # All files have hashes, so it does no harm that any index may have the one that is wanted.
    return named | {"UV_INDEX_STRATEGY": "unsafe-best-match"} | ({"UV_NO_INDEX": "1"} if "no-index" in found else {})


def make_settings(python: str) -> dict[str, str]:
    """The environment for uv: what it reads itself, and pip's settings for what it does not."""
    command = [python, "-P", "-m", "pip", "config", "list"]
    translated = translate_settings(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ours = {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = {"SSL_CERT_FILE": bundle} if bundle else {}  # pip reads those two, uv this one
    store = ssl.get_default_verify_paths()
    if store.cafile or store.capath:  # pip trusts whom the system trusts, uv only when it is told to
        trusted["UV_SYSTEM_CERTS"] = "1"
    return {**trusted, **os.environ, **translated, **ours}


def make_environment(rows: dict[str, list[str]], torch_index: str) -> None:
    """Create .venv if it is not there, and install the rows and this project into it."""
    python = str(VENV / "bin" / "python")
    if not (VENV / "bin" / "pip").exists():
        print(f"setup: making {VENV}", flush=True)
        run([sys.executable, "-P", "-m", "venv", "--clear", str(VENV)])
        write_stamp([SERVES], "")
    print("setup: the installer (uv)", flush=True)
    install((rows.pop(name) for name in FIRST), [python, "-P", "-m", "pip", "install", "--quiet"])
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", python, "--no-build-isolation"]
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # else every start of every process would compile torch anew
        uv.append("--compile-bytecode")
    env = make_settings(python)
    if env.get("UV_NO_INDEX"):  # of all the settings the one that uv knows as an option only
        uv.append("--no-index")
    if torch_index and "torch" in rows:
        print("setup: torch and torchvision from LUNG_CT_TORCH_INDEX, not hash-checked", flush=True)
        run([*uv, "--index-url", torch_index, *(rows[name][0].split()[0] for name in TORCH_ROWS)], env)
        rows = {n: blocks for n, blocks in rows.items() if n not in TORCH_ROWS and not n.startswith(CUDA_ROWS)}
    size = ", 7.5 GB on disk with the CUDA libraries of torch" if "torch" in rows else ""
    print(f"setup: {len(rows)} packages{size}", flush=True)
    try:
        install(rows.values(), uv, env)
    except subprocess.CalledProcessError:  # pip has fetched uv: it may know a way to the index that uv does not
        print("setup: uv did not do it; pip tries, which takes longer", file=sys.stderr, flush=True)
        install(rows.values(), [python, "-P", "-m", "pip", "install", "--quiet", "--no-build-isolation"])
    print("setup: this project, editable", flush=True)
    run([*uv, "--quiet", "--no-deps", "--editable", str(ROOT)], env)


def main() -> int:
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        print(f"setup: Python 3.11 to 3.14 is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.12")
        return 2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="of pyproject.toml: " + ", ".join(read_extras())[2:])
    parser.add_argument("--gpu", action="store_true", help="add torch where an NVIDIA GPU is seen")
    parser.add_argument("--quiet", action="store_true", help="say nothing when nothing is missing")
    args = parser.parse_args()
    if unknown := set(args.extras) - read_extras().keys():
        print(f"setup: there is no extra {min(unknown)}; there are {', '.join(read_extras())[2:]}", file=sys.stderr)
        return 2
    stamp = read_stamp()
    if stamp is None and (VENV / "bin" / "python").exists():
        if not (VENV / "bin" / "lungct").exists():
            advice = f"move it away, or run: uv pip install -c requirements.lock -e '.[{SERVES}]'"
            print(f"setup: .venv was made by hand and lacks this project; {advice}", file=sys.stderr)
            return 2
        if not args.quiet:
            print("setup: .venv was made by hand and stays as it is")
        return 0
    extras = {SERVES, *args.extras, *(str(each) for each in (stamp or {}).get("extras", ()))}
    if args.gpu and see_gpu() and "torch" not in expand(extras):
        print("setup: an NVIDIA GPU is here: torch comes with it, about 3 GiB to download", flush=True)
        extras.add("torch")
    torch_index = os.environ.get("LUNG_CT_TORCH_INDEX", "")
    rows = choose_rows(extras)
    wanted = fingerprint(rows, torch_index)
    if stamp and stamp["made"] == wanted:
        if not args.quiet:
            print("setup: .venv is up to date")
        return 0
    try:
        make_environment(rows, torch_index)
    except subprocess.CalledProcessError as error:
        print(f"setup: this step failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    write_stamp(extras, wanted)
    print("setup: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
