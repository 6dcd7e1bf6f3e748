"""Lines that are no TOML, in words of keys: the parser knows statements and columns alone."""

from __future__ import annotations

import json
import os
import re
import tomllib
from typing import NamedTuple

from edge_agent.settings.lines import LineIndex, keys_of
from edge_agent.settings.slips import slip_of_number, unseen
from edge_agent.settings.values import OF_ANOTHER_PC
from edge_agent.settings.words import Loc, expected, is_secret, key_of, kind_of, shown

__all__ = ["Broken", "broken_lines"]

_MOST = 20
_MOST_LINES_BACK = 60
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\\\n]*"|'[^'\n]*')"""
_KEY = re.compile(rf"\s*(?P<key>{_PART}(?:[ \t]*\.[ \t]*{_PART})*)[ \t]*(?P<between>[=:])?[ \t]*(?P<rest>.*)$")
_HEADER = re.compile(r"\s*\[")
_LIKE_A_HEADER = re.compile(r"\s*[\[({<]")
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_CURLY = "\u201e\u201c\u201d\u201a\u2018\u2019\u00ab\u00bb"
_RANGE = re.compile(r"\d+(?:\s*(?:-|\.\.|\u2013|;|,|to|bis)\s*\d+)+")


class Broken(NamedTuple):
    """A line that is no TOML. ``loc`` is empty where no key could be made out."""

    line: int
    loc: Loc
    what: str

    def __str__(self) -> str:
        return f"{self.line}: {key_of(self.loc)}: {self.what}" if self.loc else f"{self.line}: {self.what}"


def broken_lines(text: str) -> list[Broken]:
    """What is wrong in a text that is no TOML, in its order: all of it, where a line can be read alone."""
    lines, found = text.split("\n"), list[Broken]()
    while len(found) < _MOST:
        try:
            tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError as err:
            at, in_parsers_words = _place(text, str(err))
            said = _explained(lines, at)
            if said is None:
                return found or [Broken(at, (), in_parsers_words)]
            found.append(said)
            is_table = _LIKE_A_HEADER.match(lines[said.line - 1]) or kind_of(said.loc).get("type") == "object"
            if is_table or said.line != at:
                return found  # without its header, or its end, nothing below it means what it says
            lines[at - 1] = ""
        except RecursionError:
            return found or [Broken(1, (), "not valid TOML: brackets are nested too deeply")]
        except ValueError as err:
            # Python refuses to turn thousands of digits into a number; that is no TOMLDecodeError.
            return found or [Broken(1, (), f"not valid TOML: {err}")]
        else:
            break
    return found


def _place(text: str, what: str) -> tuple[int, str]:
    place = _PLACE.search(what)
    last = max(1, text.rstrip("\n").count("\n") + 1)
    if place is None:
        return last, f"not valid TOML: {what}"
    column = f" at column {place['column']}" if place["column"] else ""
    return int(place["line"] or last), f"not valid TOML{column}: {what[: place.start()]}"


def _explained(lines: list[str], at: int) -> Broken | None:
    """What the statement says that ends the parser's work on line ``at``; None where nobody knows better than it."""
    before = "\n".join(lines[: at - 1])
    if not _is_toml(before):
        return _inside(lines, at)
    index, line = LineIndex(before), lines[at - 1]
    if letter := unseen(line):
        return Broken(at, (), letter)
    if _HEADER.match(line):
        return _header(index, before, line, at)
    found = _KEY.match(line)
    if found is None or not _is_toml(f"{found['key']} = 0"):
        return _no_statement(line, at)
    loc: Loc = (*index.open_table, *keys_of(found["key"]))
    if not _is_toml(f"{before}\n{found['key']} = 0"):
        if not index.has(loc):
            return None
        return Broken(at, loc, f"stands twice, on lines {index.line(loc)} and {at}: take one of them away")
    if found["between"] != "=":
        return Broken(at, loc, _no_equals(found, loc))
    what = _value(loc, found["key"], found["rest"])
    if what is None and found["rest"].startswith("[") and "]" not in found["rest"]:
        what = "the list that begins here has no closing ]"
    return None if what is None else Broken(at, loc, what)


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _header(index: LineIndex, before: str, line: str, at: int) -> Broken | None:
    if not _is_toml(line):
        return Broken(at, (), f"expected a table as [controller] or [[bundle]] (got {shown(line.strip())})")
    loc: Loc = tuple(step for step in LineIndex(line).open_table if isinstance(step, str))
    if _is_toml(f"{before}\n{line}") or not index.has(loc):
        return None
    where = f"on lines {index.line(loc)} and {at}"
    if kind_of(loc).get("type") == "array":
        return Broken(at, loc, f"expected {expected(loc)}, each with double brackets (got it twice, {where})")
    return Broken(at, loc, f"the table stands twice, {where}: put the keys of both below one [{key_of(loc)}]")


def _inside(lines: list[str], at: int) -> Broken | None:
    """The parser stopped inside a value of several lines, which began further up."""
    for begin in range(at - 1, max(0, at - _MOST_LINES_BACK), -1):
        found = _KEY.match(lines[begin - 1])
        if found is None or found["between"] != "=" or not _is_toml(f"{found['key']} = 0"):
            continue
        before = "\n".join(lines[: begin - 1])
        if not _is_toml(before):
            continue
        loc: Loc = (*LineIndex(before).open_table, *keys_of(found["key"]))
        if found["rest"].startswith(('"""', "'''")):
            return Broken(begin, loc, f"the text that begins here has no closing {found['rest'][:3]}")
        if not found["rest"].startswith("["):
            return None
        item = re.split(r"\s#", lines[at - 1])[0].strip().rstrip(",").strip()
        if item and "=" not in item and not _HEADER.match(item) and not _is_toml(f"x = {item}"):
            return Broken(at, loc, f"put quotes around each text of the list (got {shown(item)})")
        return Broken(begin, loc, "the list that begins here has no closing ]")
    return None


def _no_statement(line: str, at: int) -> Broken | None:
    """A line that begins with no key; None where the parser says it as well as anybody."""
    begin = line.strip()
    if begin.startswith((";", "//", "--", "/*")):
        return Broken(at, (), f"a comment begins with # (got {shown(begin)})")
    if begin[:1] in "({<":
        return Broken(at, (), f"expected KEY = VALUE, or a table as [controller] (got {shown(begin)})")
    return None


def _no_equals(found: re.Match[str], loc: Loc) -> str:
    rest = found["rest"].strip()
    if kind_of(loc).get("type") == "object":
        return f"expected {expected(loc)} (got {shown(found.group().strip())})"
    if words := re.fullmatch(r"(\w+)\s*=.*", rest):
        return f"a key has no blank in it (got {shown(found['key'] + ' ' + words[1])})"
    if not rest and found["between"] is None:
        return 'expected KEY = VALUE, as host = "192.168.10.10", or a table as [controller]'
    came = "" if is_secret(found["key"]) else f" (got {shown(rest)})"
    return f"expected = between the key and its value, which is {expected(loc) if kind_of(loc) else 'a text'}{came}"


def _value(loc: Loc, key: str, rest: str) -> str | None:
    """What is wrong with the value of a key; None where the parser says it as well as anybody."""
    plain = re.split(r"(?:^|\s)#", rest)[0].strip()
    kind = kind_of(loc)
    if not plain:
        return f"a value is missing; expected {expected(loc) if kind else 'a text in quotes, a number or a list'}"
    if not kind and is_secret(key):
        return "put quotes around the text (got something that is not shown)"
    if kind.get("format") == "path" and os.name == "posix" and OF_ANOTHER_PC.match(plain.lstrip("\"'")):
        return f'expected a path of this PC, as "/var/lib/edge-agent", and not one of Windows (got {plain})'
    if plain[0] in _CURLY:
        return f"put plain quotes around the text: {key} = {_quoted(plain.strip(_CURLY))}"
    if plain[0] in "\"'":
        return _in_quotes(key, plain, kind.get("type"))
    if plain[0] == "[":
        return _in_brackets(key, plain)
    return None if plain[0] == "{" and kind.get("type") != "array" else _bare(loc, key, plain)


def _in_quotes(key: str, plain: str, kind: str | None) -> str | None:
    quote, inner = plain[0], plain[1:-1]
    if kind == "array" and _is_toml(f"x = [{plain}]"):
        return f"put brackets around the list: {key} = [{plain}]"
    if plain.count(quote) == 1:
        return f"the text has no closing {quote} (got {shown(plain)})"
    if quote == '"' and "\\" in inner and _is_toml(f"x = '{inner}'"):
        return f"a \\ between double quotes does not stand for itself: put single quotes, {key} = '{inner}'"
    return None


def _in_brackets(key: str, plain: str) -> str | None:
    """A list on one line whose texts have no quotes."""
    items = [item.strip() for item in plain.removeprefix("[").removesuffix("]").split(",") if item.strip()]
    if plain.endswith("]") and re.search(r"""["']\s+["']""", plain):
        return f"put a comma between two texts of the list (got {shown(plain)})"
    if not plain.endswith("]") or all(_is_toml(f"x = {item}") for item in items):
        return None
    mended = ", ".join(item if _is_toml(f"x = {item}") else _quoted(item) for item in items)
    return f"put quotes around each text of the list: {key} = [{mended}]"


def _bare(loc: Loc, key: str, plain: str) -> str | None:
    """A value without quotes that is no number, no date and no list."""
    kind = kind_of(loc)
    choices, is_list = kind.get("enum", [kind["const"]] if "const" in kind else []), kind.get("type") == "array"
    came = f"(got {shown(plain)})"
    if kind.get("type") in ("integer", "number"):
        mend = slip_of_number(kind["type"], plain)
        return f"expected {expected(loc)} {came}{mend}" if mend[:1] == ";" else f"expected {expected(loc)}{mend} {came}"
    if kind.get("format") == "date" or (choices and plain not in choices):
        return f"expected {expected(loc)}{', with its quotes' if choices else ''} {came}"
    if plain[0] in "({":
        return f"put square brackets around the list: {key} = [{plain.strip('(){} ')}]"
    if is_list and _RANGE.fullmatch(plain):
        return f"put brackets around the list: {key} = [{', '.join(re.findall(r'[0-9]+', plain))}]"
    if is_list:
        inner = ", ".join(item if _is_toml(f"x = {item}") else _quoted(item) for item in re.split(r"\s*,\s*", plain))
        return f"put brackets around the list and quotes around each text: {key} = [{inner}]"
    return f"put quotes around the text: {key} = {_quoted(plain)}"


def _quoted(text: str) -> str:
    """A text as TOML has it, in the quotes in which a backslash stands for itself where there is one."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=not text.isprintable())
