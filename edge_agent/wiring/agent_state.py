"""What a running agent tells of itself: at its desk, and to its page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from drivers.base import DriverError
from edge_agent.feed.state import Samples
from edge_agent.feed.telling import Looked
from edge_agent.runtime.bypass import BypassRefused
from edge_agent.runtime.disk import DISK
from edge_agent.runtime.supervisor import CONDITIONS
from edge_agent.store.challenges import CHALLENGE, read_challenge
from edge_agent.store.held import Held
from edge_agent.store.journal import Journal, JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.timing import Deadline
    from edge_agent.golden.clock import ChallengeClock
    from edge_agent.runtime.engine import Engine
    from edge_agent.runtime.inputs import LineInputs
    from edge_agent.runtime.interlock import Health
    from edge_agent.store.archive import Archive

__all__ = ["AgentDesk", "AskedLink", "look_at"]


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


def look_at(
    engine: Engine,
    health: Health,
    archive: Archive,
    clock: ChallengeClock,
    degraded: Callable[[], Mapping[str, str]],
) -> Looked:
    """What the processes beside the agent are told."""
    stands = clock.standing(engine.program, engine.next_seq)
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
        locked=engine.why_locked,
        samples=Samples(
            words=stands.words,
            is_soon=stands.is_soon,
            due_s=None if stands.due_s is None else float(round(stands.due_s)),
            due_parts=stands.due_parts,
        )
        if stands.is_asked
        else None,
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
            "program": self.engine.program,
            "newest_part": self.engine.next_seq - 1,
            "locked": self.engine.why_locked,
            "samples": self.clock.standing(self.engine.program, self.engine.next_seq).words,
            "archive": asdict(self.held()),
            "link": asdict(self.link.status()),
        }

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """One command to the controller. Raises DriverError, ValueError."""
        return await self.link.command(name, *args, by=by)

    async def bypass(self, *, begins: bool, by: str, why: str, for_s: float) -> Mapping[str, object]:
        """Let a person answer for the parts, or end that; gives the status.

        Raises BypassRefused, also while the line is locked, JournalError.
        """
        if begins and (why_locked := self.engine.why_locked):
            raise BypassRefused(
                f"a bypass opens nothing now: {why_locked}", hint="show the samples: edge-agent challenge --samples all"
            )
        if begins:
            await self.engine.bypass.begin(by, why, for_s)
        else:
            await self.engine.bypass.end(by)
        return self.status()

    async def acknowledge(self, by: str) -> Mapping[str, object]:
        """A person has looked after a rejected part that was not seen leaving; the status, and which part it was."""
        return {**self.status(), "acknowledged_part": await self.inputs.acknowledge(by)}

    async def note(self, kind: str, detail: str) -> None:
        """An event for the journal. Raises DriverError where the disk refuses it.

        Of a challenge that was not passed nothing is lost by that: no part passes before its record is on the disk.
        """
        told = read_challenge(detail, "") if kind == CHALLENGE else None
        is_failed = told is not None and not told.is_passed
        # One that was not passed closes the lock before its record is on the disk, one that was passed opens it after.
        if is_failed:
            await self._take_note(detail)
        try:
            # A lock that stands in memory alone would be open after a restart.
            await self.journal.event(kind, detail, must=is_failed)
        except JournalError as err:
            if not is_failed:
                raise DriverError(str(err)) from err
            self.health.fails(
                "journal", str(err)
            )  # it is proven until it takes a write, and that one writes what is owed
            raise DriverError(
                f"{err}; the line is locked, and the record is written as soon as the disk takes it"
            ) from err
        # Of one that was not passed once more: another one that was passed may have come to the disk just before it.
        if told is not None:
            await self._take_note(detail)

    async def _take_note(self, detail: str) -> None:
        self.clock.note(detail, self.engine.next_seq - 1)
        if self.engine.why_locked:
            await self.engine.withdraw()

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        """Hear every result line from now on; gives what ends it."""
        return self.link.listen(on_line)
