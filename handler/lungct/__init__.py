"""Score lung-CT slices: bytes in, class, probabilities and Grad-CAM heatmap out. No TorchServe in here.

Research use only. Not a medical device.
"""

NOTICE = "Research use only. Not a medical device."
