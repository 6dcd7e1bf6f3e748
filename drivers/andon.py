"""An andon lamp on the RTS and DTR lines of a serial port. It says bad news only, and never PASS.

Both lines rise by themselves when the port is opened, stay up in a program that hangs, and fall when it ends. So up can
mean "look here" and nothing better, and down means nothing at all.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import serial
import structlog

from drivers.timing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AndonLamp"]

_log = structlog.get_logger(__name__)

_SET_EVERY_S = 0.1
_FAILURES: tuple[type[Exception], ...] = (serial.SerialException, OSError, ValueError)
with suppress(ImportError):  # Windows has none, and raises OSError instead
    import termios

    _FAILURES += (termios.error,)


def _never() -> bool:
    return False


@dataclass(slots=True)
class AndonLamp:
    """``rts`` and ``dtr`` say whether their lamp is on; they are asked ten times a second.

    ``url`` is a port's name or a pyserial URL. A port that is not there is said once and tried again; no part waits.
    """

    url: str
    rts: Callable[[], bool] = _never
    dtr: Callable[[], bool] = _never
    is_up: bool = False
    _is_outage_said: bool = False

    async def run(self) -> None:
        """Drive the lines until cancelled; both are down then."""
        backoff = Backoff()
        while True:
            try:
                await self._drive(backoff)
            except _FAILURES as err:
                self._say_lost(err)
            await backoff.sleep()

    async def _drive(self, backoff: Backoff) -> None:
        opening = asyncio.get_running_loop().run_in_executor(None, self._open)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        try:
            while True:
                port.rts, port.dtr = self.rts(), self.dtr()
                if not self.is_up:
                    _log.info("lamp_lit", port=self.url)
                self.is_up, self._is_outage_said = True, False
                backoff.reset()
                await asyncio.sleep(_SET_EVERY_S)
        finally:
            self.is_up = False
            with suppress(*_FAILURES):
                port.rts = port.dtr = False
            with suppress(*_FAILURES):
                port.close()

    def _open(self) -> Any:
        port = serial.serial_for_url(self.url, do_not_open=True)
        port.rts = port.dtr = False  # what it is set to at once after the system has raised it
        if "://" not in self.url:
            port.exclusive = True
        port.open()
        return port

    def _say_lost(self, err: Exception) -> None:
        say = _log.debug if self._is_outage_said else _log.warning
        self._is_outage_said = True
        say("lamp_lost", port=self.url, why=str(err))


def _close_unwanted(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
