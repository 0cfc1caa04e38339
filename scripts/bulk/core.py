"""The pipeline in this process, asked as a server is: the same gate, replies and refusals, and no port."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from lungct import pixels
from lungct.engines import choose_engine
from lungct.exchange import Reply
from lungct.model import load_model_folder
from lungct.model.contract import CONTRACT
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings
from lungct_client import RefusedError, ServerError
from lungct_client.headers import name_options
from lungct_tools import ROOT
from lungct_tools.server.modelconfig import FILE, check_settings, read_settings
from lungct_tools.server.seal import BUILD, ArchiveError, find_seal, read_hash, take

BATCH = 32  # slices a forward pass: a larger one computes no faster, and would hold more files
TURNS = 2  # batches under way: one's first slices are decoded while the other's last ones are in the network
CALLERS = (TURNS + 1) * BATCH  # files of the next batch are read meanwhile


class BrokenError(ServerError):
    """The engine of this process cannot give the golden answers any more; another process is needed."""


class Core:
    """Takes the place of a Fleet of servers; threads share it, and what they ask at one time becomes a batch.

    Attributes:
        model_sha256: of model.json.
        tallies: as those of a Fleet, of which this is one with one server.
    """

    def __init__(self, pipeline: Pipeline, model_sha256: str) -> None:
        self.model_sha256 = model_sha256
        self.tallies: dict[str, int] = {}
        self._pipeline = pipeline
        self._waiting: SimpleQueue[tuple[Job, Future[Reply]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"core {turn}", daemon=True) for turn in range(TURNS)]
        for thread in self._threads:
            thread.start()

    def contract(self) -> dict[str, Any]:
        """model.json and the engine, as a server tells them."""
        return dict(json.loads(self._pipeline.describe()))

    def predict(self, body: bytes, **options: str) -> dict[str, Any]:
        """Score one file.

        Raises:
            RefusedError: as a server would refuse it.
            BrokenError: the engine failed for good, so that nothing is known of this file.
        """
        reply: Future[Reply] = Future()
        self._waiting.put((Job({"body": body}, name_options(options)), reply))
        found = reply.result()
        document = dict(json.loads(found.body))
        if found.status != 200:  # the label is the code; `error` may have the sentence, too
            raise RefusedError(found.status, found.label, document["message"], None)
        return document

    def close(self) -> None:
        """End the threads once they have answered what was asked before."""
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first, *self._take(BATCH - 1)]
            try:
                replies = self._pipeline.score([job for job, _ in batch]).replies
                if self._pipeline.broken:  # what it said last is as doubtful as what it would say next
                    raise BrokenError("The engine is broken; run this shard again, elsewhere if it breaks again.")
            except Exception as fault:  # noqa: BLE001 -- told to all who wait; else they would wait for ever
                for _, answer in batch:
                    answer.set_exception(fault)
            else:
                for (_, answer), reply in zip(batch, replies, strict=True):
                    answer.set_result(reply)
        self._waiting.put(None)  # for the other threads

    def _take(self, most: int) -> Iterator[tuple[Job, Future[Reply]]]:
        """What waits now, up to so many."""
        for _ in range(most):
            try:
                waiting = self._waiting.get_nowait()
            except Empty:
                return
            if waiting is None:
                self._waiting.put(None)  # the end comes after this batch
                return
            yield waiting


@contextmanager
def holding(model: Path, threads: int, device: str = "cpu") -> Iterator[Core]:
    """A core whose model, engine and readers are proven, as those of a server's worker are at its start.

    Args:
        model: a model folder, or an archive with its seal beside it, as images have it.
        threads: of decoding and of the network.
        device: "cpu", or torch's name of a GPU, for which no CPU stands in.

    Raises:
        ModelFolderError, ArchiveError: the model is missing, damaged or changed, or no engine reproduces its answers.
        ImportError, OSError, RuntimeError: the GPU or its packages are missing, or no file can be decoded here.
    """
    with open_model(model) as (place, section):
        settings = Settings.read(section)
        pixels.warm()
        folder = load_model_folder(place)
        wanted = settings.engine if device == "cpu" else "torch-gpu"
        engine = choose_engine(folder, device, threads, wanted, BATCH)
        core = Core(Pipeline(folder, engine, settings, threads), read_hash(place / CONTRACT))
        try:
            pixels.prove()
            yield core
        finally:
            core.close()


@contextmanager
def open_model(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of a model and the handler's settings; an archive is unpacked into a private folder meanwhile."""
    if path.is_dir():
        yield path, check_settings((ROOT / "config" / FILE).read_bytes()).get("handler") or {}
        return
    if not path.is_file():
        raise ArchiveError(f"{path} is missing; {BUILD}.")
    with TemporaryDirectory(prefix="lung-ct-") as private:
        copy = take(path, find_seal(path), Path(private))
        with zipfile.ZipFile(copy) as packed:
            packed.extractall(private)
        yield Path(private), read_settings(copy).get("handler") or {}


def find_model() -> Path:
    """The model that ships: the folder of a checkout, or the archive that an image has in its place."""
    folder = ROOT / "model_store" / "lung_ct"
    return folder if folder.is_dir() else folder.with_suffix(".mar")
