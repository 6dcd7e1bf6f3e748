"""An evaluation trains no autoencoder that nobody hears or sees, and its figures are the same to the bit."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from calibration.calibrate import train
from calibration.evaluation import EvaluationOptions, evaluate
from calibration.evaluation.result import Evaluation
from calibration.method import METHODS
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.networks.channels import Voice
from tests.labelled import write_labelled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration.evaluation.result import Trial
    from calibration.training.train import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 12


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """Enough to tell a training from none."""
    with pytest.MonkeyPatch.context() as patch:
        for name, method in METHODS.items():
            recipe = replace(method.recipe, min_steps=STEPS, max_steps=STEPS)
            patch.setitem(METHODS, name, replace(method, recipe=recipe))
        yield


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("data") / "plates")


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that an evaluation trains by, in their order."""
    used: list[Recipe] = []

    def watched(gathered: Any, recipe: Recipe, *args: Any, **options: Any) -> Any:
        used.append(recipe)
        return train(gathered, recipe, *args, **options)

    monkeypatch.setattr("calibration.evaluation.trial.learn_by", watched)
    return used


def views_of(plates: Path, **options: Any) -> Trial:
    found = evaluate(plates, EvaluationOptions(**{"methods": ("views",), "threads": 1} | options))
    assert isinstance(found, Evaluation)
    return found.method("views").trials[0]


def what_counts(trial: Trial) -> Trial:
    """Without times, and without what is said of the autoencoder."""
    notes = tuple(note for note in trial.notes if "autoencoder" not in note)
    return replace(trial, describe_ms=math.inf, score_ms=math.inf, notes=notes)


def test_views_alone_train_nothing_and_have_the_same_scores_to_the_bit(plates: Path, recipes: list[Recipe]) -> None:
    alone, shown = views_of(plates, with_drift=True), views_of(plates, with_drift=True, with_gallery=True)
    beside_local = views_of(plates, with_drift=True, methods=("views", "local"))

    assert [recipe.max_steps for recipe in recipes] == [1, STEPS, STEPS]
    assert alone.pixel_auroc is not None
    assert what_counts(alone) == what_counts(shown) == what_counts(beside_local)


def test_of_an_autoencoder_that_was_not_trained_nothing_is_said(plates: Path, recipes: list[Recipe]) -> None:
    assert not [note for note in views_of(plates).notes if "autoencoder" in note]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"voices": (Voice.IMAGE, Voice.AUTOENCODER)}, [STEPS]),
        ({"methods": ("ae", "views")}, [1, STEPS]),
        ({"methods": ("paper", "views")}, [1, STEPS]),
    ],
    ids=["its own voice", "a baseline that takes the paper's", "the paper's method"],
)
def test_one_that_is_heard_is_trained(
    plates: Path, recipes: list[Recipe], options: dict[str, Any], steps: list[int]
) -> None:
    with suppress(CalibrationRefused):  # what so few steps teach carries no score
        views_of(plates, **options)

    assert sorted(recipe.max_steps for recipe in recipes) == steps
