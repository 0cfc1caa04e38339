"""The engines that serve the shipped model by themselves on this machine, the slowest first."""

from lungct.engines.openvino import has_bf16
from lungct.model.folder import load_model_folder
from tests.conftest import MODEL

AGREEING = {name for name, agreement in load_model_folder(MODEL).contract.agreement.items() if agreement.passes}
SERVING = [
    name
    for name in ("openvino-fp32", "openvino-bf16", "openvino-int8", "openvino-int8-bf16")
    if ("int8" not in name or name in AGREEING) and (has_bf16() or not name.endswith("bf16"))
]
