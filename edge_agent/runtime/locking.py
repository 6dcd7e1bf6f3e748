"""The lock that holds every part back until the line's samples were shown: how the engine asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNKNOWN", "never_locked", "safely_locked"]

log = structlog.get_logger(__name__)

UNKNOWN = "it cannot be known whether the samples were shown"


def never_locked(_program: int | None, _part_seq: int) -> str:
    """The answer of a line without a lock: a part of this program and number may pass."""
    return ""


def safely_locked(asked: Callable[[int | None, int], str]) -> Callable[[int | None, int], str]:
    """The same question, with an answer whatever happens: one that cannot be answered locks the line."""
    failed = False

    def why_locked(program: int | None, part_seq: int) -> str:
        nonlocal failed
        try:
            found = asked(program, part_seq)
        # Whatever it is: it must neither let a part pass nor end the agent in the middle of one.
        except Exception as err:
            if not failed:  # asked several times a part
                log.exception("lock_unknown", error=repr(err))
            failed = True
            return UNKNOWN
        failed = False
        return found

    return why_locked
