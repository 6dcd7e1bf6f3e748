"""What pydantic found, in the words of the person who wrote the file: key, what was expected, what came."""

from __future__ import annotations

import difflib
import json
from datetime import date, datetime, time
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_agent.public_key import PUBLIC_KEY_WORDS
from edge_agent.settings.models import Contradiction, Settings
from edge_agent.settings.values import RESULT_ITEM_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

__all__ = ["problems_of"]

Loc = tuple[str | int, ...]
_MOST_SHOWN = 60
_FORMATS = {
    "path": "a path, as a text that is not empty",
    "date": "a date without quotes, as 2026-11-29",
    "time": 'a time of day between "00:00" and "23:59"',
    "result-item": RESULT_ITEM_WORDS,
    "public-key": PUBLIC_KEY_WORDS,
    "peer": 'an address or a network, such as "192.168.10.10" or "192.168.10.0/24"',
}
_SECRET_WORDS = ("password", "passwd", "secret", "token")


def problems_of(err: ValidationError, document: Mapping[str, Any]) -> Iterator[tuple[Loc, str, str]]:
    """Each problem as (place to point at, key in words, message)."""
    for item in err.errors(include_url=False):
        loc: Loc = item["loc"]
        context = item.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, Contradiction):
            for at, message in cause.problems:
                yield at, _key(at), message
        elif item["type"] == "extra_forbidden":
            yield loc, _key(loc), _unknown(loc, document)
        elif item["type"] == "too_short" and len(_value(document, loc)) >= context["min_length"]:
            # Items that are wrong themselves were not counted; they have their own problem.
            continue
        elif item["type"] == "missing" and isinstance(loc[-1], int):
            yield from _wrong(loc[:-1], document)
        elif item["type"] == "missing":
            yield loc[:-1], _key(loc), f"missing; expected {_expected(loc)}"
        else:
            yield from _wrong(loc, document)


def _wrong(loc: Loc, document: Mapping[str, Any]) -> Iterator[tuple[Loc, str, str]]:
    yield loc, _key(loc), f"expected {_expected(loc)} (got {_shown(_value(document, loc))})"


def _unknown(loc: Loc, document: Mapping[str, Any]) -> str:
    name = str(loc[-1])
    is_secret = any(word in name.lower() for word in _SECRET_WORDS)
    message = f"unknown key (got {'something that is not shown' if is_secret else _shown(_value(document, loc))})"
    here = list(_properties(loc[:-1]))
    close = difflib.get_close_matches(name, here, n=1)
    if close:
        return f'{message}; did you mean "{close[0]}"?'
    tables = [table for table, keys in _tables().items() if name in keys and table != _key(loc[:-1])]
    if tables:
        return f"{message}; this key belongs to {' or '.join(tables)}"
    elsewhere = {key: table for table, keys in _tables().items() for key in keys}
    close = difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75)
    if close:
        return f'{message}; did you mean "{close[0]}" of {elsewhere[close[0]]}?'
    return f"{message}; known here: {', '.join(here)}" if here else message


@cache
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    """The node behind a reference and without the null of an optional key."""
    while True:
        if "$ref" in node:
            node = _schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        elif "anyOf" in node:
            node = next(choice for choice in node["anyOf"] if choice.get("type") != "null")
        else:
            return node


def _node(loc: Loc) -> dict[str, Any]:
    node = _schema()
    for step in loc:
        node = _resolve(node)
        if isinstance(step, str):
            node = node.get("properties", {}).get(step, {})
        elif "prefixItems" in node:
            node = node["prefixItems"][step] if step < len(node["prefixItems"]) else {}
        else:
            node = node.get("items", {})
    return _resolve(node)


def _properties(loc: Loc) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = _node(loc).get("properties", {})
    return properties


@cache
def _tables() -> dict[str, tuple[str, ...]]:
    """Every table of the file, as its header is written, with its keys."""
    found = {"the top of the file": tuple(_properties(()))}

    def walk(loc: Loc) -> None:
        for name in _properties(loc):
            node = _node((*loc, name))
            is_array = "properties" in _resolve(node.get("items", {}))
            inner: Loc = (*loc, name, 0) if is_array else (*loc, name)
            if _properties(inner):
                header = ".".join((*map(str, loc), name))
                found[f"[[{header}]]" if is_array else f"[{header}]"] = tuple(_properties(inner))
                walk(inner)

    walk(())
    return found


def _expected(loc: Loc) -> str:
    return _described(_node(loc), str(loc[-1]) if loc else "")


def _described(node: dict[str, Any], name: str) -> str:
    choices = node.get("enum") or ([node["const"]] if "const" in node else [])
    if len(choices) == 1:
        return json.dumps(choices[0])
    if choices:
        return f"one of {', '.join(map(json.dumps, choices))}"
    kind = node.get("type")
    if kind == "integer":
        return f"an integer between {node['minimum']} and {node['maximum']}"
    if kind == "number":
        return f"a number above {node['exclusiveMinimum']:g}, at most {node['maximum']:g}"
    if kind == "string" and node.get("format") in _FORMATS:
        return _FORMATS[node["format"]]
    if kind == "string":
        return f"a text of {node['minLength']} to {node['maxLength']} characters, none of them a control character"
    if kind == "array":
        return _described_array(node, name)
    return f"a table [{name}]"


def _described_array(node: dict[str, Any], name: str) -> str:
    if "prefixItems" in node:
        items = [_described(_resolve(item), name) for item in node["prefixItems"]]
        return f"a list of {len(items)}: {', then '.join(items)}"
    item = _resolve(node["items"])
    if "properties" in item:
        return f"one or more tables [[{name}]]"
    least, most = node.get("minItems", 0), node.get("maxItems")
    count = f"{least} or more" if most is None else f"{least} to {most}"
    return f"a list of {count}, each {_described(item, name)}"


def _key(loc: Loc) -> str:
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            text += ("." if text else "") + (step if step.isidentifier() else json.dumps(step))
    return text or "line.toml"


def _value(document: Any, loc: Loc) -> Any:
    for step in loc:
        document = document[step]
    return document


def _shown(value: Any) -> str:
    """The value as it stands in the file, short, on one line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (datetime, date, time)):
        text = value.isoformat()
    elif isinstance(value, (bool, str)) or value is None:
        text = json.dumps(value)
    elif isinstance(value, list):
        text = "[" + ", ".join(_shown(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
    else:
        text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
