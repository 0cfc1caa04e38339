#!/usr/bin/env bash
# Believed: HEAD, PUT and DELETE of /predictions/m are refused with 405.
# True:     each runs the handler and answers 200, as POST does.
# Version:  torchserve 0.12.0
# Matters:  a probe by HEAD costs a forward pass and counts as traffic: our gateway answers 405 itself.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
cat > handler.py <<'PY'
def handle(data, context):
    for row in data or []:
        with open("calls", "a") as file:
            file.write("x")
    return ["ok"] * len(data or [])
PY
serve
seen=""
for method in PUT DELETE; do
  seen+="$method $(curl -s -o /dev/null -w '%{http_code}' -X $method -H 'Content-Type: application/octet-stream' -d x "$INFERENCE/predictions/m") "
done
seen+="HEAD $(curl -s -o /dev/null -w '%{http_code}' -I "$INFERENCE/predictions/m") "
calls=$(find . -name calls -exec cat {} + | wc -c)
echo "torchserve 0.12.0; believed: 405 and no call; seen $seen, $calls calls of the handler"
[[ $seen == 'PUT 200 DELETE 200 HEAD 200 ' && $calls == 3 ]]
