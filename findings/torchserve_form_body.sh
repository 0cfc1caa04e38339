#!/usr/bin/env bash
# Believed: curl --data-binary @slice.dcm hands the file to the model.
# True:     curl's default content type makes TorchServe read the file as a web form: the handler gets no body, only what it
#           split at "&" and "="; curl -T, or any other content type, hands over the bytes.
# Version:  torchserve 0.12.0
# Matters:  it is the most usual command line for an upload; our refusal and README name -T.
source "$(dirname "$0")/preamble"
source "$FINDINGS/torchserve"
cat > handler.py <<'PY'
def handle(data, context):
    return [repr(sorted(row.items())) for row in data or []]
PY
serve
printf 'a=1&b=2' > slice
form=$(curl -s --data-binary @slice "$INFERENCE/predictions/m")
file=$(curl -s -T slice "$INFERENCE/predictions/m")
echo "torchserve 0.12.0; believed: a body of 7 bytes by both; seen --data-binary: $form; -T: $file"
[[ $form == *"('a', "* && $form != *"('body', "* && $file == "[('body', bytearray(b'a=1&b=2'))]" ]]
