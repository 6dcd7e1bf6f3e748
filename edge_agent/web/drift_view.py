"""The addresses of the drift view: the control charts of the last hours, and what has changed."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_agent.drift.charts import LEARNED_FROM
from edge_agent.drift.traces import MOST_PARTS, traces
from edge_agent.report.phrases import said
from edge_agent.report.words import watched_words
from edge_agent.store.search import JournalSearch
from edge_agent.web.asking import checked, utc_text

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge_agent.drift.from_journal import DriftWatch
    from edge_agent.drift.traces import Trace
    from edge_agent.settings import Settings

__all__ = ["DriftPages"]

_HOURS_MOST: Final = 24 * 31
_WAITS_S: Final = 10.0


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: Annotated[float, Field(gt=0, le=_HOURS_MOST, allow_inf_nan=False)] = 24.0


@dataclass(frozen=True, slots=True)
class DriftPages:
    """Answers one browser at a time: each answer reads thousands of rows."""

    settings: Settings
    watch: DriftWatch
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def routes(self) -> list[Route]:
        """The addresses, for the page."""
        return [Route("/api/drift", self.charts)]

    def charts(self, request: Request) -> Response:
        """Every chart of the last ``hours``, of the newest parts among them where those are very many.

        Raises HTTPException for a time that cannot be, and where too much is asked for at once.
        """
        asked = checked(lambda: _Asked.model_validate(dict(request.query_params)))
        since = utc_text(datetime.now(UTC) - timedelta(hours=asked.hours)) or ""
        if not self._turn.acquire(timeout=_WAITS_S):
            raise HTTPException(503, "too many pictures are asked for at once")
        try:
            with JournalSearch.open(self.settings.store.journal) as journal:
                first, last = journal.first_seq_since(since), journal.newest_seq()
                found = traces(self.settings, journal, first, last, self.watch.standing)
        finally:
            self._turn.release()
        facts = {
            "schema_version": 1,
            "hours": asked.hours,
            "parts": max(0, last - first + 1),
            "charted_most": MOST_PARTS,
            "charts": [trace_json(one) for one in found],
        }
        return JSONResponse(facts)


def trace_json(one: Trace) -> dict[str, Any]:
    """One chart. ``learned`` of ``learned_from`` parts are there where what is usual is not known yet."""
    stands, digits = one.standing, one.digits
    title, about = watched_words(stands.quantity)
    change, usual = stands.change, stands.usual

    def figure(value: float | None) -> float | None:
        return None if value is None else round(value, digits + 1)

    return {
        "camera": stands.camera,
        "quantity": stands.quantity,
        "title": title,
        "about": about,
        "unit": one.unit,
        "digits": digits,
        "usual": figure(one.usual),
        "low": figure(one.low),
        "high": figure(one.high),
        "now": figure(one.now),
        "sigma": round(stands.sigma, 2),
        "limit_sigma": round(stands.limit, 2),
        "usual_parts": None if usual is None else usual.parts,
        "learned_since_utc": usual.since_utc if usual is not None and usual.since_utc else None,
        "learned": stands.learned,
        "learned_from": LEARNED_FROM,
        "change": None if change is None else asdict(change) | {"words": said(one.words)},
        "bins": [
            [some.at_utc, figure(some.low), figure(some.high), figure(some.mean), some.outside] for some in one.bins
        ],
    }
