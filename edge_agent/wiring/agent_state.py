"""What a running agent tells of itself: at its desk, and to its page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from drivers.base import DriverError
from edge_agent.feed.telling import Looked
from edge_agent.runtime.disk import DISK
from edge_agent.runtime.overdue import CHALLENGE, ChallengeClock
from edge_agent.runtime.supervisor import CONDITIONS
from edge_agent.store.held import Held
from edge_agent.store.journal import Journal, JournalError, JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.timing import Deadline
    from edge_agent.runtime.engine import Engine
    from edge_agent.runtime.inputs import LineInputs
    from edge_agent.runtime.interlock import Health
    from edge_agent.settings import Settings
    from edge_agent.store.archive import Archive

__all__ = ["AgentDesk", "AskedLink", "challenge_clock", "look_at"]


class AskedLink(Protocol):
    """A controller link that a person may ask."""

    def status(self) -> Any:
        """How it stands, as a dataclass."""
        ...

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """One command between the agent's own. Raises DriverError, ValueError."""
        ...

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        """Hear every result line; gives what ends it."""
        ...


def challenge_clock(settings: Settings) -> ChallengeClock:
    """What the journal knows of challenges, where line.toml asks for them."""
    if settings.challenge is None:
        return ChallengeClock(None)
    with JournalReader.open(settings.store.journal) as reader:
        return ChallengeClock(settings.challenge.every_h, reader.newest_events(CHALLENGE, 1000))


def look_at(engine: Engine, health: Health, archive: Archive, degraded: Callable[[], Mapping[str, str]]) -> Looked:
    """What the processes beside the agent are told."""
    return Looked(
        state=str(engine.state),
        conditions={**dict.fromkeys((*CONDITIONS, DISK), ""), **health.reasons},
        is_simulated=engine.is_simulated,
        is_dry_run=engine.is_dry_run,
        bypass=engine.bypass.words,
        program=engine.program,
        degraded=degraded(),
        archive_lost=archive.lost,
        archive_pruned=archive.pruned,
        archive_held=archive.held,
    )


@dataclass(frozen=True, slots=True)
class AgentDesk:
    """What the agent tells and does at its desk: the link's commands, and how the line stands."""

    link: AskedLink
    engine: Engine
    health: Health
    inputs: LineInputs
    journal: Journal
    clock: ChallengeClock
    degraded: Callable[[], Mapping[str, str]] = dict
    held: Callable[[], Held] = Held
    """What the archive holds of each kind."""

    def status(self) -> dict[str, object]:
        """How line and link stand."""
        return {
            "state": str(self.engine.state),
            "health": str(self.health),
            "bypass": self.engine.bypass.status(),
            "simulated": self.engine.is_simulated,
            "dry_run": self.engine.is_dry_run,
            "degraded": dict(self.degraded()),
            "archive": asdict(self.held()),
            "link": asdict(self.link.status()),
        }

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """One command to the controller. Raises DriverError, ValueError."""
        return await self.link.command(name, *args, by=by)

    async def bypass(self, *, begins: bool, by: str, why: str, for_s: float) -> Mapping[str, object]:
        """Let a person answer for the parts, or end that; gives the status. Raises EdgeAgentError."""
        if begins:
            await self.engine.bypass.begin(by, why, for_s)
        else:
            await self.engine.bypass.end(by)
        return self.status()

    async def acknowledge(self, by: str) -> Mapping[str, object]:
        """A person has looked after a rejected part that was not seen leaving; the status, and which part it was."""
        return {**self.status(), "acknowledged_part": await self.inputs.acknowledge(by)}

    async def note(self, kind: str, detail: str) -> None:
        """An event for the journal. Raises DriverError where the disk refuses it."""
        try:
            await self.journal.event(kind, detail)
        except JournalError as err:
            raise DriverError(str(err)) from err
        if kind == CHALLENGE:
            self.clock.note(detail, datetime.now(UTC))

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        """Hear every result line from now on; gives what ends it."""
        return self.link.listen(on_line)
