"""What docs/figures.md tells of promise and suspects is the product's own judgement; and the whole command runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from calibration.calibrate import finish, train
from calibration.evaluation.dataset import DataSet, read_dataset
from calibration.evaluation.options import EvaluationOptions
from calibration.evaluation.run import calibration_options
from calibration.gathering import gather, look_for_suspects
from calibration.method import METHODS
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from tests.benchmark.figures import __main__ as command
from tests.benchmark.figures.page import begin_of, end_of
from tests.benchmark.figures.plan import TABLES
from tests.benchmark.figures.seen import SeenParts, see
from tests.labelled import write_labelled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration.options import CalibrationOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """Nothing is said here of what an autoencoder learns."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("views", "local"):
            brief = replace(METHODS[name].recipe, min_steps=10, max_steps=10)
            patch.setitem(METHODS, name, replace(METHODS[name], recipe=brief))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = write_labelled(tmp_path_factory.mktemp("data") / "plates")
    return read_dataset(root, lambda _done, _total: None, tmp_path_factory.mktemp("spare"))


def options_of(data: DataSet, place: str = "auto") -> CalibrationOptions:
    options = calibration_options(data.name, EvaluationOptions(methods=("views",), threads=1), seed=0)
    return replace(options, place=place)


def seen_of(data: DataSet) -> SeenParts:
    return see(data, threads=1, progress=lambda _stage, _done, _total: None)


@pytest.mark.parametrize("place", ["tied", "free"])
def test_the_promise_is_that_of_the_product(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Should the score be made in another way one day, this says that the figures have to follow."""
    result = finish(
        train(gather(data.train, options_of(data, place)), METHODS["views"].recipe), "views", tmp_path / "b"
    )
    inspector = Inspector(Bundle.load(result.path), threads=1)
    scores = [inspector.inspect(test.path.read_bytes()).score for test in data.tests]
    monkeypatch.setattr("tests.benchmark.figures.seen.calibration_options", lambda *_, **__: options_of(data, place))

    seen = seen_of(data)
    found = seen.calibrated(range(seen.learn), range(seen.learn, seen.count))

    assert (seen.learn, seen.good, seen.count) == (24, 27, 30)
    assert found.limit == result.choice
    np.testing.assert_allclose(found.scores, scores, rtol=0.01, atol=0.01)  # what is kept of features is rounded


def test_suspects_are_those_that_a_calibration_stops_for(data: DataSet) -> None:
    _, suspicion = look_for_suspects(gather(data.train, options_of(data)))
    seen = seen_of(data)

    clean = seen.suspected(range(seen.learn))
    stained = seen.suspected([*range(seen.learn), seen.good])

    assert clean.named == suspicion.suspects
    assert clean.oddest == tuple(np.argsort(-suspicion.oddity.scores, kind="stable")[:6])
    assert stained.named[0] == stained.oddest[0] == seen.good


def test_the_command_makes_every_table_and_then_has_nothing_left_to_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_labelled(tmp_path / "data/plates", train=60, good=2, stained=5)
    page = tmp_path / "page.md"
    page.write_text("".join(f"{begin_of(table)}\n{end_of(table)}\n" for table in TABLES))
    arguments = [str(tmp_path / "data"), "--sets", "plates", "--work", str(tmp_path / "work"), "--page", str(page)]
    for name in ("seeds", "draws", "promise-draws", "clean-draws", "suspect-draws"):
        arguments += [f"--{name}", "1"]

    assert command.main([*arguments, "--threads", "1"]) == 0, capsys.readouterr().err

    text = page.read_text()
    assert "### plates, all 60 good images, 1 seed" in text
    assert "### plates, 44 of the good images, 1 draw" in text
    for cell in ("| **views (this tool)** |", "| plates | 62 | 18 |", "| JPEG, quality 75 |", "| plates | 0 of 1 |"):
        assert cell in text

    def measured(*_: Any, **__: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("tests.benchmark.figures.measure.Subject.measure", measured)
    assert command.main(arguments) == 0
    assert page.read_text() == text
