"""Score lung-CT slices: bytes in, class, probabilities and Grad-CAM heatmap out. No TorchServe in here.

Research use only. Not a medical device.
"""

import sys

# Every `import openvino` else reports itself to its makers, over the network; without this package it stays silent.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

NOTICE = "Research use only. Not a medical device."
