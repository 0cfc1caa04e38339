"""The pipeline in this process, where a client of a server is expected."""

import json
import threading
from collections import Counter

from lungct.exchange import Origin
from lungct.pipeline import Job
from lungct_client import RefusedError
from lungct_tools.folder.archive import open_source
from lungct_tools.folder.journal import Journal
from lungct_tools.folder.report import write_report
from lungct_tools.folder.scoring import Order, Run


class Desk:
    """Takes the place of a Client or a Fleet: the pipeline answers, unless a test sets a failure or changes the reply.

    Attributes:
        limits: confidence from which each class is reported, instead of the pipeline's.
        tallies: how many files were asked, as a Fleet counts them.
    """

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.lock = threading.Lock()  # a pipeline is for one thread at a time
        self.failure = None
        self.change = lambda reply: None
        self.limits = None
        self.tallies = Counter(desk=0)

    def contract(self):
        contract = json.loads(self.pipeline.describe())
        return contract if self.limits is None else contract | {"refer_below": self.limits}

    def predict(self, body, **options):
        if self.failure:
            raise self.failure
        headers = {"X-" + name.replace("_", "-"): value for name, value in options.items()}
        with self.lock:
            self.tallies["desk"] += 1
            reply = self.pipeline.score([Job({"body": body}, headers, Origin("id"))]).replies[0]
        document = json.loads(reply.body)
        if reply.status != 200:  # the label is the code; `error` may have the sentence, too
            raise RefusedError(reply.status, reply.label, document["message"], "id")
        self.change(document)
        return document


def score_folder(source, out, desk, heatmap="none"):
    """Score IN into OUT as `lungct score --resume` does, with the desk as its server; the totals."""
    out.mkdir(exist_ok=True)
    contract = desk.contract()
    order = Order.make(contract, heatmap, None, False)
    with Journal(out / "slices.jsonl") as journal:
        run = Run(open_source(source), journal, desk, order, 2, threading.Event(), contract)
        assert run.score()
        return write_report(run, parquet=False)


def read_rows(out):
    """The rows of a scored folder."""
    return [json.loads(line) for line in (out / "slices.jsonl").read_text().splitlines()]
