"""What goes wrong with a peer, as one tree of errors.

Errors::

    DriverError
      NotConnected      (ConnectionError)  the peer cannot be reached, or went away
      DeadlineMissed    (TimeoutError)     no answer in the time that was left
      CommandRefused                       the peer answered that it will not
        CommandUnknown                     02: it does not know this command
        NotNow                             03: not READY, disabled, or the wrong mode
        BadParameter                       22: number, range or type of a parameter
      ProtocolViolation                    the peer answered something that cannot be
"""

from __future__ import annotations

__all__ = [
    "BadParameter",
    "CommandRefused",
    "CommandUnknown",
    "DeadlineMissed",
    "DriverError",
    "NotConnected",
    "NotNow",
    "ProtocolViolation",
]


class DriverError(Exception):
    """Something went wrong with a peer. The message says which peer and what to look at."""


class NotConnected(DriverError, ConnectionError):
    """The peer cannot be reached, or went away."""


class DeadlineMissed(DriverError, TimeoutError):
    """No answer in the time that was left."""


class CommandRefused(DriverError):
    """The controller answered ``ER,<command>,<code>``: 02 unknown, 03 not now, 22 bad parameter."""

    def __init__(self, command: str, code: str, meaning: str) -> None:
        super().__init__(f"{command} refused with {code}: {meaning}")
        self.command = command
        self.code = code


class CommandUnknown(CommandRefused):
    """Code 02: a model or a version without this command."""


class NotNow(CommandRefused):
    """Code 03: nothing was done; the same command may be sent again later."""


class BadParameter(CommandRefused):
    """Code 22: wrong number, range or type of parameters."""


class ProtocolViolation(DriverError):
    """The peer answered something that the protocol does not allow."""
