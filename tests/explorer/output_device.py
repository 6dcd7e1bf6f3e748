"""The two devices: a remote I/O with four coils and a watchdog, and a PLC that opens its gate for the part it has.

Both say whose PASS stands. That the explorer knows by following each request, not from the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from drivers.output.block import check_word

if TYPE_CHECKING:
    from tests.explorer.output_loop import SteppedLoop

__all__ = ["WATCHDOG_TICKS", "CoilDevice", "Device", "PlcDevice"]

WATCHDOG_TICKS = 4
"""A remote I/O that is not written to for so long drops its outputs; a PLC takes no heartbeat that is older."""
_PASS, _READY, _CHECKED, _PLC_REGISTER = 0x005A, 1, 6, 8


class Device(Protocol):
    """What the wire needs of a device."""

    standing: int | None
    """Whose PASS stands; None: nobody's."""

    def is_pass(self, pdu: Any) -> bool:
        """Whether this write says PASS."""
        ...

    def carry_out(self, pdu: Any, part: int | None) -> None:
        """A write; ``part``: whose PASS."""
        ...

    def read(self, address: int, count: int) -> tuple[int, ...]:
        """What stands there."""
        ...

    def tick(self) -> None:
        """A tick has gone by."""
        ...

    def state(self, beats: int) -> tuple[Any, ...]:
        """All that tells this device from another, ``beats`` being the agent's own count."""
        ...


class CoilDevice:
    """A remote I/O. Its outputs come back with the first write after its watchdog dropped them."""

    def __init__(self, loop: SteppedLoop) -> None:
        self._loop = loop
        self.coils: tuple[int, ...] = (0, 0, 0, 0)
        self.standing: int | None = None
        self._written_tick = loop.ticks

    def is_pass(self, pdu: Any) -> bool:
        return bool(pdu.bits[0])

    def carry_out(self, pdu: Any, part: int | None) -> None:
        self.coils = tuple(int(bit) for bit in pdu.bits[:4])
        self.standing = part if self.coils[0] else None
        self._written_tick = self._loop.ticks

    def read(self, address: int, count: int) -> tuple[int, ...]:
        return self.coils[address : address + count]

    def tick(self) -> None:
        if self._loop.ticks - self._written_tick >= WATCHDOG_TICKS:
            self.coils = (0, 0, 0, 0)
            self.standing = None

    def state(self, beats: int) -> tuple[Any, ...]:
        since = min(self._loop.ticks - self._written_tick, WATCHDOG_TICKS)
        return (*self.coils[:3], self.coils[3] ^ beats & 1, self.standing, since)


class PlcDevice:
    """A PLC with a gate. ``at_gate`` is the line's own name of the part before it, which no register carries.

    Its program is taken to look whenever that would open the gate, and to have decided nothing yet: whatever it does
    between, no gate opens that this one keeps closed.
    """

    def __init__(self, loop: SteppedLoop) -> None:
        self._loop = loop
        self.block: tuple[int, ...] = (0,) * _PLC_REGISTER
        self.standing: int | None = None
        self.named: int | None = None
        """Whose PASS the block is, its heartbeat old or not."""
        self.at_gate: int | None = None
        self.number = 0
        self._beat_tick = loop.ticks

    def is_pass(self, pdu: Any) -> bool:
        return bool(pdu.registers[1] == _PASS)

    def carry_out(self, pdu: Any, part: int | None) -> None:
        before, self.block = self.block, tuple(pdu.registers)
        if self.block[-1] != before[-1]:
            self._beat_tick = self._loop.ticks
        self.standing = self.named = part

    def read(self, address: int, count: int) -> tuple[int, ...]:
        if address < _PLC_REGISTER:
            return self.block[address : address + count]
        return (self.number, self.block[0], self._loop.ticks & 0xFFFF, 0, 0)

    def tick(self) -> None:
        if self._loop.ticks - self._beat_tick >= WATCHDOG_TICKS:
            self.standing = None

    def counts(self, part: int | None) -> None:
        """Another part is at the gate, or nobody where the sensor saw something else."""
        self.number += 1
        self.at_gate = part

    def counts_anew(self) -> None:
        """The PLC was started again: its numbers begin at 1, its registers are kept."""
        self.number = 0
        self.at_gate = None

    @property
    def opens_on(self) -> int | None:
        """Whose PASS opens the gate now; None: it stays closed. An old heartbeat is not held against a block."""
        seq, verdict, complement, _, status, _, check, _ = self.block
        if verdict != _PASS or verdict ^ complement != 0xFFFF or not status & _READY or seq == 0 or seq != self.number:
            return None
        return self.named if check == check_word(self.block[:_CHECKED]) else None

    def state(self, beats: int) -> tuple[Any, ...]:
        since = min(self._loop.ticks - self._beat_tick, WATCHDOG_TICKS)
        words = (*self.block[:2], self.block[4], (self.block[7] - beats) & 0xFFFF)
        return (words, self.standing, self.named, self.at_gate, self.number, since)
