"""In goes a model folder, out come its verified contract, weights, statistics, and training's own preprocessing.

`network`, which needs torch, is imported by its own name, where torch computes.
"""

from lungct.model.calibration import softmax
from lungct.model.contract import ModelContract
from lungct.model.folder import QUANTISED, QUANTISED_WEIGHTS, ModelFolder, load_model_folder
from lungct.model.judged import Judged
from lungct.model.pooling import BY_MEAN, Pooling
from lungct.model.preprocess import MEAN, STD, Placement, normalize, place, to_input
from lungct.model.statistics import Statistics
from lungct.model.weights import FEATURES, Floats, fold_batchnorm, list_convolutions

__all__ = [
    "BY_MEAN",
    "FEATURES",
    "MEAN",
    "QUANTISED",
    "QUANTISED_WEIGHTS",
    "STD",
    "Floats",
    "Judged",
    "ModelContract",
    "ModelFolder",
    "Placement",
    "Pooling",
    "Statistics",
    "fold_batchnorm",
    "list_convolutions",
    "load_model_folder",
    "normalize",
    "place",
    "softmax",
    "to_input",
]
