"""Inside a process of one version's code: how long it reads a file, the codec of that alone, its pipeline, its network.

`prober` starts this file as a script with the import path of that version. A job a line of JSON comes in, its answer
goes out. Modules have moved into rooms since version 1.4.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

import lungct

WARM = 3  # files before those that count


ROOMS = (Path(lungct.__file__).parent / "pixels").is_dir()


def find(name: str, flat: str) -> ModuleType:
    """A module by its name in rooms, or as 1.4 has it: a name that one lacks could be found in what is installed."""
    return import_module(f"lungct.{name if ROOMS else flat}")


image = find("pixels.image", "image")
pipeline, settings, window = (import_module(f"lungct.{name}") for name in ("pipeline", "settings", "window"))


def load(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def read(body: bytes) -> None:
    """Decode one file as the server does, in this process or in a child."""
    image.decode(body, None, None, window.LUNG, settings.Settings())


def count_cpu() -> float:
    """CPU seconds of this process and all its children so far."""
    me = psutil.Process()
    return sum(each.user + each.system for each in (p.cpu_times() for p in (me, *me.children(recursive=True))))


def measure_reading(folder: str, count: int) -> dict[str, float]:
    """Median milliseconds of reading a file, and the CPU's on average, children included."""
    bodies = cycle(load(folder))
    for body in islice(bodies, WARM):
        read(body)
    before = count_cpu()
    times = list(map(time_call(read), islice(bodies, count)))
    return {"ms": statistics.median(times), "cpu_ms": 1000 * (count_cpu() - before) / count}


def measure_codec(folder: str, count: int) -> dict[str, float]:
    """Median milliseconds of the library that the reader has decode such a file's frame, in this process."""
    jobs = cycle([find_codec(body) for body in load(folder)])
    for job in islice(jobs, WARM):
        job()
    return {"ms": statistics.median(map(time_call(lambda job: job()), islice(jobs, count)))}


def find_codec(body: bytes) -> Callable[[], object]:
    """A call of the plugin of pydicom that our reader takes for a file, on its one frame."""
    from io import BytesIO

    from pydicom import dcmread
    from pydicom.encaps import generate_frames
    from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

    syntaxes = find("pixels.pixeldata", "pixeldata").SYNTAXES
    data = dcmread(BytesIO(body))
    syntax = data.file_meta.TransferSyntaxUID
    runner = DecodeRunner(syntax)
    runner.set_source(data)
    (frame,) = generate_frames(data.PixelData, number_of_frames=1)
    codec = get_decoder(syntax)._available[
        syntaxes[syntax].plugin
    ]  # what pydicom itself calls; it has no name in public
    return lambda: codec(frame, runner)


def time_call(work: Callable[[Any], object]) -> Callable[[Any], float]:
    """The same, which gives its milliseconds."""

    def run(argument: Any) -> float:
        started = time.perf_counter()
        work(argument)
        return 1000 * (time.perf_counter() - started)

    return run


class Scorer:
    """The pipeline on the CPU, with the engine that the server would take."""

    def __init__(self, model: str, threads: int) -> None:
        folder = find("model.folder", "model").load_model_folder(Path(model))
        self.side = folder.contract.size
        self.engine = find("engines", "engine").choose_engine(folder, "cpu", threads)
        self.pipeline = pipeline.Pipeline(folder, self.engine, settings.Settings(), threads)

    def measure_pipeline(self, folder: str, batch: int, seconds: float) -> dict[str, float]:
        """Slices/s from bytes to JSON, and how many were not scored."""
        bodies = cycle(load(folder))
        failed = 0

        def score() -> None:
            nonlocal failed
            replies = self.pipeline.score([pipeline.Job({"body": body}, {}) for body in islice(bodies, batch)]).replies
            failed += sum(reply.status != 200 for reply in replies)

        return {"rate": batch * self.repeat(score, seconds), "errors": failed}

    def measure_network(self, batch: int, seconds: float) -> dict[str, float]:
        """Inputs/s of the network alone."""
        import numpy as np

        inputs = np.random.default_rng(0).integers(0, 256, (batch, 1, self.side, self.side), np.uint8)
        return {"rate": batch * self.repeat(lambda: self.engine.predict(inputs), seconds), "errors": 0}

    @staticmethod
    def repeat(work: Callable[[], object], seconds: float) -> float:
        """How often it is done in a second."""
        started, done = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            work()
            done += 1
        return done / (time.perf_counter() - started)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    scorer = Scorer(sys.argv[1], int(sys.argv[2]))
    jobs: dict[str, Callable[..., dict[str, float]]] = {
        "reading": measure_reading,
        "codec": measure_codec,
        "pipeline": scorer.measure_pipeline,
        "network": scorer.measure_network,
        "engine": lambda: {"name": scorer.engine.name},
    }
    for line in sys.stdin:
        job, arguments = json.loads(line)
        print(json.dumps(jobs[job](**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
