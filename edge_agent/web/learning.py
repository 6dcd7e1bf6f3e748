"""The view of what a line learned: the newest learning of its journal, with the figures of both bundles."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.inspection.bundle.learned import LEARN_EVENT
from edge_agent.report.learned_words import lost_words, outcome_words
from edge_agent.report.words import signer_words
from edge_agent.store.changes import change_of
from edge_agent.store.reader import JournalReader
from edge_agent.store.starts import told_detail
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from edge_agent.settings import Settings
    from edge_agent.store.changes import Change

__all__ = ["LearningPage"]

_NEWEST = 40
_KEPT_S = 5.0
"""Many browsers get what was looked up once."""
_COUNTS = ("added", "defects")
_SIDES = ("both_pass", "both_reject", "to_reject", "to_pass")


@dataclass(slots=True)
class LearningPage:
    """The addresses of this view."""

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: tuple[float, list[tuple[Change, dict[str, Any]]]] | None = None

    def routes(self) -> list[Route]:
        """The addresses, with who answers them."""
        return [Route("/api/learning", self.learning)]

    def learning(self, _: Request) -> Response:
        """The newest learning that came to an end, and one that goes on since; null where there is none."""
        found = self._newest()
        ended = next((one for one in found if one[1].get("what") != "begun"), None)
        begun = found[0] if found and found[0][1].get("what") == "begun" else None
        return JSONResponse(
            {
                "schema_version": 1,
                "begun": None if begun is None else _who(*begun),
                "learning": None if ended is None else _json(*ended),
            }
        )

    def _newest(self) -> list[tuple[Change, dict[str, Any]]]:
        with self._lock:
            if self._found is None or monotonic_s() - self._found[0] > _KEPT_S:
                self._found = monotonic_s(), self._look()
            return self._found[1]

    def _look(self) -> list[tuple[Change, dict[str, Any]]]:
        with JournalReader.open(self.settings.store.journal) as journal:
            events = journal.newest_events(LEARN_EVENT, _NEWEST)
        return [(change_of(event), told) for event in events if (told := told_detail(event.detail)) is not None]


def _who(change: Change, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at_utc": change.at_utc,
        "by": signer_words(change.by, change.role),
        "why": change.why,
        "program": told.get("program"),
        "camera": told.get("camera"),
        "parent": str(told.get("parent") or ""),
        **{name: told.get(name) for name in _COUNTS},
    }


def _json(change: Change, told: Mapping[str, Any]) -> dict[str, Any]:
    what = told.get("what")
    lost = [one for one in _list(told.get("lost")) if isinstance(one, int)]
    figures = [_figure(one) for one in _list(told.get("figures")) if isinstance(one, dict)]
    # A record of a version before names what is worse, and has no figures.
    worse = [tr(str(one)) for one in _list(told.get("worse"))]
    result, to_do = outcome_words(lost, len(worse))
    if what == "broken off":
        result, to_do = tr("broken off: {why}", why=told.get("problem")), tr("The same command goes on: learn run.")
    sides, own_good = told.get("sides"), _list(told.get("own_good"))
    return {
        **_who(change, told),
        "what": what,
        "bundle_id": str(told.get("bundle_id") or ""),
        "result": result,
        "to_do": to_do,
        "is_bad": what != "offered",
        "lost": list(lost_words(lost)),
        "worse": worse,
        "figures": figures,
        "people": told["people"] if isinstance(told.get("people"), dict) else {},
        "own_good": own_good if len(own_good) == len(_COUNTS) else None,
        "hours": told.get("hours"),
        "sides": {name: sides.get(name) for name in _SIDES} if isinstance(sides, dict) else None,
    }


def _figure(told: Mapping[str, Any]) -> dict[str, Any]:
    name, before, after = (str(told.get(key) or "") for key in ("name", "before", "after"))
    return {"name": tr(name), "before": before, "after": tr(after), "worse": told.get("worse") is True}


def _list(told: object) -> list[Any]:
    return told if isinstance(told, list) else []
