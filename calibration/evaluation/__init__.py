"""Measures methods on labelled images: the product's own, and those to compare with."""

from calibration.evaluation.curve import LearningCurve, counts_from, learning_curve, study
from calibration.evaluation.files import write_results
from calibration.evaluation.result import Evaluation, MethodResult, Trial
from calibration.evaluation.run import evaluate, methods_named

__all__ = [
    "Evaluation",
    "LearningCurve",
    "MethodResult",
    "Trial",
    "counts_from",
    "evaluate",
    "learning_curve",
    "methods_named",
    "study",
    "write_results",
]
