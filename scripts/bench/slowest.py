"""How long the slowest batch takes that clients may send: what responseTimeout of model-config.yaml has to allow.

    python -P -m lungct_tools.bench.slowest                  # on a machine with nothing else to do

A batch of the largest slices that are taken, each answered with its overlay as PNG, which is the slowest to encode, on
as many threads as a worker has. TorchServe ends a worker that takes longer, with all that it holds; a worker that was
stopped holds its callers as long. So the deadline is a multiple of this, and no more.
"""

from __future__ import annotations

import io
import math
import time

import numpy as np
import yaml
from PIL import Image

from lungct.engines import choose_engine
from lungct.model.folder import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores
from lungct_tools import ROOT
from lungct_tools.commandline import make_parser
from lungct_tools.phantom.anatomy import draw_slice

SPARE = 3  # times the slowest batch: a machine that is busy with other things is slow, not broken


def draw_largest(settings: Settings) -> bytes:
    """A slice of as many pixels as are taken, as PNG: of the formats in the worker's own process the slowest."""
    side = min(math.isqrt(settings.max_pixels), settings.max_side)
    hu = draw_slice(5, "spiculated")
    gray = Image.fromarray(np.clip((hu + 1000) / 5, 0, 255).astype(np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    stream = io.BytesIO()
    gray.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="batches (default %(default)s)")
    args = parser.parse_args()
    config = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    settings = Settings.read(config["handler"])
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    threads = settings.threads or count_cores() // config["minWorkers"]
    engine = choose_engine(folder, "cpu", threads, settings.engine, config["batchSize"])
    pipeline = Pipeline(folder, engine, settings, threads)
    slowest = Job({"body": draw_largest(settings)}, {"Accept": "image/png", "X-Heatmap": "always"})
    seconds, used = [], []
    for _ in range(args.repeats):
        begun, spent = time.perf_counter(), time.process_time()
        replies = pipeline.score([slowest] * config["batchSize"]).replies
        seconds.append(time.perf_counter() - begun)
        used.append(time.process_time() - spent)
        if {reply.status for reply in replies} != {200}:
            raise RuntimeError(f"the slowest slice is refused: {replies[0].body!r:.200}")
    worst = max(seconds)
    size = len(slowest.row["body"]) / 1e6
    done = f"{config['batchSize']} slices of {size:.1f} MB on {threads} threads, an overlay each"
    print(f"slowest: {done}: {worst:.1f} s, {max(used):.1f} s of CPU")
    limit = config["responseTimeout"]
    print(f"slowest: responseTimeout is {limit} s; {SPARE} times the slowest: {SPARE * worst:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
