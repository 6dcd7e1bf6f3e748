"""docs/reference/line-toml.md: every key of line.toml, by the models that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.settings.words import expected, kind_of, properties, shown, tables
from tests.documents.words import code, table, text

if TYPE_CHECKING:
    from edge_agent.settings.words import Loc

__all__ = ["page"]

_HEAD = """\
# line.toml

Made by `make reference` from the settings that the agent reads; a test holds that they agree. line.toml is strict: a
key that is not listed here is refused, and so is a value of another kind. Paths begin at the folder of line.toml.
[deploy/line.example.toml](../../deploy/line.example.toml) is a whole file with every key. `edge-agent config check`
tells every mistake with its line ([what it says to each](../line-toml-mistakes.md)), and `edge-agent config schema`
prints a JSON Schema for an editor.

The column *left out* says which value counts where the key is not in the file. A dash (-) means that there is none."""


def page() -> str:
    """All tables, each with its keys in the order in which the models have them."""
    lines = [_HEAD]
    for header in tables():
        if not header.startswith("["):
            lines += ["", "## At the top of the file", "", *_keys(())]
            continue
        loc = _loc(header)
        lines += ["", f"## {text(header)}", "", *_said(loc, header), *_keys(loc)]
    return "\n".join([*lines, ""])


def _loc(header: str) -> Loc:
    names = tuple(header.strip("[]").split("."))
    return (*names, 0) if header.startswith("[[") else names


def _kinds(loc: Loc) -> dict[str, Loc]:
    """The tables that may stand in this place, by their kind; none where there is only one."""
    kinds = properties(loc).get("kind", {}).get("enum", ())
    return {kind: (*loc, kind) for kind in kinds if properties((*loc, kind))}


def _described(loc: Loc, header: str) -> str:
    """The sentence of a table, where its name in front is the heading already."""
    words = " ".join(kind_of(loc).get("description", "").split()).removeprefix(f"{header}:").strip()
    return text(words[:1].upper() + words[1:])


def _said(loc: Loc, header: str) -> list[str]:
    """What the table is for, and whether it has to be there."""
    *above, name = (step for step in loc if isinstance(step, str))
    is_required = name in kind_of(tuple(above)).get("required", ())
    need = "**Required.**" if is_required else "It may be left out."
    kinds = [f"- {code(f'kind = {shown(kind)}')}: {_described(one, header)}" for kind, one in _kinds(loc).items()]
    return [f"{_described(loc, header)} {need}".strip(), *([""] if kinds else []), *kinds, ""]


def _keys(loc: Loc) -> list[str]:
    kinds = _kinds(loc)
    rows = []
    for name, node in properties(loc).items():
        if name in _tables_of(loc):
            continue
        of = [kind for kind, one in kinds.items() if name in properties(one)]
        only = f" (only {', '.join(map(code, of))})" if len(of) < len(kinds) else ""
        wanted = [name in kind_of(one).get("required", ()) for one in ([kinds[kind] for kind in of] or [loc])]
        left_out = "**required**" if all(wanted) else "-" if node.get("default") is None else _default(node)
        rows.append((code(name), text(node.get("description", "")) + only, text(expected((*loc, name))), left_out))
    return table(("key", "what it is", "what may stand there", "left out"), rows) if rows else []


def _default(node: dict[str, object]) -> str:
    default = node["default"]
    return code(shown(list(default) if isinstance(default, tuple) else default))


def _tables_of(loc: Loc) -> set[str]:
    """The keys of this table that are tables themselves: each has a heading of its own."""
    return {name for name in properties(loc) if properties((*loc, name)) or properties((*loc, name, 0))}
