"""How a line stands now, in one answer: what its agent tells, and what of it a person should look at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge_agent.drift.from_journal import DriftWatch
from edge_agent.errors import DataError
from edge_agent.store.held import Held, HeldKind, reach_of
from edge_agent.store.reader import JournalReader
from edge_agent.store.receivers import receiver_statuses
from edge_agent.web.drift import drift_warnings, drifts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.settings import Settings

__all__ = ["LineStatus", "line_status"]

_NOT_REAL = {"simulated": "SIMULATED peers", "dry_run": "DRY RUN: the output stays REJECT"}
_NEWEST_PARTS = 100


@dataclass(frozen=True, slots=True)
class LineStatus:
    """``state`` is READY or not, ``health`` why. ``degraded``: reasons by name, while parts are judged all the same.

    ``archive`` says how far back images are held, ``kinds`` what this run is not.
    """

    state: str
    health: str
    degraded: Mapping[str, str]
    bypass: Mapping[str, Any] | None
    archive: str
    kinds: tuple[str, ...] = ()
    samples: str = ""
    """When samples are due, or since when they are; empty where none are asked for."""

    @property
    def is_well(self) -> bool:
        """READY, nothing to look at, and the inspection answers for the parts."""
        return self.state == "READY" and not self.degraded and self.bypass is None

    def lines(self) -> list[str]:
        """How the line stands, as lines of text for a person."""
        said = [f"the line is {self.state}: {self.health}", *self.kinds]
        said += [f"DEGRADED, {name}: {why}" for name, why in self.degraded.items()]
        said += [] if self.degraded else ["nothing is degraded"]
        if self.bypass is not None:
            minutes = float(self.bypass["left_s"]) / 60
            said.append(f"BYPASS by {self.bypass['by']}, {minutes:.1f} min left: {self.bypass['why']}")
        said += [self.samples] if self.samples and "challenge" not in self.degraded else []
        return [*said, f"the archive {self.archive}"]

    def to_json(self) -> dict[str, object]:
        """The object that the command prints with ``--json``."""
        return {
            "schema_version": 1,
            "ok": self.is_well,
            "state": self.state,
            "health": self.health,
            "degraded": dict(self.degraded),
            "bypass": None if self.bypass is None else dict(self.bypass),
            "kinds": list(self.kinds),
            "samples": self.samples,
            "archive": self.archive,
        }


def line_status(settings: Settings, told: Mapping[str, Any]) -> LineStatus:
    """Of what the agent told at its desk, with light, focus and receivers as the page has them. Raises nothing."""
    held = Held(**{name: HeldKind(**kind) for name, kind in told.get("archive", {}).items()})
    why = "; ".join(filter(None, (stands.degraded for stands in receiver_statuses(settings))))
    beside = {"image": _drift(settings), "drift": _changes(settings), "results": why}
    return LineStatus(
        state=str(told["state"]),
        health=str(told["health"]),
        degraded={**told["degraded"], **{name: words for name, words in beside.items() if words}},
        bypass=told["bypass"],
        archive=reach_of(held, settings.store.journal).words,
        kinds=tuple(words for name, words in _NOT_REAL.items() if told[name]),
        samples=str(told.get("samples", "")),
    )


def _changes(settings: Settings) -> str:
    watch = DriftWatch(settings)
    try:
        watch.look()
    except DataError as err:
        return str(err)
    return watch.words


def _drift(settings: Settings) -> str:
    try:
        with JournalReader.open(settings.store.journal) as journal:
            newest = list(islice(journal.select("1", (), is_newest_first=True), _NEWEST_PARTS))
    except DataError as err:
        return str(err)
    return drift_warnings(drifts(reversed(newest)))
