#!/usr/bin/env bash
# Believed: a value of a metric's dimension is counted whatever text it is.
# True:     metrics go from worker to server as log lines that are split at commas, colons and bars: a value with a comma
#           arrives cut short, of one with a colon or a bar the sample is gone, and nothing is said.
# Version:  torchserve 0.12.0
# Matters:  a class called "Malignant: spiculated" is never counted: our contract refuses such names.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
cat > handler.py <<'PY'
def handle(data, context):
    from ts.metrics.dimension import Dimension  # not above: TorchServe would take it for the handler
    for row in data or []:
        name = bytes(row["body"]).decode()
        context.metrics.add_counter("classes", 1, None, [Dimension("Class", name)])
    return ["ok" for row in data or []]
PY
serve
for name in plain 'quo"te' 'with,comma' 'with:colon' 'with|bar'; do
  curl -s -H 'Content-Type: application/octet-stream' --data-binary "$name" "$INFERENCE/predictions/m" > /dev/null
done
for _ in $(seq 20); do curl -s "$METRICS/metrics" | grep -q '^classes.*with' && break; sleep 0.5; done
seen=$(curl -s "$METRICS/metrics" | grep '^classes' | grep -o 'Class="[^,]*"' | sort | tr '\n' ' ')
echo "torchserve 0.12.0; believed: five classes; seen $seen"
[[ $seen == *plain* && $seen == *quo* && $seen == *'"with"'* && $seen != *comma* && $seen != *colon* && $seen != *bar* ]]
