"""The controller of line.toml: its link over Ethernet or a serial line, and its commands by name."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from drivers.keyence.commands import COMMANDS
from drivers.keyence.link import CvxLink
from drivers.keyence.session import open_session
from drivers.transport.serial_line import SerialOptions, open_serial
from drivers.transport.tcp import open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from drivers.base import Dial
    from drivers.keyence.commands import Command
    from drivers.keyence.session import Session
    from edge_agent.settings import ControllerSettings

__all__ = ["controller_commands", "link_of", "open_controller"]

_DELIMITERS = {"cr": "\r", "crlf": "\r\n"}


def controller_commands() -> Mapping[str, Command]:
    """Every command of the controller, by name."""
    return COMMANDS


@asynccontextmanager
async def open_controller(
    settings: ControllerSettings, on_line: Callable[[tuple[str, ...]], None]
) -> AsyncIterator[Session]:
    """A connection of our own to the controller, for a person at a terminal. Raises NotConnected.

    A second connection may throw out the first: never while an agent runs.
    """
    dial, peer = _dial(settings)
    session = await open_session(
        dial,
        peer,
        lambda fields, _: on_line(fields),
        reply_timeout_s=settings.reply_timeout_ms / 1000,
        delimiter=_DELIMITERS[settings.delimiter],
    )
    try:
        if settings.serial is not None:
            await session.find_beginning()
        yield session
    finally:
        await session.aclose()


def _dial(settings: ControllerSettings) -> tuple[Dial, str]:
    """How the controller is reached, and what its link is called in logs."""
    timeout_s, line = settings.connect_timeout_ms / 1000, settings.serial
    if line is None:
        peer = f"controller {settings.host}:{settings.port}"
        return partial(open_tcp, settings.host, settings.port, timeout_s=timeout_s), peer
    options = SerialOptions(line.baud, line.parity, line.stop_bits)
    return partial(open_serial, line.url, options, timeout_s=timeout_s), f"controller {line.url}"


def link_of(settings: ControllerSettings) -> CvxLink:
    """The link to the controller, not yet open."""
    dial, peer = _dial(settings)
    return CvxLink(
        dial,
        peer,
        result_items=settings.result_items,
        reply_timeout_s=settings.reply_timeout_ms / 1000,
        delimiter=_DELIMITERS[settings.delimiter],
        is_serial=settings.serial is not None,
    )
