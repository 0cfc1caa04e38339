"""Pack the handler, a verified model folder and the settings into lung_ct.mar with torch-model-archiver.

lungct archive
lungct archive --model my_model --out my_store

An archive that `make update` put there stays, unless --force is given. Beside the archive its seal is written, the
sha256 of the whole file, without which it is not served. model.json has a seal as well, over all that it says;
--seal-model renews that one after a change by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from compileall import compile_dir
from pathlib import Path
from py_compile import PycInvalidationMode

from rich.console import Console

from lungct.errors import ModelFolderError
from lungct.model.contract import CONTRACT, seal
from lungct.model.folder import load_model_folder
from lungct_tools import ROOT
from lungct_tools.commandline import make_parser
from lungct_tools.server.classes import make_classes
from lungct_tools.server.java import find_classes
from lungct_tools.server.modelconfig import check_settings
from lungct_tools.server.seal import NAME, ArchiveError, check_seal, find_seal, fits, write_seal


def newest(*places: Path) -> float:
    """Time of the latest change in files and folders."""
    files = [f for place in places for f in ([place] if place.is_file() else place.rglob("*"))]
    return max(f.stat().st_mtime for f in files if "__pycache__" not in f.parts)


def holds(target: Path, model: Path, settings: Path) -> bool:
    """Whether the archive holds this model and these settings."""
    try:
        with zipfile.ZipFile(target) as archive:  # model.json has the hash of every file of its model
            return all(archive.read(path.name) == path.read_bytes() for path in (model / CONTRACT, settings))
    except (KeyError, OSError, zipfile.BadZipFile):
        return False


def came_by_update(target: Path) -> bool:
    """Whether lungct update put the archive there: it copies the one before to .previous after the new one."""
    previous = target.with_name(f"{target.name}.previous")
    return previous.is_file() and previous.stat().st_mtime >= target.stat().st_mtime


def keep(target: Path, model: Path, settings: Path) -> str | None:
    """Why the archive that is there is left alone; None where it is to be built.

    Raises:
        ArchiveError: it came by an update and was changed since: not to be served, nor to be replaced unasked.
    """
    same = holds(target, model, settings)
    if not same and came_by_update(target):
        check_seal(target, find_seal(target))
        return (
            f"{target} holds another model or other settings, put there by `make update`; "
            f"`make archive ARGS=--force` builds that of {model}"
        )
    if same and target.stat().st_mtime > newest(ROOT / "handler", model, settings):
        if fits(target, find_seal(target)):
            return f"{target} is up to date"
        print(f"archive: {target} does not fit its seal, or has none; it is built anew")
    return None


def build(model: Path, out: Path, settings: Path) -> Path:
    """Write `out`/lung_ct.mar in one stroke, then its seal.

    Raises:
        ModelFolderError: the model folder does not verify.
        ValueError: the settings could not be served with.
    """
    contract = load_model_folder(model).contract
    check_settings(settings.read_bytes())
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as staging, tempfile.TemporaryDirectory(dir=out) as export:
        # Copies are of now: sources dated before 1980, as some file systems and packagers have them, fit no ZIP file.
        package = shutil.ignore_patterns("__pycache__")
        shutil.copytree(
            ROOT / "handler" / "lungct", Path(staging) / "lungct", ignore=package, copy_function=shutil.copy
        )
        for name in (CONTRACT, *contract.files):
            shutil.copy(model / name, staging)
        arguments = {
            "--model-name": contract.name,
            "--version": contract.version,
            "--handler": ROOT / "handler" / "lung_ct_handler.py",
            "--extra-files": staging,
            "--config-file": settings,
            "--export-path": export,
            "--archive-format": "zip-store",  # weights shrink by a seventh, and every start would inflate them
        }
        archiver = Path(sys.executable).parent / "torch-model-archiver"
        command = [archiver, *(str(part) for pair in arguments.items() for part in pair)]
        # It works in one folder of TMPDIR by the model's name, where two at once break each other.
        subprocess.run(command, env={**os.environ, "TMPDIR": export}, check=True)
        fresh = Path(export) / f"{contract.name}.mar"
        add_compiled(fresh, Path(staging))
        find_seal(out / fresh.name).unlink(missing_ok=True)  # there is never a moment in which an old one vouches
        target = fresh.replace(out / fresh.name)
        write_seal(target)
        return target


def add_compiled(archive: Path, staging: Path) -> None:
    """Add the core's modules as compiled by this Python: else the first worker of every server would do it.

    They are known by their sources' hash, as unpacking gives these another time. The archiver leaves such files out.
    """
    compile_dir(staging / "lungct", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    with zipfile.ZipFile(archive, "a") as packed:
        for path in sorted(staging.glob("lungct/**/*.pyc")):
            packed.write(path, path.relative_to(staging))


def share_classes() -> None:
    """Have TorchServe's classes ready for its starts; without them they take longer, and nothing else is lost."""
    try:
        with Console(stderr=True).status("archive: laying out Java's classes, once for this environment"):
            make_classes(find_classes())
    except (OSError, subprocess.SubprocessError) as error:
        print(f"archive: starts will take longer, as Java's classes could not be laid out: {error}", file=sys.stderr)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder")
    parser.add_argument("--out", type=Path, default=ROOT / "model_store", help="folder of the archive")
    parser.add_argument("--settings", type=Path, default=ROOT / "config" / "model-config.yaml")
    parser.add_argument(
        "--seal-model", action="store_true", help="vouch for model.json as it is now, before it is packed"
    )
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    args = parser.parse_args()
    target = args.out / NAME
    try:
        if args.seal_model:
            seal(args.model)
        if not args.force and target.is_file() and (said := keep(target, args.model, args.settings)):
            print(f"archive: {said}")
            share_classes()
            return 0
        target = build(args.model, args.out, args.settings)
    except (ArchiveError, ModelFolderError, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"archive: {error}", file=sys.stderr)
        return 1
    print(f"archive: wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")
    share_classes()
    return 0
