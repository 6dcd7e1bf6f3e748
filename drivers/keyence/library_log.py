"""What the FTP and folder libraries log, in our log: never on stderr, never with a peer's raw bytes."""

from __future__ import annotations

import logging

import structlog

from drivers.keyence.codec import shown

__all__ = ["adopt_library_log"]

_log = structlog.get_logger()


class _Adopted(logging.Handler):
    """Hands a library's complaint on as one event."""

    def __init__(self, said_at: int | None) -> None:
        super().__init__()
        self._said_at = said_at

    def emit(self, record: logging.LogRecord) -> None:
        """Log the text, quoted and capped."""
        level = self._said_at or record.levelno
        _log.log(level, "library_said", library=record.name, text=shown(record.getMessage()))


def adopt_library_log(name: str, said_at: int | None = None) -> None:
    """Take over the logger ``name``, at its own levels or all at ``said_at``. Idempotent.

    Without a handler pyftpdlib would configure logging itself, to stderr.
    """
    logger = logging.getLogger(name)
    if not any(isinstance(handler, _Adopted) for handler in logger.handlers):
        logger.addHandler(_Adopted(said_at))
        # Below it these libraries log every command of every peer.
        logger.setLevel(logging.WARNING)
        logger.propagate = False
