#!/usr/bin/env bash
# Believed: what a callback of an AsyncInferQueue takes from its request by get_output_tensor() is that slice's answer for good.
# True:     it is a view of the request's own memory, and the request's next slice overwrites it. model(x) and infer(x), which
#           look alike, give copies.
# Version:  openvino 2026.4.1, numpy 2.4.6
# Matters:  answers that are collected in a list all become the last patient's: ours are copied.
source "$(dirname "$0")/preamble"
packages openvino==2026.4.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from openvino import opset13 as ops

print("openvino", ov.__version__, "numpy", np.__version__)
put = ops.parameter([1, 1], ov.Type.f32)
model = ov.Core().compile_model(ov.Model([ops.relu(put)], [put]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
one, two = np.full((1, 1), 1, np.float32), np.full((1, 1), 2, np.float32)
called = model(one)[0]
model(two)
request = model.create_infer_request()
inferred = request.infer([one])[0]
request.infer([two])
kept, queue = {}, ov.AsyncInferQueue(model, 1)
queue.set_callback(lambda request, number: kept.update({number: request.get_output_tensor().data}))
for number, values in enumerate((one, two)):
    queue.start_async([values], number)
queue.wait_all()
seen = {"model()": called.item(), "infer()": inferred.item(), "callback": kept[0].item()}
print("believed: the first answer is 1.0 everywhere; seen", seen)
raise SystemExit(not (seen == {"model()": 1, "infer()": 1, "callback": 2}))
PY
