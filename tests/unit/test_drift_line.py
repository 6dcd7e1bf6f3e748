"""The charts of a line: which parts count, from when on, and in which words a change is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Outcome, Reason
from edge_agent.drift.chart import CAUSE_RULES, RULES
from edge_agent.drift.charts import LEARNED_FROM, STOP_S, LineCharts
from edge_agent.drift.known import Known, known_from
from edge_agent.drift.quantities import watched
from edge_agent.drift.usual import Usual
from edge_agent.drift.words import changes_words, since_words
from edge_agent.report.phrases import is_known, said
from edge_agent.wording import LANGUAGES, speaking
from tests.unit.drift_rows import BEGIN, MANIFEST, drifting, known, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.drift.charts import Standing
    from edge_agent.store.rows import PartRow

USUAL = Usual(0.0, 1.0, 40)


def taken(rows: Iterable[PartRow], charts: LineCharts | None = None) -> LineCharts:
    charts = charts or LineCharts(known)
    for row in rows:
        charts.take(row)
    return charts


def changed(charts: LineCharts) -> dict[str, Standing]:
    return {one.quantity: one for one in charts.standing() if one.change is not None}


def standing(charts: LineCharts, quantity: str) -> Standing:
    return next(one for one in charts.standing() if one.quantity == quantity)


# --- bad input first --------------------------------------------------------------------------------------


def test_parts_that_say_nothing_of_good_ones_move_no_chart() -> None:
    good = next(drifting(1))
    camera = good.cameras[0]
    nothing = (
        rejected(good, Reason.SCORE),
        rejected(good, Reason.ALIGN),
        replace(good, reason=Reason.CONTROLLER_NG),
        replace(good, cameras=(replace(camera, outcome=None, bundle_id=None, reason=Reason.IMAGE_BROKEN),)),
        replace(good, cameras=(replace(camera, outcome=Outcome.REVIEW, reason=Reason.SCORE),)),
        replace(good, cameras=()),
    )
    charts = taken(nothing)

    assert list(charts.standing()) == []
    assert all(watched(row, row.cameras[0]) == {} for row in nothing if row.cameras)


def test_values_that_are_no_number_are_left_out() -> None:
    good = next(drifting(1))
    camera = replace(good.cameras[0], score=math.nan, condition={"brightness": math.nan}, alignment=None)
    charts = taken([replace(good, cameras=(camera,))] * 40)

    assert standing(charts, "brightness").sigma == 0.0
    assert standing(charts, "score").sigma == 0.0


def test_a_bundle_that_is_gone_or_says_nothing_is_learned_from_the_line() -> None:
    assert known_from(None, 700.0).usual == {}
    charts = taken(drifting(LEARNED_FROM - 1), LineCharts(lambda *_: Known()))
    assert standing(charts, "brightness").usual is None
    assert standing(charts, "brightness").learned == LEARNED_FROM - 1

    taken(drifting(2, first=LEARNED_FROM), charts)
    usual = standing(charts, "brightness").usual
    assert usual is not None
    assert usual.parts == LEARNED_FROM
    assert usual.since_utc.startswith("2026-11-24T10:00:02")
    assert abs(standing(charts, "brightness").sigma) < 0.1  # parts that it was learned from are not judged by it


def test_the_usual_of_the_calibration_counts_from_the_first_part_and_the_latency_is_learned() -> None:
    charts = taken(drifting(3))

    assert standing(charts, "score").usual is not None
    assert standing(charts, "score").usual.mean == pytest.approx(0.4)  # type: ignore[union-attr]
    assert standing(charts, "latency_ms").usual is None


# --- what changes, and when -------------------------------------------------------------------------------


def test_parts_as_they_always_are_say_nothing() -> None:
    assert changed(taken(drifting(1500))) == {}


def test_light_that_gets_darker_is_told_as_what_it_is_since_it_began(berlin: None) -> None:
    del berlin
    charts = taken(drifting(300))
    taken(drifting(60, first=301, brightness=-0.3), charts)

    assert set(changed(charts)) == {"brightness"}
    assert changed(charts)["brightness"].change.since_seq in range(299, 304)  # type: ignore[union-attr]
    words = changes_words(charts)
    assert words.startswith("camera 1: the images are 9.")
    assert "% darker since Tuesday, 2026-11-24 11:10" in words
    assert words.endswith(": look at the lamp, the exposure and the lens")


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"brightness": 0.4}, "% brighter since"),
        ({"sharpness": -0.4}, "% less sharp since"),
        ({"shift_x": -2.5}, "px further left since"),
        ({"shift_x": 2.5}, "px further right since"),
        ({"latency": 0.3}, " ms, since"),
        ({"score": 0.5}, "of the limit, usual is 40%, since"),
    ],
)
def test_each_change_has_its_words_in_every_language(moved: dict[str, float], words: str) -> None:
    charts = taken(drifting(220))
    taken(drifting(80, first=221, **moved), charts)
    text = changes_words(charts)

    assert words in text
    assert is_known(text)
    for language in set(LANGUAGES) - {"en"}:
        with speaking(language):
            assert said(text) != text
            assert "since" not in said(text)


def test_what_causes_others_is_told_a_little_sooner_once_the_line_is_known() -> None:
    limits = {one.quantity: one.limit for one in taken(drifting(RULES.refines + 1)).standing()}

    assert CAUSE_RULES.least <= limits["brightness"] < RULES.limits(USUAL)[0]
    assert RULES.least <= limits["share_native"]


def test_what_causes_a_change_is_told_and_not_what_follows_from_it() -> None:
    charts = taken(drifting(100))
    taken(drifting(80, first=101, score=0.5, brightness=-0.4), charts)

    assert {"brightness", "score", "share_native"} <= set(changed(charts))
    assert "darker" in changes_words(charts)
    assert "score" not in changes_words(charts)


def test_defective_parts_are_no_drift_of_the_light() -> None:
    rows = [rejected(row, Reason.SCORE) for row in drifting(400, brightness=-0.9, score=3.0)]

    assert changed(taken(rows)) == {}


def test_a_drift_that_rejects_already_is_not_forgotten_and_goes_when_it_is_back() -> None:
    charts = taken(rejected(row, Reason.LIGHT) for row in drifting(60, brightness=-1.2))
    assert set(changed(charts)) == {"brightness"}

    taken(drifting(80, first=61), charts)
    assert changed(charts) == {}


@pytest.mark.parametrize("way", ["stop", "reboot", "product"])
def test_after_a_stop_or_a_change_of_product_every_chart_begins_anew(way: str) -> None:
    charts = taken(drifting(20, brightness=-0.15))
    assert standing(charts, "brightness").sigma < -0.8
    (after,) = drifting(1, first=21, seed=9)
    if way == "stop":
        after = replace(after, decided_mono_s=after.decided_mono_s + STOP_S + 3)
    elif way == "reboot":
        after = replace(after, boot_id="another", decided_utc=(BEGIN.replace(day=26)).isoformat())
    else:
        after = replace(after, program=4)
    charts.take(after)

    assert abs(standing(charts, "brightness").sigma) < 0.3


def test_a_reboot_without_a_stop_goes_on() -> None:
    charts = taken(drifting(20, brightness=-0.15))
    (after,) = drifting(1, first=21)
    charts.take(replace(after, boot_id="another", decided_mono_s=3.0))

    assert standing(charts, "brightness").sigma < -0.8


def test_a_new_bundle_begins_anew_and_the_old_one_says_nothing_more() -> None:
    charts = taken(drifting(60, brightness=-0.4))
    assert changed(charts)
    for row in drifting(5, first=61):
        charts.take(replace(row, cameras=(replace(row.cameras[0], bundle_id="newer"),)))

    assert {one.bundle_id for one in charts.standing()} == {"newer"}
    assert changed(charts) == {}


def test_a_limit_that_a_person_moved_leaves_the_score_where_it_is_usual() -> None:
    moved = known_from({**MANIFEST, "limit": {"value": 3.0}}, 700.0)

    assert moved.usual["score"].mean == pytest.approx(0.2)
    assert moved.usual["brightness"].mean == 0.0


def test_the_quantities_of_light_are_told_as_they_were_measured() -> None:
    found = known()

    assert found.raw_value("brightness", -0.5) == 100.0
    assert found.raw_value("brightness", 0.5) == 140.0
    assert found.raw_value("sharpness", 0.5) == 0.5
    assert found.raw_value("red", 0.5) is None
    assert found.room_used("brightness", 0.0, -0.5) == 0.5
    assert found.room_used("registration_quality", 0.98, 0.99) is None
    assert found.floor("shift_x_px", 0.0) == pytest.approx(0.5)
    assert found.floor("angle_deg", 0.0) == 0.0


def test_a_time_that_is_none_stays_as_it_is() -> None:
    assert since_words("yesterday") == "yesterday"
