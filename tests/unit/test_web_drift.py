"""What the page says of light and focus before parts are rejected for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Reason
from edge_agent.feed.current import Live, SeenPart
from edge_agent.store.reviewed import ReviewBook
from edge_agent.web.drift import drift_warnings, drifts
from edge_agent.web.measured import Measured
from edge_agent.web.rows import camera_json, part_json
from tests.security.web_site import agent_state, part_row, web_settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.rows import PartRow


def seen(number: int, bundle_id: str = "bundle", reason: Reason = Reason.OK, **condition: float) -> PartRow:
    row = part_row(number)
    camera = replace(row.cameras[0], condition=condition, bundle_id=bundle_id, reason=reason)
    return replace(row, cameras=(camera,))


def test_parts_without_a_condition_say_nothing() -> None:
    assert drifts([part_row(1), part_row(2)]) == []
    assert drift_warnings([]) == ""


def test_a_drift_is_said_in_words_once_it_has_used_up_most_of_the_room() -> None:
    before = drifts(seen(n, brightness=-0.65, sharpness=0.0) for n in range(10))
    after = drifts(seen(n, brightness=-0.74, sharpness=-0.9) for n in range(10))

    assert drift_warnings(before) == ""
    assert drift_warnings(after) == (
        "camera 1: the images have become less sharp, 90% of the way to where every part is rejected (FOCUS): look at "
        "the focus, the distance, and for dirt on the lens; camera 1: the images have become darker, 74% of the way to "
        "where every part is rejected (LIGHT): look at the lamp, the exposure and the lens"
    )


def test_one_odd_part_is_no_drift_and_a_few_parts_are_no_news() -> None:
    one_odd = [seen(n, brightness=0.1) for n in range(9)] + [seen(9, brightness=-3.0)]

    assert drifts(one_odd)[0].share == pytest.approx(0.1)
    assert drift_warnings(drifts(seen(n, brightness=-2.0) for n in range(4))) == ""


def test_only_the_newest_images_of_the_newest_bundle_count_and_none_that_lay_elsewhere() -> None:
    old = [seen(n, bundle_id="old", brightness=-0.9) for n in range(30)]
    new = [seen(n, brightness=0.9) for n in range(30, 60)] + [seen(n, brightness=0.2) for n in range(60, 80)]
    elsewhere = [seen(n, reason=Reason.ALIGN, brightness=-9.0) for n in range(80, 110)]

    (found,) = drifts([*old, *new, *elsewhere])
    assert (found.share, found.images) == (pytest.approx(0.2), 20)


def test_the_page_and_the_measured_values_tell_the_drift(tmp_path: Path) -> None:
    live = Live(tmp_path / "journal.sqlite3", ("00:00",))
    found = Measured(web_settings(tmp_path), live, ReviewBook())
    live.hear(agent_state())
    for number in range(1, 11):
        live.parts[number] = SeenPart(seen(number, brightness=-0.8), None)

    text = found.text().decode()
    assert 'edge_agent_image_drift_ratio{camera="1",quantity="brightness"} -0.8' in text
    assert 'edge_agent_degraded{reason="image"} 1.0' in text
    assert "darker" in found.degraded()["image"]


def test_a_part_s_own_condition_is_in_the_page_s_json() -> None:
    row = seen(1, brightness=-0.5)

    assert part_json(row, None)["condition"] == {"brightness": -0.5}
    assert camera_json(row.cameras[0])["condition"] == {"brightness": -0.5}
