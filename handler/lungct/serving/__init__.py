"""In goes an archive's model with its settings, then batches as a front takes them from the network; out come replies.

What every front needs of the core: TorchServe's handler takes it from here, and the worker of the front without
TorchServe is in here whole, so that an archive brings all that computes.
"""

from lungct.serving.loading import Loaded, load
from lungct.serving.tally import count_series, list_calls

__all__ = ["Loaded", "count_series", "list_calls", "load"]
