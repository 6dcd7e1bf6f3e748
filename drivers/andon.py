"""An andon lamp on the RTS and DTR lines of a serial port. It says bad news only, and never PASS.

Both lines rise by themselves when the port is opened, stay up in a program that hangs, and fall when it ends. So up can
mean "look here" and nothing better, and down means nothing at all.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import serial
import structlog

from drivers.timing import Backoff
from drivers.transport.own_thread import in_own_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AndonLamp"]

_log = structlog.get_logger(__name__)

_SET_EVERY_S = 0.1
_LEAVE_WITHIN_S = 1.0
"""So long the end of the agent waits for both lines to fall; a device server that is gone does not answer at all."""
_FAILURES: tuple[type[Exception], ...] = (serial.SerialException, OSError, ValueError)
with suppress(ImportError):  # Windows has none, and raises OSError instead
    import termios

    _FAILURES += (termios.error,)


def _never() -> bool:
    return False


@dataclass(slots=True)
class AndonLamp:
    """``rts`` and ``dtr`` say whether their lamp is on; they are asked ten times a second, by the event loop.

    ``url`` is a port's name or a pyserial URL. A port that is not there is said once and tried again; no part waits.
    The port is opened, set and closed by a thread of its own: a device server sets a line 0.1 s after it was told to,
    and holds up whoever tells it for seconds once it is gone.
    """

    url: str
    rts: Callable[[], bool] = _never
    dtr: Callable[[], bool] = _never
    is_up: bool = False
    _is_outage_said: bool = False

    async def run(self) -> None:
        """Drive the lines until cancelled; both are down then, unless the port holds its thread up for too long."""
        backoff = Backoff()
        while True:
            try:
                await self._drive(backoff)
            except _FAILURES as err:
                self._say_lost(err)
            await backoff.sleep()

    async def _drive(self, backoff: Backoff) -> None:
        levels = _Levels((self.rts(), self.dtr()))
        driving = in_own_thread(partial(_drive_port, self.url, levels), "lamp")
        driving.add_done_callback(_heard)
        try:
            while not driving.done():
                levels.wanted = (self.rts(), self.dtr())
                if levels.is_lit and not self.is_up:
                    _log.info("lamp_lit", port=self.url)
                    self.is_up, self._is_outage_said = True, False
                    backoff.reset()
                await asyncio.wait([driving], timeout=_SET_EVERY_S)
            driving.result()
        finally:
            self.is_up = False
            if not driving.done():
                levels.stop.set()
                await asyncio.wait([driving], timeout=_LEAVE_WITHIN_S)

    def _say_lost(self, err: Exception) -> None:
        say = _log.debug if self._is_outage_said else _log.warning
        self._is_outage_said = True
        say("lamp_lost", port=self.url, why=str(err))


@dataclass(slots=True)
class _Levels:
    """What the loop wants of the lines, and what the thread says of itself."""

    wanted: tuple[bool, bool]
    is_lit: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


def _heard(driving: asyncio.Future[None]) -> None:
    """What it ended with is said by ``run``; behind the end of that it is of no interest."""
    if not driving.cancelled():
        driving.exception()


def _drive_port(url: str, levels: _Levels) -> None:
    """Set the lines until told to stop; in a thread. Raises one of ``_FAILURES``."""
    port = _open(url)
    try:
        while not levels.stop.is_set():
            port.rts, port.dtr = levels.wanted
            levels.is_lit = True
            levels.stop.wait(_SET_EVERY_S)
    finally:
        with suppress(*_FAILURES):
            port.rts = port.dtr = False
        with suppress(*_FAILURES):
            port.close()


def _open(url: str) -> Any:
    port = serial.serial_for_url(url, do_not_open=True)
    port.rts = port.dtr = False  # what it is set to at once after the system has raised it
    if "://" not in url:
        port.exclusive = True
    port.open()
    return port
