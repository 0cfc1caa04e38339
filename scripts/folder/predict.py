"""Score files and folders with the running server. Research use only.

    lungct predict slice.png --overlay overlay.png
    lungct predict folder/ --json > scores.jsonl

Exit codes: 0 all scored, 1 some refused, 2 nothing to score or no place for the overlay, 3 server down or busy,
130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from lungct import NOTICE
from lungct_client import Client, RefusedError, ServerError, TokenError
from lungct_tools.commandline import add_scoring_options, make_parser
from lungct_tools.folder.naming import printable
from lungct_tools.folder.source import Folder, SourceError, UnreadableError, read_path
from lungct_tools.server.choice import ChoiceError, add_server_options, choose_server, connect


def find_files(places: Iterable[Path]) -> list[Path]:
    """Files as given, and the slices of folders, as `score` finds them; SourceError where there is no such place."""
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise SourceError(f"{place} does not exist.")
        files += [entry.at for entry in Folder(place).entries()] if place.is_dir() else [place]
    return files


def find_root(places: Iterable[Path]) -> str:
    """The innermost folder that holds all places: names are shown as seen from it."""
    return os.path.commonpath([(place if place.is_dir() else place.parent).absolute() for place in places])


def score_file(client: Client, path: Path, options: dict[str, str]) -> dict[str, Any]:
    """The server's reply with the file's name; a refusal becomes a row with `error`."""
    try:
        return {"file": str(path), **client.predict(read_path(path), **options)}
    except UnreadableError as error:
        return {"file": str(path), "error": error.code, "message": str(error)}
    except RefusedError as error:
        return {"file": str(path), "error": error.code, "message": str(error), "request_id": error.request_id}


def score_files(
    client: Client, files: list[Path], options: dict[str, str], concurrency: int
) -> Iterator[dict[str, Any]]:
    """Rows in the order of the files, with that many requests in flight so that the server can batch."""
    with ThreadPoolExecutor(concurrency) as pool:
        yield from pool.map(lambda path: score_file(client, path, options), files)


def make_table(rows: list[dict[str, Any]], root: str) -> Table:
    """One line a scored file: class, confidence, decision, probabilities."""
    table = Table(title="LungServe", caption=NOTICE, row_styles=("", "dim"))
    classes = tuple(rows[0]["probabilities"])
    for name in ("file", "class", "confidence", "decision", *classes):
        table.add_column(name, justify="left" if name in ("file", "class", "decision") else "right", overflow="fold")
    for row in rows:
        shares = (f"{row['probabilities'][name]:.3f}" for name in classes)
        table.add_row(shorten(row, root), row["label"], f"{row['confidence']:.3f}", row["decision"], *shares)
    return table


def shorten(row: dict[str, Any], root: str) -> str:
    """A row's file as seen from `root`, for the console, which takes brackets for colours."""
    return escape(printable(os.path.relpath(row["file"], root)))


def show(rows: list[dict[str, Any]], root: str) -> None:
    """The table, then each warning once, then what was refused and why."""
    console = Console()
    scored = [row for row in rows if "error" not in row]
    if scored:
        console.print(make_table(scored, root))
    for warning in dict.fromkeys(warning for row in scored for warning in row["warnings"]):
        console.print(f"[yellow]warning[/] {escape(warning)}", highlight=False)
    for row in rows:
        if "error" in row:
            told = f"{shorten(row, root)}: {row['error']}. {escape(row['message'])}"
            console.print(f"[red]refused[/] {told}", highlight=False)


def write_overlay(client: Client, file: Path, target: Path, options: dict[str, str]) -> tuple[int, str]:
    """Keep the heatmap over the slice; exit code and what went wrong."""
    kind = "jpeg" if target.suffix.lower() in (".jpg", ".jpeg") else "png"
    try:
        target.write_bytes(client.overlay(read_path(file), kind, **options))
    except OSError as error:
        return 2, f"cannot write {target}: {error.strerror}."
    except UnreadableError as error:
        return 2, str(error)
    except (ServerError, TokenError) as error:
        return 3, str(error)
    return 0, ""


def check_places(args: argparse.Namespace, files: list[Path]) -> str | None:
    """None when there is something to score and a place for the overlay, said before anything is scored."""
    if not files:
        return "no files there."
    if args.overlay and len(files) != 1:
        return "--overlay needs exactly one file."
    if args.overlay and not args.overlay.parent.is_dir():
        return f"there is no folder {args.overlay.parent}."
    return None


def main() -> int:
    parser = make_parser(__doc__)
    add_server_options(parser)
    parser.add_argument("paths", type=Path, nargs="+", help="files or folders")
    add_scoring_options(parser, "draw it for these, with --json")
    parser.add_argument("--overlay", type=Path, help="write the heatmap over the slice here (one file only)")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    args = parser.parse_args()
    try:
        files = find_files(args.paths)
    except SourceError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 2
    if reason := check_places(args, files):
        print(f"predict: {reason}", file=sys.stderr)
        return 2
    options = {"heatmap": args.heatmap} | ({"window": args.window} if args.window else {})
    rows: list[dict[str, Any]] = []
    code, failure = 0, ""
    try:
        client = connect(choose_server(args))
        scored = score_files(client, files, options, args.concurrency)
        errors = Console(stderr=True)
        for row in track(scored, "Scoring", total=len(files), console=errors, transient=True, disable=len(files) < 8):
            if args.json:
                print(json.dumps(row), flush=True)
            rows.append(row)
    except ChoiceError as error:
        code, failure = 2, str(error)
    except (ServerError, TokenError, RefusedError) as error:
        code, failure = 3, str(error)
    except KeyboardInterrupt:
        code, failure = 130, f"stopped after {len(rows)} of {len(files)} files."
    if not args.json:
        show(rows, find_root(args.paths))
    if args.overlay and not code and "error" not in rows[0]:
        code, failure = write_overlay(client, files[0], args.overlay, options)
        if not code and not args.json:
            print(f"Overlay: {args.overlay}")
    if failure:
        print(f"predict: {failure}", file=sys.stderr)
    return code or int(any("error" in row for row in rows))
