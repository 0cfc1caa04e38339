"""The pipeline in this process: callers become batches, and the model is the one that was sealed."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from lungct.pipeline import Job
from lungct_client import RefusedError
from lungct_tools.bulk.core import TURNS, Core, find_model, open_model
from lungct_tools.server.seal import ArchiveError
from tests.conftest import MODEL
from tests.support.calls import wait_until


def test_callers_become_batches_and_each_has_its_own_answer(pipeline, slices):
    sizes, scored, release = [], pipeline.score, threading.Event()

    class Slow:
        broken = False

        def score(self, jobs):
            sizes.append(len(jobs))
            release.wait(60)
            return scored(jobs)

    core, found = Core(Slow(), "model"), {}

    def ask(number):
        try:
            found[number] = core.predict(slices[number] if number < 4 else b"junk")["label"]
        except RefusedError as error:
            found[number] = error.code

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for number in range(TURNS):
        threads[number].start()
        wait_until(lambda number=number: sizes == [1] * (number + 1), 60, "a batch of its own")
    for thread in threads[TURNS:]:
        thread.start()
    wait_until(lambda: core._waiting.qsize() == 6 - TURNS, 60, "all wait")
    release.set()
    for thread in threads:
        thread.join()
    core.close()
    assert sizes == [*[1] * TURNS, 6 - TURNS]
    expected = [
        json.loads(scored([job]).replies[0].body)["label"] for job in (Job({"body": body}, {}) for body in slices)
    ]
    assert [found[number] for number in range(6)] == [*expected, "unsupported_format", "unsupported_format"]


def test_an_image_has_the_model_in_its_archive_and_only_the_sealed_one_is_taken(store, tmp_path):
    assert find_model() == MODEL
    with open_model(store / "lung_ct.mar") as (place, section):
        assert (place / "model.json").read_bytes() == (MODEL / "model.json").read_bytes()
        assert section["engine"] == "auto"
    assert not place.exists()
    changed = shutil.copy(store / "lung_ct.mar", tmp_path)
    shutil.copy(store / "lung_ct.mar.sha256", tmp_path)
    with Path(changed).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ArchiveError, match="changed"), open_model(Path(changed)):
        pass
