"""Print the way of a request from client to reply as SVG, with the numbers of the settings and of the model.

    lungct flow > docs/flow.svg          # as `make flow` does

A test holds docs/flow.svg to this output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import yaml

from lungct import NOTICE
from lungct_tools import ROOT
from lungct_tools.commandline import make_parser

WIDTH, HEIGHT, MARGIN = 1200, 410, 20
THERE, BACK, TALL = 90, 240, 120  # tops of the two rows of boxes, and their height
STYLE = (
    "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#1b2430}.name{font-size:15px;font-weight:700}"
    ".label{fill:#3f4a58;font-size:12px}.box{fill:#fff;stroke:#4a5a6d;stroke-width:1.5}"
    ".process{fill:#edf1f6;stroke:#4a5a6d;stroke-width:1.5}.child{fill:#fff4d6;stroke:#b26a00;stroke-dasharray:5 3}"
    ".way{stroke:#0b5cad;stroke-width:2.5;fill:none;marker-end:url(#tip)}"
)


class Box(NamedTuple):
    """A part of the picture: left, top, width and height in pixels, its name, and lines below that."""

    left: int
    top: int
    width: int
    height: int
    name: str
    lines: Sequence[str]
    kind: str = "box"

    def draw(self) -> Iterator[str]:
        """The box and its words."""
        x, y, width, height = self[:4]
        yield f'<rect class="{self.kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'
        yield f'<text class="name" x="{x + 12}" y="{y + 24}">{escape(self.name)}</text>'
        for number, line in enumerate(self.lines):
            yield f'<text x="{x + 12}" y="{y + 46 + 18 * number}">{escape(line)}</text>'


def list_boxes(settings: dict[str, Any], model: dict[str, Any]) -> list[Box]:
    """All parts, those behind others first."""
    tall, bottom = BACK + TALL - THERE, BACK + TALL + 15
    size, wait = settings["batchSize"], settings["maxBatchDelay"]
    mebi, side = settings["handler"]["max_bytes"] >> 20, model["size"]
    gateway = ("nginx: TLS, a key for", "each client, limits,", "second attempts.", "A must beyond", "loopback.")
    queue = (
        f"queues {settings['jobQueueSize']} requests,",
        "else 503; a batch is",
        f"up to {size}, or",
        f"those of {wait} ms",
    )
    reader = ("gray slice from PNG,", "JPEG here; all else", "in a child with clock", "and memory limit")
    evidence = ("like the training", "data? Evidence of", "each class; a map", "where asked")
    return [
        Box(MARGIN, THERE, 150, tall, "Client", ("curl, lungct_client,", "the page,", "the folder tool,", "a PACS")),
        Box(225, THERE, 160, tall, "Gateway", gateway, "process"),
        Box(440, THERE, 165, tall, "TorchServe", queue, "process"),
        Box(655, 45, WIDTH - 655 - MARGIN, bottom - 45, "Worker: lung_ct_handler.py, lungct", (), "process"),
        Box(670, THERE, 145, TALL, "Request", ("options; at most", f"{mebi} MiB a file")),
        Box(845, THERE, 160, TALL, "Reader", reader, "child"),
        Box(1035, THERE, 130, TALL, "Gate", ("is it an axial", "chest slice?")),
        Box(1035, BACK, 130, TALL, "Engine", (f"{side} x {side}, one", "forward pass for", "the whole batch")),
        Box(845, BACK, 160, TALL, "Gate, heatmap", evidence),
        Box(670, BACK, 145, TALL, "Reply", ("each its own status;", "a bad file costs no", "other its answer")),
    ]


def list_ways() -> Iterator[tuple[str, str, int, int]]:
    """Arrows as paths, each with its label and where that stands."""
    there, back = THERE + TALL // 2, BACK + TALL // 2
    labels = (("file", "reply"), ("request", "reply"), ("batch", "replies"))
    for (out, home), start, end in zip(labels, (170, 385, 605), (225, 440, 670), strict=True):
        yield f"M{start} {there}H{end - 4}", out, (start + min(end, 655)) // 2, there - 8
        yield f"M{end} {back}H{start + 4}", home, (start + min(end, 655)) // 2, back - 8
    for start, end in ((815, 845), (1005, 1035)):
        yield f"M{start} {there}H{end - 4}", "", 0, 0
        yield f"M{end} {back}H{start + 4}", "", 0, 0
    yield f"M1100 {THERE + TALL}V{BACK - 4}", "", 0, 0


def render() -> str:
    """The picture as SVG."""
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text(encoding="utf-8"))
    model = json.loads((ROOT / "model_store" / "lung_ct" / "model.json").read_text(encoding="utf-8"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">',
        '<title id="title">A request goes from the client through gateway, TorchServe, reader and engine to its reply'
        "</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="4" markerHeight="4" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#0b5cad"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    parts += [piece for box in list_boxes(settings, model) for piece in box.draw()]
    for path, label, x, y in list_ways():
        parts.append(f'<path class="way" d="{path}"/>')
        if label:
            parts.append(f'<text class="label" text-anchor="middle" x="{x}" y="{y}">{escape(label)}</text>')
    parts.append(f'<text class="label" x="{MARGIN}" y="{HEIGHT - 14}">{NOTICE}</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> int:
    make_parser(__doc__).parse_args()
    print(render(), end="")
    return 0
