"""In goes a verified model folder, out comes the fastest engine that gives its golden answers.

The modules `openvino`, `graph` and `torch` are imported by the choice alone, when it takes them: each is heavy.
"""

from lungct.engines.choice import choose_engine, prove
from lungct.engines.interface import TOLERANCES, Engine, Prediction, Tolerance

__all__ = ["TOLERANCES", "Engine", "Prediction", "Tolerance", "choose_engine", "prove"]
