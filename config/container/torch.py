"""Stands in for torch in the image for CPUs, where OpenVINO computes.

TorchServe's worker imports torch to ask whether a reply is a Tensor; ours are bytes and str.
"""


class Tensor:
    """No reply is one."""
