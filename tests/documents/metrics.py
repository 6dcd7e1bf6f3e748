"""The table of docs/metrics.md: each metric as /metrics serves it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.domain import Published
from edge_agent.feed.current import Live, SeenPart
from edge_agent.store.reviewed import ReviewBook
from edge_agent.store.rows import PublicationRow
from edge_agent.web.measured import Measured
from tests.documents.words import code, table, text
from tests.security.web_site import agent_state, part_row, web_settings

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["metrics"]


def metrics() -> list[str]:
    """Name, kind, labels and words of every family that the page's process collects."""
    with tempfile.TemporaryDirectory() as folder:
        settings = web_settings(Path(folder))
        live = Live(settings.store.journal, ("00:00",))
        measured = Measured(settings, live, ReviewBook())
        live.hear(agent_state())
        row = part_row(1)
        measured.take(SeenPart(row, PublicationRow(1, Published.PUBLISHED, row.first_sign_mono_s + 0.1, "")))
        families = list(measured._registry.collect())
    rows = [
        (code(_name(one)), one.type, ", ".join(map(code, _labels(one))), text(one.documentation)) for one in families
    ]
    return table(("name", "kind", "labels", "what"), sorted(rows))


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> list[str]:
    told = getattr(family, "_labelnames", None)
    if told is not None:
        return list(told)
    return sorted({name for sample in family.samples for name in sample.labels} - {"le"})
