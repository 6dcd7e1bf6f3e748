"""A PLC with a gate: takes the verdict's register block, and opens for the part that the block names, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.timing import monotonic_s

__all__ = ["PlcPart", "SimulatedPlc"]

_BLOCK, _BACK = 8, 5
_FRESH_S = 0.5
_PASS, _REJECT, _READY = 0x005A, 0x00C3, 1


@dataclass(slots=True)
class PlcPart:
    """A part that came to the gate: its number, and what became of it. ``why`` says what the last block lacked."""

    seq: int
    is_let_through: bool = False
    is_decided: bool = False
    why: str = "no block came"


class SimulatedPlc(SimulatedRemoteIo):
    """Holding registers: the agent's block from ``first_register`` on, the PLC's own words from ``plc_register`` on.

    Each part that arrives gets the next number. Every scan looks at the block: its check, its verdict against the
    complement, READY, a heartbeat that changed within half a second, and its number against the part's. Only all of
    them together decide; the decision is kept until the next part. ``is_counting`` off: no number is given, and a
    block counts if its number is not the one that stood there when the part came.
    """

    def __init__(
        self,
        *,
        first_register: int = 0,
        plc_register: int = _BLOCK,
        scan_s: float = 0.005,
        is_counting: bool = True,
        program: int = 0,
        **options: float | str,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.words: dict[int, int] = dict.fromkeys(range(first_register, first_register + _BLOCK), 0)
        self.words |= dict.fromkeys(range(plc_register, plc_register + _BACK), 0)
        self.words[plc_register + 3] = program
        self.parts: list[PlcPart] = []
        self.is_scanning = True
        self._first = first_register
        self._back = plc_register
        self._scan_s = scan_s
        self._is_counting = is_counting
        self._stood = 0
        self._beat = 0
        self._beat_mono_s = -_FRESH_S
        self._scanner: asyncio.Task[None] | None = None

    @property
    def is_agent_ready(self) -> bool:
        """Whether the agent's READY bit is set, and its heartbeat fresh."""
        return bool(self.block[4] & _READY) and monotonic_s() - self._beat_mono_s <= _FRESH_S

    @property
    def block(self) -> tuple[int, ...]:
        """The agent's eight words as they stand."""
        return tuple(self.words[self._first + at] for at in range(_BLOCK))

    def part_arrives(self) -> PlcPart:
        """A part comes to the gate, which closes; one that is still there undecided leaves by the chute."""
        if self.parts and not self.parts[-1].is_decided:
            self._into_the_chute()
        part = PlcPart((len(self.parts) % 65535 + 1) if self._is_counting else 0)
        self.parts.append(part)
        self._stood = self.words[self._first]
        self.words[self._back] = part.seq
        return part

    async def start(self) -> None:
        """Listen and scan. Raises OSError where the port is taken."""
        await super().start()
        self._scanner = self._scanner or asyncio.get_running_loop().create_task(self._scan_on())

    async def stop(self) -> None:
        """Leave no socket and no task. Idempotent."""
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            scanner.cancel()
            await asyncio.gather(scanner, return_exceptions=True)
        await super().stop()

    async def _scan_on(self) -> None:
        while True:
            if self.is_scanning:
                self.scan(monotonic_s())
            await asyncio.sleep(self._scan_s)

    def scan(self, now_mono_s: float) -> None:
        """One cycle of the PLC's program."""
        self.words[self._back + 2] = (self.words[self._back + 2] + 1) % 65536
        if self.block[7] != self._beat:
            self._beat, self._beat_mono_s = self.block[7], now_mono_s
        part = self.parts[-1] if self.parts else None
        if part is None or part.is_decided:
            return
        part.why = self._lacking(part, now_mono_s)
        if not part.why:
            part.is_decided = True
            part.is_let_through = self.block[1] == _PASS
            self.words[self._back + 1] = self.block[0]
            if not part.is_let_through:
                self._into_the_chute()

    def _into_the_chute(self) -> None:
        self.words[self._back + 4] = (self.words[self._back + 4] + 1) % 65536

    def _lacking(self, part: PlcPart, now_mono_s: float) -> str:
        """What keeps the block from deciding this part; empty if nothing does."""
        seq, verdict, complement, _, status, _, check, _ = self.block
        if check != _crc16(b"".join(word.to_bytes(2, "big") for word in self.block[:6])):
            return "the check does not agree"
        if verdict + complement != 0xFFFF or verdict not in (_PASS, _REJECT):
            return "verdict and complement do not agree"
        if not status & _READY:
            return "the agent is not READY"
        if now_mono_s - self._beat_mono_s > _FRESH_S:
            return "the heartbeat is old"
        if seq == 0 or (seq != part.seq if self._is_counting else seq == self._stood):
            return f"the block is of part {seq}"
        return ""

    # requests

    def _read_word(self, address: int, now_mono_s: float) -> int:
        return self.words[address] if address in self.words else super()._read_word(address, now_mono_s)

    def _write_word(self, address: int, word: int) -> None:
        if self._first <= address < self._first + _BLOCK:
            self.words[address] = word
        else:
            super()._write_word(address, word)


def _crc16(data: bytes) -> int:
    """CRC-16/MODBUS, bit by bit from the lowest."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            is_odd = (register ^ byte >> bit) & 1
            register >>= 1
            if is_odd:
                register ^= 0xA001
    return register
