"""What each key of line.toml is, in words: from the schema of the models, which is the only place that says it."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_agent.files.public_key import PUBLIC_KEY_WORDS
from edge_agent.settings.models import Settings
from edge_agent.settings.values import RESULT_ITEM_WORDS, TAG_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Loc",
    "expected",
    "hint_of",
    "is_secret",
    "key_of",
    "kind_of",
    "kinds_with",
    "properties",
    "shown",
    "tables",
    "written",
]

Loc = tuple[str | int, ...]
_MOST_SHOWN = 60
_MOST_MEANINGS = 2
_FORMATS = {
    "path": "a path, as a text that is not empty",
    "date": "a date without quotes, as 2026-11-29",
    "time": 'a time of day between "00:00" and "23:59"',
    "result-item": RESULT_ITEM_WORDS,
    "tag": TAG_WORDS,
    "sample-name": "the name that stands on the sample: 1 to 32 characters without a comma, and not all",
    "name-rule": '"cv-x", "xg-x" or a regular expression with a group (?P<count>...)',
    "public-key": PUBLIC_KEY_WORDS,
    "host": 'an address, as "192.168.10.10", or the name of a host, without a port',
    "own-host": 'an address of this PC, as "192.168.10.1", or its name, without a port',
    "web-address": 'a web address, as "https://mes.plant.example/edge-agent"',
    "serial-port": 'a serial port, as "/dev/serial/by-id/...", or "rfc2217://ADDRESS:PORT" of a device server',
    "header-name": 'the name of a header of the proxy\'s own, as "X-Remote-User"',
    "sparkplug-name": 'a name of one level of a topic, without "+", "#" and "/", and not "STATE"',
    "peer": 'an address or a network, such as "192.168.10.10" or "192.168.10.0/24"',
}
_SECRET_WORDS = ("password", "passwd", "secret", "token")
_HINT = "deploy/line.example.toml explains every key; edge-agent config schema prints the schema for an editor"


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


def _kinds(node: dict[str, Any]) -> dict[str, Any]:
    """The tables that may stand here, by their kind, in the order of the models; none where there is only one."""
    kind_of_ref = {ref: kind for kind, ref in node.get("discriminator", {}).get("mapping", {}).items()}
    return {
        kind_of_ref[choice["$ref"]]: choice for choice in node.get("oneOf", ()) if choice.get("$ref") in kind_of_ref
    }


def _any_kind(node: dict[str, Any]) -> dict[str, Any]:
    """The keys of all the tables that may stand here, as if they were those of one."""
    kinds = _kinds(node)
    if not kinds:
        return node
    found: dict[str, Any] = {}
    for kind in kinds.values():
        found |= {name: key for name, key in _resolve(kind)["properties"].items() if name not in found}
    name = node["discriminator"]["propertyName"]
    found[name] = {key: value for key, value in found[name].items() if key != "const"} | {"enum": list(kinds)}
    return {"properties": found}


def _node(loc: Loc) -> dict[str, Any]:
    return _any_kind(_resolve(_raw(loc)))


def _raw(loc: Loc) -> dict[str, Any]:
    """The schema as it stands at ``loc``, not resolved."""
    node = _schema()
    for step in loc:
        node = _resolve(node)
        if step in (kinds := _kinds(node)):
            node = kinds[str(step)]
            continue
        node = _any_kind(node)
        if isinstance(step, str):
            node = node.get("properties", {}).get(step, {})
        elif "prefixItems" in node:
            node = node["prefixItems"][step] if step < len(node["prefixItems"]) else {}
        else:
            node = node.get("items", {})
    return node


def written(loc: Loc) -> Loc:
    """The place in the file: pydantic names the kind of a table as a step of its own, which stands nowhere there."""
    return tuple(step for at, step in enumerate(loc) if step not in _kinds(_resolve(_raw(loc[:at]))))


def kind_of(loc: Loc) -> Mapping[str, Any]:
    """The schema of the key at ``loc``; of an unknown key it is empty."""
    return _node(loc)


def properties(loc: Loc) -> Mapping[str, Any]:
    """The keys of the table at ``loc`` with their schemas; empty where it is no table."""
    found: Mapping[str, Any] = _node(loc).get("properties", {})
    return found


def kinds_with(loc: Loc, name: str) -> list[str]:
    """The kinds of the table at ``loc`` that have a key of this name, as line.toml writes them; often none."""
    kinds = _kinds(_resolve(_raw(loc)))
    return [json.dumps(kind) for kind, table in kinds.items() if name in _resolve(table)["properties"]]


def hint_of(locs: Iterable[Loc], document: Mapping[str, Any]) -> str:
    """What helps with these keys: what each one is, and its default; for many keys, where all are explained.

    Of a table that has kinds, what the key is in the kind that the ``document`` names.
    """
    said = list(dict.fromkeys(filter(None, (_meaning(loc, document) for loc in locs))))
    return ". ".join(said) if 0 < len(said) <= _MOST_MEANINGS else _HINT


def _meaning(loc: Loc, document: Mapping[str, Any]) -> str:
    """One key in words; empty where it is none, or a whole table."""
    names = tuple(step for step in loc if isinstance(step, str))
    *_, name = names or ("",)
    while loc and isinstance(loc[-1], int):
        loc = loc[:-1]
    node = properties(_of_kind(loc[:-1], document)).get(name, {})
    if "description" not in node or "properties" in _resolve(node):
        return ""
    default = node.get("default")
    without = "" if default is None else f", {shown(default)} if it is left out"
    return f"{'.'.join(names)}: {node['description']}{without}"


def _of_kind(loc: Loc, document: Any) -> Loc:
    """A table's place in the schema, with the kinds that the document names: what ``written`` takes away."""
    found: Loc = ()
    for step in loc:
        document = document.get(step) if isinstance(document, dict) else None
        found = (*found, step)
        kind = document.get("kind") if isinstance(document, dict) else None
        if isinstance(kind, str) and kind in _kinds(_resolve(_raw(found))):
            found = (*found, kind)
    return found


def is_secret(name: str) -> bool:
    """Whether the value of an unknown key of this name is better not shown."""
    return any(word in name.lower() for word in _SECRET_WORDS)


@cache
def tables() -> dict[str, tuple[str, ...]]:
    """Every table of the file, as its header is written, with its keys."""
    found = {"the top of the file": tuple(properties(()))}

    def walk(loc: Loc) -> None:
        for name in properties(loc):
            node = _node((*loc, name))
            is_array = "properties" in _resolve(node.get("items", {}))
            inner: Loc = (*loc, name, 0) if is_array else (*loc, name)
            if properties(inner):
                header = ".".join((*map(str, loc), name))
                found[f"[[{header}]]" if is_array else f"[{header}]"] = tuple(properties(inner))
                walk(inner)

    walk(())
    return found


def expected(loc: Loc) -> str:
    """What may stand at ``loc``, in words."""
    return _described(_node(loc), str(loc[-1]) if loc else "")


def _described(node: dict[str, Any], name: str) -> str:
    choices = node.get("enum") or ([node["const"]] if "const" in node else [])
    if len(choices) == 1:
        return json.dumps(choices[0])
    if choices:
        return f"one of {', '.join(map(json.dumps, choices))}"
    kind = node.get("type")
    if kind == "boolean":
        return "true or false, without quotes"
    if kind == "integer":
        return f"an integer between {node['minimum']} and {node['maximum']}"
    if kind == "number":
        return f"a number above {node['exclusiveMinimum']:g}, at most {node['maximum']:.15g}"
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


def key_of(loc: Loc) -> str:
    """A key as a person writes it: ``bundle[1].path``."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            text += ("." if text else "") + (step if step.isidentifier() else json.dumps(step))
    return text or "line.toml"


def shown(value: Any) -> str:
    """The value as it stands in the file, short, on one line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (datetime, date, time)):
        text = value.isoformat()
    elif isinstance(value, (bool, str)) or value is None:
        text = json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))
    elif isinstance(value, list):
        text = "[" + ", ".join(shown(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
    else:
        text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
