"""Stands in for torch where TorchServe's worker starts; the handler takes it away again.

TorchServe imports torch to ask whether a reply is a Tensor. Ours are bytes and str, and on a CPU OpenVINO computes:
torch itself would cost every worker seconds and hundreds of MB.
"""


class Tensor:
    """No reply is one."""
