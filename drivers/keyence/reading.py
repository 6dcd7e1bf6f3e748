"""What the link reads of a controller beside its mode: program, version, clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from drivers.base import CommandRefused
from drivers.keyence.names import printable, program_number
from drivers.timing import controller_time

if TYPE_CHECKING:
    from datetime import datetime

    from drivers.keyence.session import Session

__all__ = ["read_clock", "read_program_number", "read_version"]

_log = structlog.get_logger(__name__)

_VERSION_MAX_CHARS = 64
_CLOCK_FIELDS = 6


async def read_program_number(session: Session) -> int:
    """The program that runs, as one number of card and program. Raises as ``Session.command`` does."""
    program = await session.read_program()
    return program_number(program.card, program.number)


async def read_version(session: Session, peer: str) -> str:
    """Model and firmware; "unknown" where the controller does not tell. Raises as ``Session.command`` does."""
    try:
        values = await session.command("VI")
    except CommandRefused as err:
        _log.info("version_refused", peer=peer, why=str(err))
        return "unknown"
    return printable(" ".join(values), _VERSION_MAX_CHARS) or "unknown"


async def read_clock(session: Session, peer: str) -> datetime | None:
    """The controller's clock, as it writes it into names of images; None if it tells no time. Raises as above."""
    try:
        # The plain command and not the checked ``call``: a clock that tells nonsense is a clock that is not told, and
        # no reason to drop the link.
        year, *rest = map(int, await session.command("TR"))
    except (CommandRefused, ValueError) as err:
        _log.debug("clock_not_told", peer=peer, why=str(err))
        return None
    if len(rest) != _CLOCK_FIELDS - 1:
        return None
    # Two digits of the year, as in the names of images: PROTOCOL.md has replies with two and with four.
    return controller_time("{:02d}{:02d}{:02d}_{:02d}{:02d}{:02d}".format(year % 100, *rest))
