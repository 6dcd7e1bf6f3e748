"""The paper's figures on real images; minutes long, and only where the images are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from calibration.evaluation import Evaluation, EvaluationOptions, evaluate


@pytest.mark.slow
@pytest.mark.real_images
@pytest.mark.timeout(1800)
def test_bottle_comes_close_to_the_papers_figures() -> None:
    folder = Path(os.environ.get("EDGE_AGENT_MVTEC", "/nowhere")) / "bottle"
    if not folder.is_dir():
        pytest.skip(f"no images in {folder}: set EDGE_AGENT_MVTEC")

    evaluated = evaluate(folder, EvaluationOptions(methods=("paper",)))
    assert isinstance(evaluated, Evaluation)
    found = evaluated.method("paper")

    assert found.auc > 98.0  # the paper: 99.71; one seed differs from the next by half a point
    assert found.ap > 99.0  # the paper: 99.90
    assert found.trials[0].good_rejected is not None
    assert found.trials[0].good_rejected <= 3
