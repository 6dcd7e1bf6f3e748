"""The number of a session, which a death says so that a host knows which birth it ends. Kept over restarts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.store.fs import write_durably

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bdseq_file", "next_bdseq"]

log = structlog.get_logger(__name__)

_NUMBERS = 256
_MOST_BYTES = 1024


def bdseq_file(journal: Path) -> Path:
    """Where the last session's number lies."""
    return journal.with_name(f"{journal.name}.sparkplug.bdseq")


def next_bdseq(journal: Path) -> int:
    """The number of a new session: 0 the first time, then one more, 0 again after 255. On the disk before it is used.

    A damaged file is said in the log and begins anew: a host goes by whether birth and death fit together. Raises
    OSError.
    """
    path = bdseq_file(journal)
    try:
        last = _number(strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES)["bdseq"])
    except FileNotFoundError:
        last = -1
    except (ValueError, KeyError, TypeError) as err:
        log.warning("sparkplug_bdseq_damaged", file=str(path), why=repr(err))
        last = -1
    number = (last + 1) % _NUMBERS
    write_durably(path, json.dumps({"schema_version": 1, "bdseq": number}).encode())
    return number


def _number(said: object) -> int:
    if type(said) is not int or not 0 <= said < _NUMBERS:
        raise ValueError(f"expected a number from 0 to {_NUMBERS - 1}")
    return said
