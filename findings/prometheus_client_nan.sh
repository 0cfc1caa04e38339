#!/usr/bin/env bash
# Believed: a NaN that is observed by a histogram is refused, or spoils one sample.
# True:     it is in no bucket and not in the count, and from then on the sum is NaN until the process ends; a counter that
#           was told NaN once stays NaN as well. Nothing is raised or logged.
# Version:  prometheus-client 0.26.0
# Matters:  one bad confidence ends the mean on every dashboard, and an alert that compares with NaN never fires.
source "$(dirname "$0")/preamble"
packages prometheus-client==0.26.0
venv/bin/python - <<'PY'
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram

print("prometheus-client", version("prometheus-client"))
registry = CollectorRegistry()
histogram, counter = Histogram("confidence", "x", buckets=(0.5, 1), registry=registry), Counter("slices", "x", registry=registry)
for value in (0.7, float("nan"), 0.6):
    histogram.observe(value)
    counter.inc(value)
seen = {name: registry.get_sample_value(name) for name in ("confidence_count", "confidence_sum", "slices_total")}
print("believed: refused, or 2, 1.3, 1.3; seen", seen)
raise SystemExit(not (seen.pop("confidence_count") == 2 and all(value != value for value in seen.values())))
PY
