#!/usr/bin/env bash
# Believed: SIGTERM to `torchserve --start --foreground` stops the server, as a container's engine or systemd expects.
# True:     it ends the Python launcher; Java and the workers go on, hold the ports and answer.
# Version:  torchserve 0.12.0
# Matters:  a restart finds its ports taken: `lungct serve --foreground` ends the whole process group.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
serve
kill -TERM "$SERVER"
wait "$SERVER" 2>/dev/null || true
sleep 3
seen=$(curl -s -m 10 -T config.properties "$INFERENCE/predictions/m" || true)
echo "torchserve 0.12.0; believed: nothing listens three seconds after the launcher ended; seen a prediction: ${seen:-none}"
[[ $seen == ok ]]
