"""Who is a line: an invitation is good once, within a day, for one name. Of secrets the hashes are kept."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select, update

from edge_agent.errors import NotPermitted, UsageError
from edge_agent.fleet.database import invitation, line

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["KnownLine", "enrol", "forget", "invite", "line_of", "lines"]

_INVITED_FOR_S = 24 * 3600.0
_NAME_MOST = 64


class KnownLine(NamedTuple):
    """A line that has joined. ``is_off``: it is not taken any more."""

    line_id: int
    name: str
    joined_utc: str
    is_off: bool


def invite(connection: Connection, name: str, by: str) -> str:
    """A token for one enrolment under that name. Raises UsageError for what is no name.

    A line of that name that has joined keeps its rows, and its secret until the token is used.
    """
    if not 0 < len(name) <= _NAME_MOST or not name.isprintable() or name != name.strip():
        raise UsageError(f"{name!a} is no name of a line", hint=f"1 to {_NAME_MOST} characters on one line")
    token = secrets.token_urlsafe(24)
    connection.execute(
        invitation.insert().values(
            token_sha256=_hash(token), name=name, by=by[:120], until_s=time.time() + _INVITED_FOR_S, used_utc=None
        )
    )
    return token


def enrol(connection: Connection, token: str) -> tuple[str, str]:
    """The line's name and its new secret. Raises NotPermitted for a token that is wrong, used, or too old."""
    now = _now()
    taken = connection.execute(
        update(invitation)
        .where(
            invitation.c.token_sha256 == _hash(token),
            invitation.c.used_utc.is_(None),
            invitation.c.until_s > time.time(),
        )
        .values(used_utc=now)
    )
    if taken.rowcount != 1:
        raise NotPermitted("this invitation is wrong, was used, or is older than a day", hint="edge-agent fleet invite")
    name = connection.execute(select(invitation.c.name).where(invitation.c.token_sha256 == _hash(token))).scalar_one()
    secret = secrets.token_urlsafe(32)
    kept = {"secret_sha256": _hash(secret), "joined_utc": now, "is_off": False}
    if connection.execute(update(line).where(line.c.name == name).values(**kept)).rowcount == 0:
        connection.execute(line.insert().values(name=name, **kept))
    return str(name), secret


def line_of(connection: Connection, secret: str) -> KnownLine | None:
    """The line with that secret; None where there is none, or where it is off."""
    found = connection.execute(_LINES.where(line.c.secret_sha256 == _hash(secret), line.c.is_off.is_(False))).first()
    return None if found is None else KnownLine(*found)


def lines(connection: Connection) -> list[KnownLine]:
    """All of them, by name."""
    return [KnownLine(*found) for found in connection.execute(_LINES.order_by(line.c.name))]


def forget(connection: Connection, name: str) -> None:
    """Take nothing from that line any more; what it told stays. Raises UsageError where there is none."""
    if connection.execute(update(line).where(line.c.name == name).values(is_off=True)).rowcount == 0:
        raise UsageError(f"there is no line {name!a}", hint="edge-agent fleet lines")


_LINES = select(line.c.line_id, line.c.name, line.c.joined_utc, line.c.is_off)


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
