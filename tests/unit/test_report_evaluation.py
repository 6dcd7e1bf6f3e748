"""The report of an evaluation: one file, everything from outside escaped, one fixed scale for heat maps."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edge_agent.report.evaluation import write_evaluation_report, write_sets_report
from edge_agent.report.evaluation_facts import EvaluationFacts, LearningPoint, MethodFacts, SetFacts, SetsFacts
from edge_agent.report.evaluation_figures import _sweep, scores_chart
from edge_agent.report.facts import PartPictures
from edge_agent.report.head import Head

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
HOSTILE = "<script>alert(1)</script>\x1b[31m"
PART = PartPictures(
    label="hole/001.png",
    caption="worst",
    is_wrong=True,
    image=np.full((20, 30), 128, np.uint8),
    heat_map=np.full((20, 30), 0.5, np.float32),
)
HEAD = Head("Evaluation on plates", "PatchCore: 97.5 %", "2026-11-24T06:00:00+00:00", pc="pc")


def page(tmp_path: Path, **changes: object) -> str:
    values: dict[str, object] = {
        "head": HEAD,
        "versions": {"edge-agent": "0.1.0"},
        "lines": ("learned from 40 good images",),
        "columns": ("AUC %",),
        "methods": (MethodFacts("PatchCore", ("97.50",), (1.0, 2.0, 3.0, 9.0), 2.5),),
        "is_defective": (False, False, True, True),
        **changes,
    }
    write_evaluation_report(tmp_path / "report.html", facts=EvaluationFacts(**values))  # type: ignore[arg-type]
    return (tmp_path / "report.html").read_text("utf-8")


def heat_picture(html: str) -> Image.Image:
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)" alt="heat map"', html)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    part = replace(PART, label=HOSTILE, caption=HOSTILE, heat_map=None, problem=f"no heat map {HOSTILE}")
    html = page(
        tmp_path,
        head=replace(HEAD, title=HOSTILE, result=HOSTILE, part=HOSTILE, warnings=(HOSTILE,)),
        lines=(HOSTILE,),
        published=((HOSTILE, "1", "2", HOSTILE),),
        published_note=HOSTILE,
        shown_method=HOSTILE,
        parts=(part,),
    )

    assert "<script" not in html
    assert "\x1b" not in html
    assert "default-src 'none'" in html
    assert set(re.findall(r'src="([^:]+):', html)) == {"data"}
    assert "no heat map" in html


def test_the_report_of_several_sets_escapes_as_well_and_links_only_below_itself(tmp_path: Path) -> None:
    facts = SetsFacts(
        head=replace(HEAD, warnings=(HOSTILE,)),
        versions={"edge-agent": "0.1.0"},
        columns=("set", "AUC %"),
        rows=((HOSTILE, HOSTILE),),
        sets=(SetFacts(HOSTILE, f"javascript:{HOSTILE}/report.html", (HOSTILE,)),),
    )
    write_sets_report(tmp_path / "report.html", facts=facts)
    html = (tmp_path / "report.html").read_text("utf-8")

    assert "<script" not in html
    assert "\x1b" not in html
    assert re.findall(r'href="([^"]*)"', html) == [
        "javascript%3A%3Cscript%3Ealert%281%29%3C/script%3E%1B%5B31m/report.html"
    ]


def test_parts_without_a_score_are_in_no_chart_and_break_none(tmp_path: Path) -> None:
    inf = float("inf")
    assert (
        scores_chart((1.0, inf, 2.0, inf), 1.5, (False, False, True, True)).words == "Scores of 2 test images by class"
    )
    assert scores_chart((inf, inf), None, (False, True)).words == "Scores of 0 test images by class"
    method = MethodFacts("local", ("97.50",), (1.0, inf, 3.0, 9.0), 2.5)
    latent = np.array([[0.0, 1.0], [np.nan, np.nan], [1.0, 1.0], [2.0, 0.0]])

    assert "ROC" in page(tmp_path, methods=(method,), latent=latent)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(
        tmp_path_factory.mktemp("report"),
        published=(("GANomaly", "89.20", "-", "quoted"),),
        published_note="means are wrong",
        learning=tuple(LearningPoint("NN", n, 90.0 + n / 10, None) for n in (20, 40)),
        verdicts=("NN: more images would probably pay",),
        parts=(PART,),
    )


def test_a_heat_map_has_the_same_colours_whatever_else_is_shown(whole: str, tmp_path: Path) -> None:
    hot = replace(PART, heat_map=np.full((20, 30), 9.0, np.float32))
    among_hotter = page(tmp_path, parts=(PART, hot))

    assert heat_picture(whole).tobytes() == heat_picture(among_hotter).tobytes()


def test_measured_and_published_stand_apart(whole: str) -> None:
    measured, published = whole.split("Published by others, not measured here")

    assert "PatchCore" in measured
    assert "GANomaly" not in measured
    assert "GANomaly" in published
    assert "means are wrong" in published


def test_a_learning_curve_says_its_verdicts(whole: str) -> None:
    assert "Would more training images pay?" in whole
    assert "NN: more images would probably pay" in whole


@pytest.mark.parametrize("scores", [(-1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (1e-9, 1.0, 1e6, 1e9)])
def test_odd_scores_are_drawn(scores: tuple[float, ...]) -> None:
    assert scores_chart(scores, None, (False, False, True, True)).words == "Scores of 4 test images by class"


@pytest.mark.parametrize("scores", [(1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 3.0, 4.0)])
def test_a_sweep_runs_from_nothing_to_everything_and_ties_fall_together(scores: tuple[float, ...]) -> None:
    found, rejected = _sweep(scores, (False, False, True, True))

    assert (found[0], rejected[0], found[-1], rejected[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert len(found) == 1 + len(set(scores))
