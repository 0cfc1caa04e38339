"""What share of the processor's int8 peak the network reaches, by arithmetic and measured.

    python -P -m lungct_tools.bench.ceiling --seconds 3

Multiplications and additions of a slice follow from the shapes of the network. What the processor could do is asked of
oneDNN, by torch's product of two large int8 matrices on as many threads; beside it stands what AVX-512 VNNI is worth at
the clock that the system tells: 64 for each instruction and core, one or two instructions a cycle by the processor.
Each in turn; the best of the sizes counts.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lungct.engines import choose_engine
from lungct.model import load_model_folder
from lungct.settings import count_cores
from lungct_tools import ROOT
from lungct_tools.bench.engines import measure
from lungct_tools.commandline import make_parser, positive
from lungct_tools.documents.markdown import tabulate

SIZES = (512, 1024, 2048)  # rows and columns of a matrix
BATCH = 16
A_VNNI = 64  # multiplications and additions of one 512-bit VPDPBUSD


def count_products(network: nn.Module, size: int) -> int:
    """Multiplications, each with its addition, of all convolutions for one slice of (size, size).

    The first one has one channel, as the engines fold its three over the same gray. What the last layer adds is less
    than the ten thousandth part.
    """
    found = []

    def note(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        weights = layer.weight[:, :1] if layer is network.conv1 else layer.weight  # type: ignore[index]
        found.append(weights[0].numel() * output.numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.inference_mode():
        network(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(found)


def multiply(left: torch.Tensor, right: torch.Tensor) -> None:
    """An int8 product with sums of 32 bits, by oneDNN."""
    torch._int_mm(left, right)


def read_clock() -> float:
    """Cycles a second of a core, as the system tells them; NaN where it does not."""
    cpu = Path("/proc/cpuinfo")
    found = re.findall(r"^cpu MHz\s*: ([\d.]+)", cpu.read_text() if cpu.is_file() else "", re.MULTILINE)
    return 1e6 * float(np.mean([float(each) for each in found])) if found else float("nan")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    parser.add_argument("--seconds", type=positive, default=3, help="of each measurement (default %(default)s)")
    args = parser.parse_args()
    threads = count_cores()
    torch.set_num_threads(threads)
    folder = load_model_folder(args.model)
    engine = choose_engine(folder, "cpu", threads)
    size = folder.contract.size
    inputs = np.random.default_rng(0).integers(0, 256, (BATCH, 1, size, size), np.uint8)
    products = count_products(folder.network, size)
    forward = products * measure(lambda: engine.predict(inputs), BATCH, args.seconds)["rate"]
    best = 0.0
    for side in SIZES:
        left, right = (torch.randint(-128, 127, (side, side), dtype=torch.int8) for _ in range(2))
        best = max(best, side**3 * measure(partial(multiply, left, right), 1, args.seconds)["rate"])
    told = threads * read_clock() * A_VNNI
    rows = [
        (f"the network by {engine.name}, {products / 1e9:.2f} a slice", f"{forward / 1e9:.0f}", "1.00"),
        ("int8 matrices by oneDNN, the best size", f"{best / 1e9:.0f}", f"{forward / best:.2f}"),
        (f"one VNNI instruction a cycle, {threads} cores", f"{told / 1e9:.0f}", f"{forward / told:.2f}"),
        (f"two VNNI instructions a cycle, {threads} cores", f"{2 * told / 1e9:.0f}", f"{forward / told / 2:.2f}"),
    ]
    print(tabulate(("way", "thousand million multiplications/s", "share that the network reaches"), rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
