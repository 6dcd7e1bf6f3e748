"""How this line stands, for the fleet: what the agent said last, and what journal, shadow and registry say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.drift.from_journal import DriftWatch
from edge_agent.errors import DataError
from edge_agent.fleet_line.messages import JudgingBundle, KnownParts, ShadowCounts, State, words
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.registry import bundle_in_use
from edge_agent.shadow.comparison import newest_comparison
from edge_agent.store.aside import number_aside
from edge_agent.store.position import position_file, read_position, rows_behind

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.feed.state import AgentState
    from edge_agent.fleet_line.messages import OfferTaken
    from edge_agent.opcua.hello import Hello
    from edge_agent.settings import BundleSettings
    from edge_agent.shadow.comparison import Known

__all__ = ["Standing"]

_SILENT_AFTER_S = 3.0
_SLOWLY_S = 5.0
_MOST_REASONS = 32
_MOST_PLACES = 200


@dataclass(slots=True)
class _Slow:
    """What takes reading, looked at every few seconds."""

    behind: int = 0
    aside: int = 0
    bundles: tuple[JudgingBundle, ...] = ()
    drift: str = ""
    shadow: ShadowCounts | None = None
    problems: dict[str, str] = field(default_factory=dict)


class Standing:
    """``hear`` is called in one thread, ``now`` in another."""

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._watch = DriftWatch(hello.settings)
        self._heard: tuple[AgentState | None, float] = (None, 0.0)
        self._slow, self._looked_mono_s = _Slow(), -_SLOWLY_S

    def hear(self, state: AgentState) -> None:
        """The agent told how it stands."""
        self._heard = state, monotonic_s()

    def now(self, taken: tuple[OfferTaken, ...]) -> State:
        """Everything, as a message. Raises nothing: what cannot be read is said in it."""
        if monotonic_s() - self._looked_mono_s >= _SLOWLY_S:
            self._slow, self._looked_mono_s = self._look(), monotonic_s()
        (agent, heard_mono_s), slow, fleet = self._heard, self._slow, self._hello.settings.fleet
        is_heard = agent is not None and monotonic_s() - heard_mono_s < _SILENT_AFTER_S
        why_not = {} if agent is None else {name: one.why_not for name, one in agent.conditions.items() if one.why_not}
        return State(
            version=version("edge-agent"),
            at_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
            state=agent.state if agent is not None and is_heard else "",
            follow="none" if fleet is None else fleet.follow,
            simulated=bool(agent and agent.is_simulated),
            dry_run=bool(agent and agent.is_dry_run),
            why_not=_bounded(why_not),
            degraded=_bounded({**(agent.degraded if agent else {}), **slow.problems}),
            bypass=words(agent.bypass) if agent else "",
            behind=slow.behind,
            aside=slow.aside,
            bundles=slow.bundles,
            drift=words(slow.drift, 2000),
            shadow=slow.shadow,
            offers=taken[:40],
        )

    def _look(self) -> _Slow:
        journal, found = self._hello.settings.store.journal, _Slow()
        try:
            position = read_position(position_file(journal, "fleet"))
            found.behind = 0 if position is None else rows_behind(journal, position)
            found.aside = number_aside(journal, "fleet")
            self._watch.look()
            found.drift = self._watch.words
            found.shadow = _shadow(journal)
        except (DataError, OSError) as err:
            found.problems["fleet"] = str(err)
        judging = {(one.program, one.camera): one.bundle_id for one in self._hello.bundles}
        found.bundles = tuple(
            JudgingBundle(
                program=one.program,
                camera=one.camera,
                bundle_id=judging.get((one.program, one.camera), ""),
                chosen_id=_chosen(one),
            )
            for one in self._hello.settings.bundle[:_MOST_PLACES]
        )
        return found


def _chosen(entry: BundleSettings) -> str:
    try:
        folder, pinned = bundle_in_use(entry.path)
        return pinned or read_manifest(folder).text("id")
    except (DataError, OSError):
        return ""


def _shadow(journal: Path) -> ShadowCounts | None:
    found = newest_comparison(journal)
    if found is None:
        return None
    counts, candidate = found.counts_json(), found.shadow.candidate
    return ShadowCounts(
        bundle_id=candidate.bundle_id,
        program=candidate.program,
        camera=candidate.camera,
        parts=found.parts,
        to_reject=counts["to_reject"],
        to_pass=counts["to_pass"],
        not_comparable=sum(counts["not_comparable"].values()),
        good=_known(found.good),
        bad=_known(found.bad),
        problem=words(found.shadow.problem),
        ended=found.shadow.ended_utc is not None,
    )


def _known(known: Known) -> KnownParts:
    return KnownParts(of=known.of, wrong=len(known.wrong), wrong_before=len(known.wrong_before))


def _bounded(said: dict[str, str]) -> dict[str, str]:
    return {words(name, 120): words(why) for name, why in list(said.items())[:_MOST_REASONS]}
