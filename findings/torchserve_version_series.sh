#!/usr/bin/env bash
# Believed: requests for one model are counted in one series, labelled with its version.
# True:     /predictions/m is counted under model_version="default" and /predictions/m/1.0 under "1.0", though both are
#           answered by the same workers.
# Version:  torchserve 0.12.0
# Matters:  an alert on either series sees a part of the load: dashboards and rules sum over both.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
serve
for path in m m m/1.0; do curl -s -T config.properties "$INFERENCE/predictions/$path" > /dev/null; done
for _ in $(seq 20); do curl -s "$METRICS/metrics" | grep -q 'requests_total.*"1.0"' && break; sleep 0.5; done
seen=$(curl -s "$METRICS/metrics" | grep '^ts_inference_requests_total' | sed 's/.*\(model_version="[^"]*"\).* /\1 /' | sort | tr '\n' ' ')
echo "torchserve 0.12.0; believed: one series of 3; seen $seen"
[[ $seen == 'model_version="1.0" 1.0 model_version="default" 2.0 ' ]]
