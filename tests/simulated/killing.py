"""Parts before a real agent that is killed, stopped or wedged at random instants; this process owns every peer.

What went through the gate is told by the wire alone; the journal is read when all is over.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.store.journal import JournalReader
from tests import invariants
from tests.simulated.line import FULL_SIZE, PASS, READY, THUMBNAIL, Line, bad_image, good_image, line
from tests.simulated.listening_plc import ListeningPlc, every_told_verdict_has_its_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from drivers.simulated.plc import PlcPart
    from edge_agent.store.journal import PartRow, PublicationRow

Kind = Literal["coils", "registers", "full size"]

_PASS_WORD = 0x005A

_TIMES = {
    # deadline + hold + watchdog + write time-out fit into the spacing: a PASS that a dead agent left ends before the
    # next part, whenever it dies.
    "coils": (1.0, 250, 1000, "pass_hold_ms = 100\nwatchdog_ms = 500\nwrite_timeout_ms = 150"),
    "full size": (2.0, 1000, 2000, "pass_hold_ms = 100\nwatchdog_ms = 500\nwrite_timeout_ms = 150"),
    "registers": (
        0.2,
        150,
        200,
        'kind = "modbus-registers"\npass_hold_ms = 50\nwatchdog_ms = 100\nwrite_timeout_ms = 50\nrefresh_ms = 50',
    ),
}


@dataclass(slots=True)
class Shown:
    """A part that was imaged: the controller's count is its truth, because it is never reset here."""

    count: int
    sign_s: float
    sha256: str
    is_good: bool
    at_gate: PlcPart | None = None


@dataclass
class KillingLine:
    """The line, the parts it showed, and when the agent fell silent."""

    at: Line
    kind: Kind
    draw: random.Random
    images: list[tuple[bytes, bool]]
    """Of good parts and bad ones."""
    shown: list[Shown] = field(default_factory=list)
    silent_since: list[float] = field(default_factory=list)
    pass_off_s: list[float] = field(default_factory=list)
    """Of every fault that met a standing PASS: how long it stood after."""
    ready_s: list[float] = field(default_factory=list)
    _producing: asyncio.Task[None] | None = None

    async def show_parts(self) -> None:
        """One part after the other, until cancelled."""
        spacing_s = _TIMES[self.kind][0]
        while True:
            await self.show_part()
            await asyncio.sleep(spacing_s * self.draw.uniform(1.0, 1.1))

    async def show_part(self) -> None:
        """One part."""
        image, is_good = self.draw.choice(self.images)
        peer = self.at.remote_io
        at_gate = peer.part_arrives() if isinstance(peer, ListeningPlc) else None
        sign_s = monotonic_s()
        count = await self.at.controller.wire_trigger(image)
        if count is not None:
            self.shown.append(Shown(count, sign_s, hashlib.sha256(image).hexdigest(), is_good, at_gate))

    async def random_instant(self) -> None:
        """Any instant; every other time one while PASS stands, or just after: there a fault would hurt."""
        await asyncio.sleep(self.draw.uniform(0.0, 2.5))
        if self.draw.random() < 0.5:
            until_s = monotonic_s() + 5.0
            while not self._stands_pass() and monotonic_s() < until_s:
                await asyncio.sleep(0.001)
            await asyncio.sleep(self.draw.uniform(0.0, 0.12))

    def _stands_pass(self) -> bool:
        """Whether PASS is energised; by registers, whether a block with PASS stands that the PLC still believes."""
        peer = self.at.remote_io
        if isinstance(peer, ListeningPlc):
            return peer.block[1] == _PASS_WORD and peer.is_agent_ready
        return peer.coils[PASS]

    async def kill(self, by: signal.Signals = signal.SIGKILL) -> None:
        """Kill the agent now, start another, and wait until it is READY."""
        agent = self.at.agent
        assert agent is not None
        if agent.returncode is None:
            agent.send_signal(by)
        self.silent_since.append(monotonic_s())
        if self._stands_pass():
            await self.at.until("the end of PASS", lambda: not self._stands_pass())
            self.pass_off_s.append(monotonic_s() - self.silent_since[-1])
        if by is not signal.SIGKILL:
            await asyncio.sleep(1.0)  # stopped for longer than any watchdog; then it is given up
            if agent.returncode is None:
                agent.kill()
        await agent.wait()
        self.ready_s.append(await self._start_again())

    async def _start_again(self) -> float:
        """Start an agent and wait until it is READY; how long that took, seconds."""
        started_s = monotonic_s()
        await self.at.start_agent()
        await self.until_ready()
        return monotonic_s() - started_s

    async def until_ready(self) -> None:
        """Wait until the wire says READY."""
        peer = self.at.remote_io
        if isinstance(peer, ListeningPlc):
            await self.at.until("READY", lambda: bool(peer.block[4] & 1) and not self._is_stale(peer))
        else:
            await self.at.until("READY", self._is_ready_again)

    def _is_ready_again(self) -> bool:
        """READY rose after the last fault: until the watchdog trips, it is what the dead agent left."""
        since_s = max(self.silent_since, default=0.0)
        changes = reversed(self.at.remote_io.history)
        rise_s = next((change.mono_s for change in changes if change.coil == READY and change.value), 0.0)
        return self.at.remote_io.coils[READY] and rise_s > since_s

    @staticmethod
    def _is_stale(peer: ListeningPlc) -> bool:
        """Whether the block is what a dead agent left."""
        return monotonic_s() - peer._beat_mono_s > 0.2

    async def settle(self) -> None:
        """No more parts, and every one decided."""
        await self.stop_parts()
        for _ in range(20):
            await asyncio.sleep(1.0)
            if self.at.agent is not None and self.at.agent.returncode is not None:
                await self._start_again()  # it took a slow inspection for a hung one: systemd would do the same
            await self.show_part()
            await asyncio.sleep(1.0)
            if any(row.count == self.shown[-1].count and row.controller_judgement for row in self.at.rows()):
                break  # its result was heard: that tells of all that were missed before it
        await self.at.stop_agent()

    async def stop_parts(self) -> None:
        """No more parts. Raises what ended them before."""
        if self._producing is None:
            return
        self._producing.cancel()
        (ended,) = await asyncio.gather(self._producing, return_exceptions=True)
        self._producing = None
        assert isinstance(ended, asyncio.CancelledError), repr(ended)

    def check(self) -> dict[str, float]:
        """The invariants over all of it; figures for a shard."""
        with JournalReader.open(self.at.folder / "journal.sqlite3") as reader:
            rows, publications, damage = list(reader.rows()), reader.publications(), reader.problems()
        assert damage == [], damage
        by_count: dict[int, PartRow] = {row.count: row for row in rows if row.count is not None}
        truth_of = {part.count: part for part in self.shown}
        through = self.went_through()
        invariants.no_stale_pass(
            invariants.Passed(part.count, self._judged(part, by_count.get(part.count)), part.is_good)
            for part in through
        )
        invariants.a_pass_has_its_row(
            [part.count for part in through], {count: row.verdict for count, row in by_count.items()}
        )
        told = self._check_told(by_count, publications)
        first = min(row.count or 0 for row in rows if row.controller_judgement or "AGENT_DOWN" in row.detail)
        # Before the first result that a journal heard of, nobody can know how many parts there were.
        invariants.every_part_is_accounted_for(
            [count for count in truth_of if count >= first],
            [row.count or -row.part_seq for row in rows if row.count is None or row.count >= first],
        )
        if self.kind != "registers":
            invariants.output_drops_when_silent(
                Gate(self.at.remote_io.history, pass_coil=PASS).windows(), self.silent_since, within_s=0.6
            )
        return {
            "kills": len(self.silent_since),
            "parts": len(self.shown),
            "passed": len(through),
            "told": told,
            "stood": len(self.pass_off_s),
            "pass_off_s_max": round(max(self.pass_off_s, default=0.0), 3),
            "ready_s_max": round(max(self.ready_s, default=0.0), 2),
        }

    def _check_told(self, rows: dict[int, PartRow], publications: dict[int, PublicationRow]) -> int:
        """Whatever the PLC heard was in the journal first, REJECT too; how many verdicts that were."""
        peer = self.at.remote_io
        if not isinstance(peer, ListeningPlc):
            return 0
        count_of = {part.at_gate.seq: part.count for part in self.shown if part.at_gate is not None}
        every_told_verdict_has_its_row(peer.told, count_of, rows, publications)
        return len({one.seq for one in peer.told})

    def went_through(self) -> list[Shown]:
        """The parts that the gate let through."""
        return [part for part in self.shown if self._went_through(part)]

    def _went_through(self, part: Shown) -> bool:
        if part.at_gate is not None:
            return part.at_gate.is_let_through
        later = [other.sign_s for other in self.shown if other.sign_s > part.sign_s]
        gate = Gate(self.at.remote_io.history, pass_coil=PASS)
        return gate.let_through(part.sign_s, min(later, default=float("inf")))

    @staticmethod
    def _judged(part: Shown, row: PartRow | None) -> frozenset[int]:
        """The part itself, if the row's image is the one that was shown; nothing otherwise."""
        is_own = row is not None and [camera.image_sha256 for camera in row.cameras] == [part.sha256]
        return frozenset({part.count}) if is_own else frozenset()


@asynccontextmanager
async def killing_line(
    folder: Path,
    bundle: Path,
    kind: Kind,
    seed: int,
    *,
    ftp_host: str = "127.0.0.1",
    prepared: Callable[[Line], AbstractAsyncContextManager[None]] = nullcontext,
) -> AsyncIterator[KillingLine]:
    """The line with its agent READY and parts coming; ``prepared`` is entered before the agent starts."""
    _, deadline_ms, spacing_ms, output = _TIMES[kind]
    remote_io = ListeningPlc() if kind == "registers" else None
    size = FULL_SIZE if kind == "full size" else THUMBNAIL
    images = [(good_image(number, size), True) for number in range(1, 9)]
    images += [(bad_image(number, size), False) for number in (1, 2)]
    async with (
        line(
            folder,
            bundle,
            deadline_ms=deadline_ms,
            spacing_ms=spacing_ms,
            output=output,
            remote_io=remote_io,
            ftp_host=ftp_host,
            start=False,
        ) as at,
        prepared(at),
    ):
        killing = KillingLine(at, kind, random.Random(seed), images)
        await at.start_agent()
        await killing.until_ready()
        killing._producing = asyncio.create_task(killing.show_parts())
        try:
            yield killing
        finally:
            await killing.stop_parts()
