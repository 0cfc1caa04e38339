"""What became of a batch: for the metrics, and for a collector of traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lungct import traces
from lungct.exchange import band, oip
from lungct.pipeline import Batch, Job


def count_series(batch: Batch) -> dict[tuple[str, ...], float]:
    """Name and dimensions of each series that the batch adds to, as config/metrics.yaml declares them -> how much."""
    series: Counter[tuple[str, ...]] = Counter()
    added: dict[tuple[str, ...], float] = {}
    for reply in batch.replies:
        if reply.outcome == "error":
            series["lung_ct_rejections_total", reply.label] += 1
        elif reply.outcome != "canary" and reply.confidence is not None:  # the same slice over and over hides drift
            series["lung_ct_confidence_total", reply.label, band(reply.confidence)] += 1
            summed = ("lung_ct_confidence_sum", reply.label)
            added[summed] = added.get(summed, 0.0) + reply.confidence
        series["lung_ct_requests_total", reply.label, reply.outcome] += 1
    added |= {("lung_ct_stage_seconds_sum", stage): round(seconds, 6) for stage, seconds in batch.seconds.items()}
    return {**series, **added, ("lung_ct_batches_total",): 1}


def list_calls(batch: Batch, jobs: Sequence[Job], began: float, engine: str) -> list[traces.Call]:
    """The requests of a batch as a collector of traces gets them; `began`: Unix seconds at which the worker had it."""
    calls = []
    for reply, job in zip(batch.replies, jobs, strict=True):
        route = "infer" if oip.is_meant(job.row, job.headers) else "predictions"
        if job.headers.get("explain") == "True":  # TorchServe's word for /explanations
            route = "explanations"
        facts: dict[str, str | int] = {"route": route, "status": reply.status, "format": reply.format or "none"}
        facts |= {"batch": len(jobs), "engine": engine}
        sent = traces.read_stamp(job.headers, began)
        calls.append(traces.Call(job.origin.trace_id, job.origin.span_id, sent, began, batch.seconds, facts))
    return calls
