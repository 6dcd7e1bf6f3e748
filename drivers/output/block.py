"""The verdict as a block of words for a PLC, the words that come back, and the half of a wire that compares them.

Whatever carries them: the words are the same over each protocol. Worked words: modbus/PROTOCOL.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from drivers.base import ProtocolViolation, Reason, Verdict
from drivers.output.wire import DeviceWire

if TYPE_CHECKING:
    from drivers.base import DriverError

__all__ = [
    "BLOCK_WORDS",
    "PLC_WORDS",
    "REASON_CODES",
    "BlockState",
    "BlockWire",
    "BlockWords",
    "PlcWords",
    "Status",
    "check_word",
    "next_seq",
]

# Each number here is a promise to the PLC's program, which is written once by somebody else: see the table "Registers"
# of modbus/PROTOCOL.md. A change breaks gates that are in use.
BLOCK_WORDS = 8
"""Seven words under one check, and the heartbeat behind them."""
PLC_WORDS = 5
# Whole words, not 0 and 1: one bit that is stuck, and a register of all zeros or all ones, must not be PASS
# (modbus/PROTOCOL.md, "Registers").
_PASS, _REJECT = 0x005A, 0x00C3
# The CRC that every frame of Modbus RTU has: a PLC's programmer knows it.
_CRC_START, _CRC_POLYNOMIAL = 0xFFFF, 0xA001
_SEQ_MAX = 0xFFFF
# Bits 4 and 5 of the status word are not used yet. A program plus 1 is at most 1000: ten bits hold it.
_PROGRAM_SHIFT, _PROGRAM_MASK = 6, 0x3FF

REASON_CODES: dict[Reason, int] = {reason: code for code, reason in enumerate(Reason, start=1)}
"""The reason word: the place of the reason in ``Reason``, so that a new reason goes to its end. 0 says nothing."""


class Status(IntFlag):
    """The bits of the status word."""

    NONE = 0
    READY = 1
    FAULT = 2
    BYPASS = 4
    """A person answers for the parts at the moment, not the inspection."""
    BUSY = 8
    """A part is open: its verdict is not decided yet. READY and not BUSY is ready for the next trigger."""


class PlcWords(NamedTuple):
    """What the PLC writes for the agent to read."""

    trigger_seq: int
    """The number of the part at the gate: one more for each part, 65535 is followed by 1; 0: it does not count."""
    ack_seq: int
    """The last number whose block was taken."""
    heartbeat: int
    program: int
    reject_confirm: int
    """Counts parts that were seen leaving by the reject chute."""


class BlockWords(Protocol):
    """Any words of the block."""

    @property
    def words(self) -> tuple[int, ...]:
        """The eight words, in the order of their registers."""
        ...


@dataclass(frozen=True, slots=True)
class BlockState:
    """What the block says. The defaults are the resting state: nothing passes."""

    seq: int = 0
    verdict: Verdict = Verdict.REJECT
    reason: int = 0
    status: Status = Status.NONE
    bundle: int = 0
    heartbeat: int = 0
    program: int | None = None
    """The controller's program, 0 to 999, in the upper bits of the status word; None: not known."""

    @property
    def words(self) -> tuple[int, ...]:
        """seq, verdict, complement, reason, status, bundle, check, heartbeat. No word of all zeros or ones is PASS."""
        verdict = _PASS if self.verdict is Verdict.PASS else _REJECT
        # Plus 1, because 0 is a program of the controller and has to be told from "not known" (docs/decisions/0032).
        program = 0 if self.program is None else self.program + 1 & _PROGRAM_MASK
        status = int(self.status) | program << _PROGRAM_SHIFT
        # Verdict and complement have to agree as well: a PLC without a CRC can look at these two.
        said = (self.seq, verdict, verdict ^ 0xFFFF, self.reason, status, self.bundle)
        # The heartbeat stands behind the check, not under it: it changes with every write (docs/decisions/0017).
        return (*said, check_word(said), self.heartbeat)


class BlockWire(DeviceWire[BlockWords], ABC):
    """A ``DeviceWire`` that writes the block in one request and compares what stands there.

    The block lies at one place of the PLC, and the words that the PLC gives back at another. The connection was made
    with both.
    """

    @property
    @abstractmethod
    def peer(self) -> str:
        """The PLC, as messages call it."""

    @property
    @abstractmethod
    def block_key(self) -> str:
        """The key of line.toml that says where the block lies, for messages."""

    @abstractmethod
    def fail(self, err: DriverError) -> NoReturn:
        """End the connection at once, and raise this."""

    @abstractmethod
    async def write_words(self, words: tuple[int, ...]) -> None:
        """Write the block in one request; return when the PLC has confirmed exactly that one. Raises DriverError."""

    @abstractmethod
    async def read_words(self, count: int) -> tuple[int, ...]:
        """The first words of the block as they stand in the PLC. Raises DriverError."""

    @abstractmethod
    async def read_plc_words(self) -> tuple[int, ...]:
        """The ``PLC_WORDS`` words that the PLC writes, in one request. Raises DriverError."""

    async def prepare(self) -> None:
        """Nothing: a PLC looks at the heartbeat by itself."""

    async def write(self, state: BlockWords) -> None:
        """As ``DeviceWire.write``."""
        await self.write_words(state.words)

    async def read_back(self, expected: BlockWords) -> None:
        """As ``DeviceWire.read_back``."""
        # From the PLC's own memory: a device was seen to confirm a write with an echo that did not fit
        # (docs/decisions/0008).
        found = await self.read_words(len(expected.words))
        if found != expected.words:
            self.fail(
                ProtocolViolation(
                    f"{self.peer} reads back {found} after {expected.words} was written: another client writes them, "
                    f"or {self.block_key} is a place that the PLC's program writes"
                )
            )

    async def write_proven(self, state: BlockWords) -> None:
        """As ``DeviceWire.write_proven``."""
        await self.write(state)
        await self.read_back(state)

    async def read_plc(self) -> PlcWords:
        """What the PLC gives back. Raises DriverError."""
        words = await self.read_plc_words()
        if len(words) != PLC_WORDS:
            self.fail(ProtocolViolation(f"{self.peer} gave back {len(words)} words instead of {PLC_WORDS}"))
        return PlcWords(*words)


def check_word(words: tuple[int, ...]) -> int:
    """CRC-16 of Modbus over the words, high byte first."""
    crc = _CRC_START
    for byte in b"".join(word.to_bytes(2, "big") for word in words):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
    return crc


def next_seq(seq: int) -> int:
    """The number of the next part: 65535 is followed by 1, because 0 means that there is no part."""
    return seq % _SEQ_MAX + 1
