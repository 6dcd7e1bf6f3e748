"""The measured values: their names are a promise, and alerts, dashboard and documentation keep to them."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.feed.current import Live, SeenPart
from edge_agent.settings import WebhookSettings
from edge_agent.store.aside import SetAside, aside_file, set_aside
from edge_agent.store.position import Position, position_file, write_position
from edge_agent.store.reviewed import ReviewBook
from edge_agent.store.rows import PublicationRow
from edge_agent.web.measured import Measured
from tests.security.web_site import agent_state, part_row, reject_row, web_settings, written

if TYPE_CHECKING:
    from edge_agent.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {
    "edge_agent_info": "gauge",
    "edge_agent_up": "gauge",
    "edge_agent_ready": "gauge",
    "edge_agent_condition_ok": "gauge",
    "edge_agent_degraded": "gauge",
    "edge_agent_locked": "gauge",
    "edge_agent_challenge_due_seconds": "gauge",
    "edge_agent_challenge_due_parts": "gauge",
    "edge_agent_image_drift_ratio": "gauge",
    "edge_agent_drift_sigma": "gauge",
    "edge_agent_drift_limit_sigma": "gauge",
    "edge_agent_drift_alarm": "gauge",
    "edge_agent_results_waiting": "gauge",
    "edge_agent_results_set_aside": "gauge",
    "edge_agent_condition_age_seconds": "gauge",
    "edge_agent_parts_total": "counter",
    "edge_agent_verdicts_total": "counter",
    "edge_agent_part_latency_seconds": "histogram",
    "edge_agent_stage_seconds": "histogram",
    "edge_agent_score_ratio": "histogram",
    "edge_agent_deadline_seconds": "gauge",
    "edge_agent_archive_lost_total": "counter",
    "edge_agent_archive_pruned_total": "counter",
    "edge_agent_disk_free_bytes": "gauge",
    "edge_agent_archive_bytes": "gauge",
    "edge_agent_archive_reach_seconds": "gauge",
    "edge_agent_page_viewers": "gauge",
    "edge_agent_parts_reviewed": "gauge",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return web_settings(tmp_path)


def measured(settings: Settings) -> tuple[Live, Measured]:
    live = Live(settings.store.journal, ("00:00",))
    return live, Measured(settings, live, ReviewBook())


def families(text: str) -> dict[str, str]:
    found = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return {name: kind for name, kind in found.items() if not name.endswith("_created")}


def used(text: str) -> set[str]:
    """The families that an expression or a page names."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bedge_agent_[a-z_]+", text)}


def test_the_names_are_those_that_were_promised(settings: Settings) -> None:
    live, found = measured(settings)
    live.hear(agent_state())

    assert families(found.text().decode()) == NAMES


def test_documentation_alerts_and_dashboard_use_exactly_these_names() -> None:
    table = dict(re.findall(r"^\| `(\S+)` \| (\S+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    alerts = (ROOT / "deploy" / "alerts.yml").read_text()
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())

    assert table == NAMES
    assert used(alerts) <= set(NAMES)
    assert used(json.dumps(dashboard)) == set(NAMES)


def test_every_alert_says_what_to_do() -> None:
    rules = re.split(r"^      - alert: ", (ROOT / "deploy" / "alerts.yml").read_text(), flags=re.MULTILINE)[1:]

    assert len(rules) >= 10
    for rule in rules:
        assert re.search(r"^          action: \".+\"$", rule, re.MULTILINE), rule
        assert used(rule), rule


def test_an_agent_that_was_never_heard_is_neither_up_nor_ready(settings: Settings) -> None:
    _, found = measured(settings)
    text = found.text().decode()

    assert "\nedge_agent_up 0.0\n" in text
    assert "\nedge_agent_ready 0.0\n" in text


def test_a_condition_that_does_not_hold_is_zero_and_the_line_not_ready(settings: Settings) -> None:
    live, found = measured(settings)
    live.hear(agent_state(output="the remote I/O is not there"))
    text = found.text().decode()

    assert 'edge_agent_condition_ok{condition="output"} 0.0' in text
    assert 'edge_agent_condition_ok{condition="journal"} 1.0' in text
    assert "\nedge_agent_up 1.0\n" in text
    assert "\nedge_agent_ready 0.0\n" in text
    assert 'simulated="true"' in text


def test_parts_are_counted_by_verdict_and_measured_once(settings: Settings) -> None:
    live, found = measured(settings)
    live.total[Verdict.REJECT, Reason.SCORE] += 2
    for row in (part_row(1), reject_row(2), replace(part_row(3), score=None, limit=None)):
        found.take(SeenPart(row, PublicationRow(row.part_seq, Published.PUBLISHED, row.first_sign_mono_s + 0.12, "")))
    found.take(SeenPart(part_row(4), None))
    text = found.text().decode()

    assert 'edge_agent_parts_total{reason="SCORE",verdict="REJECT"} 2.0' in text
    assert 'edge_agent_verdicts_total{published="PUBLISHED"} 3.0' in text
    assert 'edge_agent_part_latency_seconds_bucket{le="0.15"} 3.0' in text
    assert 'edge_agent_part_latency_seconds_bucket{le="0.1"} 0.0' in text
    assert "edge_agent_score_ratio_count 2.0" in text
    assert 'edge_agent_score_ratio_bucket{le="1.0"} 1.0' in text
    assert 'edge_agent_stage_seconds_count{stage="decode"} 3.0' in text


def test_a_name_with_quotes_is_escaped(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    settings = settings.model_copy(update={"line": settings.line.model_copy(update={"name": 'a"} 1\\'})})
    _, found = measured(settings)

    assert 'line="a\\"} 1\\\\"' in found.text().decode()


def test_what_a_receiver_has_not_got_yet_is_counted(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    webhook = WebhookSettings(url="http://127.0.0.1:1/")
    settings = settings.model_copy(update={"webhook": webhook})
    asyncio.run(written(settings.store.journal, [part_row(seq) for seq in (1, 2, 3)]))
    _, found = measured(settings)
    assert "edge_agent_results_waiting{" not in found.text().decode()

    write_position(position_file(settings.store.journal, "webhook"), Position("", 4))
    _, found = measured(settings)

    assert 'edge_agent_results_waiting{receiver="webhook"} 2.0' in found.text().decode()
    assert 'edge_agent_results_set_aside{receiver="webhook"} 0.0' in found.text().decode()


def test_what_a_receiver_does_not_take_is_counted_and_makes_the_line_degraded(tmp_path: Path) -> None:
    settings = web_settings(tmp_path).model_copy(update={"webhook": WebhookSettings(url="http://127.0.0.1:1/")})
    asyncio.run(written(settings.store.journal, [part_row(1)]))
    one = SetAside("part", {"part_seq": 1, "verdict": "PASS"}, "", 1, "answered 422")
    set_aside(aside_file(settings.store.journal, "webhook"), one)
    live, found = measured(settings)
    live.hear(agent_state())
    text = found.text().decode()

    assert 'edge_agent_results_set_aside{receiver="webhook"} 1.0' in text
    assert 'edge_agent_degraded{reason="results"} 1.0' in text
    assert "edge-agent results list" in found.degraded()["results"]
