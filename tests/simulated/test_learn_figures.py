"""Each thing that a bundle can loosen is told as worse; what is the same or better is not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.tools.learn.figures import figures_of
from edge_agent.tools.learn.found import Judged, KnownDefect, Replay, ReplayedPart, Synthetic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING_MADE, NO_ARCHIVE = Synthetic(0, 0, 0, 0, 0, 0), Replay(24.0, (), 0, 0, 0)
PASSES = Judged("OK", "OK", 0.5, 1.0)


@pytest.fixture(scope="module")
def bundle(thumbnail_bundle: Path) -> Bundle:
    return Bundle.load(thumbnail_bundle)


def changed(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> Bundle:
    manifest: dict[str, Any] = copy.deepcopy(dict(bundle.manifest))
    change(manifest)
    return replace(bundle, manifest=manifest, review_from=manifest["limit"]["review_from"])


def worse(before: Bundle, after: Bundle, *defects: KnownDefect, **found: Any) -> list[str]:
    told = figures_of(before, after, defects, found.get("synthetic", NOTHING_MADE), found.get("replay", NO_ARCHIVE))
    return [one.name for one in told if one.is_worse]


def rejects(share: float) -> Judged:
    return Judged("NG", "SCORE", share, 1.0)


def test_a_bundle_beside_itself_has_nothing_that_is_worse(bundle: Bundle) -> None:
    defect = KnownDefect(1, "CONFIRMED", rejects(2.0), rejects(2.0))

    assert worse(bundle, bundle, defect, synthetic=Synthetic(9, 5, 5, 4, 2, 2)) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda m: m["limit"].update(review_from=m["limit"]["review_from"] * 1.01), "limit"),
        (lambda m: m["limit"].update(expected=0.5), "good parts expected to be rejected"),
        (lambda m: m["limit"].update(bound_95=0.9), "good parts rejected, at most (95 % confidence)"),
        (lambda m: m["training_images"].pop(), "good parts that it was made of"),
        (lambda m: m["method"]["views"].pop("tone"), "what the score looks at"),
        (lambda m: m["align"].update(quality_min=0.1), "least quality of registration"),
        (lambda m: m["align"].update(likeness_min=0.1), "least likeness as a whole"),
        (lambda m: m["align"].pop("likeness_min"), "least likeness as a whole"),
        (lambda m: m["align"].update(unseen_max=0.9), "largest share out of view"),
        (lambda m: m["align"]["pose"]["angle_deg"].update(most=99.0), "how far a part may lie turned"),
        (lambda m: m["align"]["pose"].pop("shift_x_px"), "how far a part may lie aside"),
        (lambda m: m["condition"]["brightness"].update(least=1.0), "how bright an image may be"),
        (lambda m: m["condition"].pop("sharpness"), "how sharp an image may be"),
    ],
)
def test_what_is_looser_is_worse(bundle: Bundle, change: Callable[[dict[str, Any]], object], name: str) -> None:
    after = changed(bundle, change)

    assert worse(bundle, after) == [name]
    assert name not in worse(after, bundle), "and back it is better"


def test_defects_that_come_nearer_to_the_limit_are_worse(bundle: Bundle) -> None:
    strong, weak = (KnownDefect(1, "CONFIRMED", rejects(9.0), rejects(8.0)), KnownDefect(2, "ESCAPE", PASSES, PASSES))

    assert worse(bundle, bundle, strong, weak) == [
        "score of the weakest known defect, times the limit",
        "score of the usual known defect, times the limit",
    ]
    assert worse(bundle, bundle, KnownDefect(1, "CONFIRMED", rejects(9.0), PASSES)) == ["known defects found"]


def test_fewer_made_defects_and_more_rejects_of_the_archive_are_worse(bundle: Bundle) -> None:
    replay = Replay(24.0, (ReplayedPart(1, PASSES, rejects(2.0), "good"), ReplayedPart(2, PASSES, PASSES, "")), 0, 0, 0)

    assert worse(bundle, bundle, synthetic=Synthetic(9, 5, 4, 4, 3, 2), replay=replay) == [
        "synthetic defects found",
        "of the fainter half of them",
        "parts of the archive that pass today, rejected",
        "parts of the archive that people know as good, rejected",
    ]
