"""A WAGO coupler's watchdog over Modbus: off until started, fed by the function codes of a mask, latched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from drivers.simulated.modbus_pdu import ModbusFault
from drivers.simulated.remote_io import SimulatedRemoteIo

if TYPE_CHECKING:
    from drivers.simulated.modbus_pdu import Request

__all__ = ["SimulatedWago"]

_TIME, _MASK, _TRIGGER, _STOP, _STATE, _RESTART, _ALTERNATIVE = 0x1000, 0x1001, 0x1003, 0x1005, 0x1006, 0x1007, 0x100A
_STOP_SEQUENCE = (0xAAAA, 0x5555)
_OFF, _RUNNING, _EXPIRED = 0, 1, 2
_OUTPUTS_FROM = 512
_BIT_READS, _BIT_WRITES = frozenset((1, 2)), frozenset((5, 15))


class SimulatedWago(SimulatedRemoteIo):
    """Registers 0x1000 to 0x100A. Time and mask can be written while the watchdog stands still only.

    Bits: to a write, address 0 and address 512 are the first output; to a read, 0 is the first input and 512 the first
    output, whichever of the two functions asks.
    """

    def __init__(self, *, is_alternative: bool = False, **options: float | str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._registers = {_TIME: 1, _MASK: 0, _TRIGGER: 0, _ALTERNATIVE: int(is_alternative)}
        self._is_started = False
        self._stop_step = 0
        self._function = 0

    @property
    def state(self) -> int:
        """0 off, 1 running, 2 expired."""
        if not self._is_started:
            return _OFF
        return _EXPIRED if self.is_latched else _RUNNING

    def _carry_out(self, request: Request) -> bytes:
        self._function = request.function
        is_output = request.first >= _OUTPUTS_FROM
        if request.function in _BIT_READS:
            inner = replace(request, function=1 if is_output else 2, first=request.first % _OUTPUTS_FROM)
            return bytes((request.function,)) + super()._carry_out(inner)[1:]
        if request.function in _BIT_WRITES and is_output:
            super()._carry_out(replace(request, first=request.first - _OUTPUTS_FROM))
            return request.echo
        return super()._carry_out(request)

    def _write_coils(self, request: Request, now_mono_s: float) -> None:
        if self.state == _EXPIRED and not self._registers[_ALTERNATIVE]:
            raise ModbusFault(4)  # until somebody starts it again; in the alternative mode traffic alone does
        super()._write_coils(request, now_mono_s)

    def _feed(self, now_mono_s: float) -> None:
        if self.state == _RUNNING and self._registers[_MASK] >> (self._function - 1) & 1:
            super()._feed(now_mono_s)

    def _read_word(self, address: int, now_mono_s: float) -> int:  # noqa: ARG002 - as Beckhoff's, which tells times
        if address == _STATE:
            return self.state
        if address not in self._registers:
            raise ModbusFault(2)
        return self._registers[address]

    def _write_word(self, address: int, word: int) -> None:
        if address == _STOP:
            self._stop_step = self._stop_step + 1 if word == _STOP_SEQUENCE[self._stop_step] else 0
            if self._stop_step == len(_STOP_SEQUENCE):
                self._stop_step, self._is_started, self.is_latched, self._fed_mono_s = 0, False, False, None
        elif address == _RESTART and word == 1:
            self.is_latched = False
        elif address == _TRIGGER and word != self._registers[_TRIGGER] and word:
            self._registers[_TRIGGER], self._is_started = word, True
        elif address in (_TIME, _MASK) and not self._is_started:
            self._registers[address] = word
            self._set_watchdog(self._registers[_TIME] / 10)
        elif address == _ALTERNATIVE:
            self._registers[address] = word
        else:
            raise ModbusFault(4 if address in self._registers else 2)
