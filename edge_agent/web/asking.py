"""How the page's addresses read what they are asked: wrong values are said, and nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from edge_agent.web.guard import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from edge_agent.store.rows import PartRow
    from edge_agent.store.search import JournalSearch

__all__ = ["asked_part", "checked", "utc_text"]

_SEQ = re.compile(r"[1-9][0-9]{0,18}")
_Model = TypeVar("_Model", bound=BaseModel)


def asked_part(journal: JournalSearch, request: Request) -> PartRow:
    """The part that the address names. Raises HTTPException where there is none."""
    seq = request.path_params["seq"]
    if not _SEQ.fullmatch(seq) or int(seq) >= 2**63:
        raise HTTPException(404, "a part has a number from 1 on")
    row = journal.part(int(seq))
    if row is None:
        raise HTTPException(404, f"there is no part {seq} in the journal")
    return row


def checked(read: Callable[[], _Model]) -> _Model:
    """What a model made of a request. Raises HTTPException with the reasons why it could not."""
    try:
        return read()
    except ValidationError as err:
        raise HTTPException(400, words_of(err)) from err


def utc_text(at: datetime | None) -> str | None:
    """A time as the journal writes it; one without a zone is UTC. Raises HTTPException for one that no clock shows."""
    if at is None:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError as err:
        raise HTTPException(400, "a time of this calendar is expected") from err
