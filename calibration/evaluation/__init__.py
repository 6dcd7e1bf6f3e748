"""Measures methods on labelled images: the product's own, and those to compare with."""

from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.files import write_results
from calibration.evaluation.options import EvaluationOptions, counts_from, methods_named
from calibration.evaluation.result import Evaluation, MethodResult, Trial
from calibration.evaluation.run import evaluate

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "LearningCurve",
    "MethodResult",
    "Trial",
    "counts_from",
    "evaluate",
    "methods_named",
    "write_results",
]
