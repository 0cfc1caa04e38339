#!/usr/bin/env bash
# Believed: the parser of prometheus-client gives back the names that stand in the text.
# True:     it adds _total to the samples of a counter that has none, and takes _total off the family's name of one that has;
#           a time stamp in milliseconds comes back in seconds.
# Version:  prometheus-client 0.26.0
# Matters:  TorchServe's counters are Requests2XX and ts_inference_requests_total: looked up by the name on the page, one
#           family is not found and the other's samples are not.
source "$(dirname "$0")/preamble"
packages prometheus-client==0.26.0
venv/bin/python - <<'PY'
from importlib.metadata import version

from prometheus_client.parser import text_string_to_metric_families as parse

print("prometheus-client", version("prometheus-client"))
page = """# TYPE Requests2XX counter
Requests2XX{Level="Host"} 4.0 1700000000000
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="m"} 3.0
"""
seen = [(family.name, family.samples[0].name, family.samples[0].timestamp) for family in parse(page)]
print("believed: names as written; seen (family, sample, time):", seen)
raise SystemExit(not (seen == [("Requests2XX", "Requests2XX_total", 1700000000.0),
                               ("ts_inference_requests", "ts_inference_requests_total", None)]))
PY
