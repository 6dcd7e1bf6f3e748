"""Measures methods on labelled images: the product's own, and those to compare with."""

from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.files import write_images, write_results, write_several
from calibration.evaluation.options import EvaluationOptions, counts_from, methods_named
from calibration.evaluation.result import Evaluation, JudgedImage, MethodResult, Trial
from calibration.evaluation.run import evaluate
from calibration.evaluation.several import FailedSet, SeveralSets, evaluate_several

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "FailedSet",
    "JudgedImage",
    "LearningCurve",
    "MethodResult",
    "SeveralSets",
    "Trial",
    "counts_from",
    "evaluate",
    "evaluate_several",
    "methods_named",
    "write_images",
    "write_results",
    "write_several",
]
