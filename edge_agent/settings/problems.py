"""What pydantic found, in the words of the person who wrote the file: key, what was expected, what came."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from edge_agent.settings.models import Contradiction
from edge_agent.settings.words import Loc, expected, is_secret, key_of, properties, shown, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

__all__ = ["problems_of"]


def problems_of(err: ValidationError, document: Mapping[str, Any]) -> Iterator[tuple[Loc, Loc, str]]:
    """Each problem as (place to point at, key, message)."""
    for item in err.errors(include_url=False):
        loc: Loc = item["loc"]
        context = item.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, Contradiction):
            for at, message in cause.problems:
                yield at, at, message
        elif item["type"] == "extra_forbidden":
            yield loc, loc, _unknown(loc, document)
        elif item["type"] == "too_short" and len(_value(document, loc)) >= context["min_length"]:
            # Items that are wrong themselves were not counted; they have their own problem.
            continue
        elif item["type"] == "missing" and isinstance(loc[-1], int):
            yield from _wrong(loc[:-1], document)
        elif item["type"] == "missing":
            yield loc[:-1], loc, f"missing; expected {expected(loc)}"
        else:
            yield from _wrong(loc, document)


def _wrong(loc: Loc, document: Mapping[str, Any]) -> Iterator[tuple[Loc, Loc, str]]:
    yield loc, loc, f"expected {expected(loc)} (got {shown(_value(document, loc))})"


def _unknown(loc: Loc, document: Mapping[str, Any]) -> str:
    name = str(loc[-1])
    came = "something that is not shown" if is_secret(name) else shown(_value(document, loc))
    message = f"unknown key (got {came})"
    here = list(properties(loc[:-1]))
    close = difflib.get_close_matches(name, here, n=1)
    if close:
        return f'{message}; did you mean "{close[0]}"?'
    homes = [table for table, keys in tables().items() if name in keys and table != key_of(loc[:-1])]
    if homes:
        return f"{message}; this key belongs to {' or '.join(homes)}"
    elsewhere = {key: table for table, keys in tables().items() for key in keys}
    close = difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75)
    if close:
        return f'{message}; did you mean "{close[0]}" of {elsewhere[close[0]]}?'
    return f"{message}; known here: {', '.join(here)}" if here else message


def _value(document: Any, loc: Loc) -> Any:
    for step in loc:
        document = document[step]
    return document
