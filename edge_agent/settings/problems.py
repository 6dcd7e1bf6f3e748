"""What pydantic found, in the words of the person who wrote the file: key, what was expected, what came."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_agent.settings.models import Contradiction
from edge_agent.settings.slips import SAME, slip
from edge_agent.settings.words import (
    Loc,
    expected,
    is_secret,
    key_of,
    kind_of,
    kinds_with,
    properties,
    shown,
    tables,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

__all__ = ["Problem", "problems_of"]


class Problem(NamedTuple):
    """``at``: the place to point at; ``loc``: the key to name; ``meant``: the key that the hint is about."""

    at: Loc
    loc: Loc
    what: str
    meant: Loc
    is_missing: bool = False


def problems_of(err: ValidationError, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Each problem once: of a key that is missing because its name has a slip in it, the slip alone."""
    found = list(_problems(err, document))
    written = {problem.meant for problem in found if problem.loc != problem.meant}
    for problem in found:
        if not (problem.is_missing and problem.loc in written):
            yield problem


def _problems(err: ValidationError, document: Mapping[str, Any]) -> Iterator[Problem]:
    for item in err.errors(include_url=False):
        loc: Loc = item["loc"]
        context = item.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, Contradiction):
            for at, message in cause.problems:
                yield Problem(at, at, message, at)
        elif item["type"] == "union_tag_invalid":
            yield _wrong((*loc, context["discriminator"].strip("'")), document)
        elif item["type"] == "extra_forbidden":
            yield _unknown(loc, document)
        elif item["type"] == "too_short" and len(_value(document, loc)) >= context["min_length"]:
            # Items that are wrong themselves were not counted; they have their own problem.
            continue
        elif item["type"] == "missing" and isinstance(loc[-1], int):
            yield _wrong(loc[:-1], document)
        elif item["type"] == "missing":
            at = written(loc)
            yield Problem(at[:-1], at, f"missing; expected {expected(loc)}", at, is_missing=True)
        else:
            yield _wrong(loc, document)


def _wrong(loc: Loc, document: Mapping[str, Any]) -> Problem:
    value = _value(document, loc)
    name = next((str(step) for step in reversed(loc) if isinstance(step, str)), "")
    mended = slip(kind_of(loc), name, value)
    came = f"(got {shown(value)})"
    behind = f" {came}{mended}" if mended.startswith(";") else f"{mended} {came}"
    at = written(loc)
    return Problem(at, at, f"expected {expected(loc)}{behind}", at)


def _unknown(loc: Loc, document: Mapping[str, Any]) -> Problem:
    name, at = str(loc[-1]), written(loc)
    came = "something that is not shown" if is_secret(name) else shown(_value(document, loc))
    message = f"unknown key (got {came})"
    here = list(properties(loc[:-1]))
    near = [SAME[name.lower()]] if SAME.get(name.lower()) in here else difflib.get_close_matches(name, here, n=1)
    if near:
        meant: Loc = (*at[:-1], near[0])
        return Problem(at, at, f'{message}; did you mean "{near[0]}"?', meant)
    if kinds := kinds_with(at[:-1], name):
        key = key_of((*at[:-1], "kind"))
        return Problem(at, at, f"{message}; only {key} = {' or '.join(kinds)} has this key", at)
    homes = [table for table, keys in tables().items() if name in keys and table != key_of(at[:-1])]
    if homes:
        return Problem(at, at, f"{message}; this key belongs to {' or '.join(homes)}", at)
    elsewhere = {key: table for table, keys in tables().items() for key in keys}
    close = difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75)
    if close:
        return Problem(at, at, f'{message}; did you mean "{close[0]}" of {elsewhere[close[0]]}?', at)
    return Problem(at, at, f"{message}; known here: {', '.join(here)}" if here else message, at)


def _value(document: Any, loc: Loc) -> Any:
    for step in written(loc):
        document = document[step]
    return document
