#!/usr/bin/env bash
# Believed: maxBatchDelay: 0 in model-config.yaml means that a request does not wait for others.
# True:     0 is taken for "not given", which is 100 ms; 1 is the least there is.
# Version:  torchserve 0.12.0
# Matters:  one client alone then waits 100 ms for each slice, and nothing but GET /models/m tells why.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
printf 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 8\nmaxBatchDelay: 0\n' > model.yaml
serve
delay=$(curl -s "$MANAGEMENT/models/m" | grep -o '"maxBatchDelay": [0-9]*')
took=$(curl -s -o /dev/null -w '%{time_total}' -T config.properties "$INFERENCE/predictions/m")
echo "torchserve 0.12.0; believed: 0; seen $delay, one request took $took s"
[[ $delay == '"maxBatchDelay": 100' && ! $took < 0.1 ]]
