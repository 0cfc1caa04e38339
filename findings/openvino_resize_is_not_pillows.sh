#!/usr/bin/env bash
# Believed: OpenVINO's RESIZE_BILINEAR_PILLOW gives Pillow's own values for an 8-bit image.
# True:     pixels differ by 1 for u8; only its f32 form follows Pillow's f32 form. RESIZE_LINEAR does not smooth at all
#           and is off by more than 100 on noise. (torch's uint8 antialias is Pillow's to the bit.)
# Version:  openvino 2026.4.1, pillow 13.0.0, numpy 2.4.6
# Matters:  a resize folded into the graph changes the input of a network trained on Pillow's: ours stays outside, bit-equal.
source "$(dirname "$0")/preamble"
packages openvino==2026.4.1 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
import PIL
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor, ResizeAlgorithm
from PIL import Image

print("openvino", ov.__version__, "pillow", PIL.__version__)
image = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)

def resized(how, kind, dtype):
    put = ops.parameter([1, 1, 224, 224], ov.Type.f32)
    steps = PrePostProcessor(ov.Model([ops.add(put, np.float32(0))], [put]))
    steps.input().tensor().set_element_type(kind).set_layout(ov.Layout("NCHW")).set_spatial_static_shape(512, 512)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().resize(how)
    model = ov.Core().compile_model(steps.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = np.asarray(Image.fromarray(image.astype(dtype)).resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    return np.abs(model(image[None, None].astype(dtype))[0][0, 0] - wanted)

same = resized(ResizeAlgorithm.RESIZE_BILINEAR_PILLOW, ov.Type.u8, np.uint8)
floats = resized(ResizeAlgorithm.RESIZE_BILINEAR_PILLOW, ov.Type.f32, np.float32)
linear = resized(ResizeAlgorithm.RESIZE_LINEAR, ov.Type.u8, np.uint8)
print(f"u8: believed equal; seen {(same > 0).mean():.1%} of pixels off, by {same.max():.0f}; f32 off by {floats.max():.4f}; "
      f"RESIZE_LINEAR off by {linear.max():.0f}")
raise SystemExit(not (same.max() == 1 and floats.max() < 0.01 and linear.max() > 100))
PY
