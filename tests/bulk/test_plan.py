"""What the processes of a run agree on, whichever begins."""

import threading
from collections import Counter

import pytest

from lungct_tools.bulk.plan import Plan, read_plan
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.scoring import Order
from tests.support.rows import CLASSES

ORDER = Order("none", None, False, CLASSES, "1")


def refuse_links(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_run_goes_on_only_with_its_manifest_model_window_and_number_of_shards(links, tmp_path, monkeypatch):
    if not links:  # as on a mounted bucket
        monkeypatch.setattr("os.link", refuse_links)
    plan = Plan(ORDER, "model", "manifest", 4)
    plan.keep(tmp_path, tmp_path / "m")
    plan.keep(tmp_path, tmp_path / "elsewhere")
    assert read_plan(tmp_path) == (plan, tmp_path / "m")
    others = {
        "model_sha256": Plan(ORDER, "another", "manifest", 4), "manifest_sha256": Plan(ORDER, "model", "another", 4),
        "shards": Plan(ORDER, "model", "manifest", 5),
        "window": Plan(Order("none", "0,1", False, CLASSES, "1"), "model", "manifest", 4),
    }  # fmt: skip
    for name, other in others.items():
        with pytest.raises(JournalError, match=f"another {name};"):
            other.keep(tmp_path, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    for damaged in ('{"heatmap": "no', "[1]", "{}"):
        (tmp_path / "run.json").write_text(damaged)
        with pytest.raises(JournalError, match="damaged"):
            plan.keep(tmp_path, tmp_path / "m")
    with pytest.raises(JournalError, match="no bulk run"):
        read_plan(tmp_path / "nowhere")


def test_processes_that_start_at_once_agree_on_one_plan(tmp_path):
    told = []

    def keep(number):
        try:
            Plan(ORDER, "model", "manifest", number % 2 + 1).keep(tmp_path, tmp_path / "m")
            told.append(number % 2 + 1)
        except JournalError:
            told.append(None)

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = read_plan(tmp_path)[0].shards
    assert Counter(told) == {kept: 8, None: 8}
