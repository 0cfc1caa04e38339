"""Which commands there are, and what they share: options by one name, help in one voice, how one calls another."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from lungct_tools import ROOT

# Command -> the module whose main() it is, and what it does; in the order in which people meet them.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Serve": {
        "demo": ("operate.demo", "from a fresh clone to a scored slice; leaves the server running"),
        "serve": ("server.serve", "start TorchServe on loopback and wait until it is ready"),
        "status": ("server.status", "the server's workers, engine and readiness"),
        "scale": ("server.scale", "change the number of workers and wait for them"),
        "stop": ("operate.stop", "drain the gateway if there is one, then stop the server"),
        "archive": ("server.archive", "pack handler, model folder and settings into lung_ct.mar"),
        "update": ("operate.update", "serve another archive, tried beside the server first"),
        "health": ("server.health", "probes: live, ready"),
        "exporter": ("operate.exporter", "export queue depth, READY workers and a canary for Prometheus"),
    },
    "Use": {
        "predict": ("folder.predict", "score files or a folder and show a table"),
        "score": ("folder.score", "score a folder, ZIP or list of any size, over night"),
        "bulk": ("bulk.command", "score by the million in many processes, without a server"),
        "pacs": ("pacs.command", "series in from a PACS, results out as DICOM"),
        "ui": ("page.app", "the page for people, on this machine only"),
        "phantom": ("phantom.draw", "draw synthetic slices or a series, as DICOM or PNG"),
        "formats": ("documents.formats", "the table of what the server accepts"),
        "openapi": ("documents.openapi", "the OpenAPI description of the routes"),
        "flow": ("documents.flow", "the way of a request as SVG"),
        "completion": ("documents.completion", "tab completion for bash or zsh"),
    },
    "Protect and deploy": {
        "gateway": ("proxy.gateway", "TLS, keys, limits and a watchdog before the server, by nginx"),
        "key": ("proxy.keys", "add, list and remove keys of the gateway's clients"),
        "image": ("server.image", "build the container image with podman or docker"),
        "sbom": ("server.sbom", "bill of materials of what is served"),
    },
    "Train and measure": {
        "audit": ("modelling.audit", "copies, twins and short cuts in a data set"),
        "train": ("modelling.train", "train, then write the model folder"),
        "unseen": ("modelling.unseen", "train without each patient of other scanners, and judge it on that one"),
        "quantize": ("modelling.quantize", "add the int8 graph to a model folder"),
        "trust": ("modelling.trust", "set from when a slice is reported or refused, and count what that is worth"),
        "evaluate": ("modelling.evaluate", "every number of the model card again"),
        "import": ("modelling.import_checkpoint", "a model folder from a checkpoint of the original"),
        "bench": ("bench.benchmark", "served against in-process rates in one run"),
        "footprint": ("packages.footprint", "what set-up downloads, occupies and takes, in a fresh clone"),
        "engines": ("bench.engines", "rates of every engine on this machine"),
        "streams": ("bench.streams", "how a worker's threads share a batch"),
        "fuzz": ("bench.fuzz", "run the decoders' fuzz target"),
        "screenshots": ("page.screenshots", "README's pictures of the page"),
    },
}
# Command -> the extra of pyproject.toml without which it does not start; make's targets install the same.
NEEDS = {
    "audit": "train",
    "bench": "bench",
    "engines": "bench",
    "evaluate": "train",
    "fuzz": "fuzz",
    "import": "torch",
    "pacs": "pacs",
    "quantize": "train",
    "sbom": "sbom",
    "screenshots": "test",
    "streams": "bench",
    "train": "train",
    "trust": "train",
    "ui": "ui",
    "unseen": "train",
}
COMMANDS = {name: module for group in GROUPS.values() for name, (module, _) in group.items()}


def compose(*words: object) -> list[str]:
    """The command that runs `lungct WORDS` with this Python, whatever lies in the working directory."""
    return [sys.executable, "-P", "-m", "lungct_tools", *map(str, words)]


def find_run() -> Path:
    """The run folder that is meant where none is given."""
    return Path(os.environ.get("LUNG_CT_RUN", ROOT / ".run"))


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """The option that every command has: which server it speaks of."""
    parser.add_argument(
        "--run",
        type=Path,
        default=find_run(),
        help="folder of the server's run files (default: $LUNG_CT_RUN or %(default)s)",
    )


def positive(text: str) -> int:
    """A number of 1 or more, for options."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def port(text: str) -> int:
    """A number of a port, for options; 0 is any free one."""
    if not 0 <= (number := int(text)) < 2**16:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return number


def window(text: str) -> str:
    """A window that the server would take, for options."""
    from lungct.errors import LungCTError
    from lungct.exchange.request import parse  # brings OpenCV, which probes and other commands can do without

    try:
        parse({"body": b"?"}, {"X-Window": text}, ())
    except LungCTError as error:
        raise argparse.ArgumentTypeError(error.message.removeprefix("X-Window ")) from None
    return text


def add_scoring_options(parser: argparse.ArgumentParser, heatmap: str) -> None:
    """The options of all commands that score files; `heatmap` is the help of that one."""
    kinds = ("none", "abnormal", "always")
    parser.add_argument("--heatmap", choices=kinds, default="none", help=f"{heatmap} (default %(default)s)")
    add_window_option(parser)
    parser.add_argument("--concurrency", type=positive, default=16, help="requests in flight (default %(default)s)")


def add_window_option(parser: argparse.ArgumentParser) -> None:
    """The option of what scores DICOM files."""
    parser.add_argument(
        "--window",
        type=window,
        metavar="CENTRE,WIDTH",
        help="in HU, for DICOM and input of more than 8 bits; 8-bit pictures are refused with a window. "
        "The word file takes the one that a DICOM file proposes",
    )


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows the command's docstring, examples and all, and takes --window -600,1500 for what it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # Python 3.14's own; to those before it is an option
    return parser
