"""What was meant by a value that is none: a few words for a slip that many people make.

Each is empty, or begins with a comma and stands behind "expected an integer between 1 and 65535", or begins with a
semicolon and stands behind what came.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from datetime import date, time
from typing import TYPE_CHECKING, Any

from edge_agent.settings.values import OF_ANOTHER_PC

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SAME", "slip", "slip_of_number", "unseen"]

SAME = {
    "address": "host",
    "adresse": "host",
    "ip": "host",
    "ip_address": "host",
    "hostname": "host",
    "username": "user",
    "login": "user",
    "folder": "path",
    "directory": "path",
}
"""Names that people try first, and the key that they mean."""
_WITH_UNIT = re.compile(r"[+-]?\d[\d_.,]*\s*[^\d\s.,:_;]+\d?")
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_NUMBER = re.compile(r"[+-]?\d[\d_]*(?:\.\d+)?")
_FOUR_NUMBERS = re.compile(r"\d+(?:\.\d+){3}")
_LONG = 80
_TIME = re.compile(r"(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})")


def slip(node: Mapping[str, Any], name: str, value: Any) -> str:
    """What is wrong with a value of TOML for the key ``name`` with this schema; empty where nobody can tell."""
    kind = node.get("type")
    choices = node.get("enum") or []
    if isinstance(value, str) and choices:
        return _near(value, [choice for choice in choices if isinstance(choice, str)])
    if kind in ("integer", "number"):
        return _of_number(kind, name, value)
    if kind == "array":
        return _of_list(node, name, value)
    if isinstance(value, str) and node.get("format") in _OF_TEXTS:
        return _OF_TEXTS[node["format"]](value)
    is_bare = isinstance(value, (int, float, date, time)) and not isinstance(value, bool)
    return ", in quotes" if is_bare and kind == "string" and node.get("format") != "date" else ""


def _of_number(kind: str, name: str, value: Any) -> str:
    if isinstance(value, str):
        more = slip_of_number(kind, value.strip())
        rest = f" and {more[2:]}" if more.startswith(", ") else ""
        return f", without quotes{rest}" if value.strip()[:1].isdigit() else ""
    if kind == "integer" and isinstance(value, float):
        return ", in whole milliseconds" if name.endswith("_ms") else ", without a point"
    return ""


def _of_list(node: Mapping[str, Any], name: str, value: Any) -> str:
    """One value where a list of them was to be."""
    of = node.get("items", {})
    if "$ref" in of:
        return ""  # a list of tables
    if type(value) is int:
        return f"; write {name} = [{value}]" if of.get("type") == "integer" else ""
    if not isinstance(value, str) or not value.isprintable() or '"' in value or len(value) > _LONG:
        return ""
    pair, numbers = len(node.get("prefixItems", ())), re.findall(r"[0-9]+", value)
    if pair or of.get("type") == "integer":
        return f"; write {name} = [{', '.join(numbers)}]" if numbers and len(numbers) == (pair or len(numbers)) else ""
    texts = [f'"{one.strip()}"' for one in value.split(",") if one.strip()]
    return f"; write {name} = [{', '.join(texts)}]" if texts else ""


def slip_of_number(kind: str, text: str) -> str:
    """What is wrong with a text that was to be a number."""
    if text[-1:] in (",", ";") and _NUMBER.fullmatch(text[:-1]):
        return f", without the {text[-1]} at its end"
    if "//" in text:
        return "; a comment begins with #"
    if text != (typed := _typed(text)) and _NUMBER.fullmatch(typed):
        return f", typed as {typed}"
    if _WITH_UNIT.fullmatch(text):
        return ", without a unit behind it"
    if _LEADING_ZERO.fullmatch(text):
        return ", without a zero in front"
    if "," in text:
        return ", with a point and not with a comma" if kind == "number" else ", without a comma"
    return ""


def _typed(text: str) -> str:
    """The text in the letters of a keyboard: wide digits, and any of the dashes for a minus."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join("-" if unicodedata.category(letter) == "Pd" or letter == "\u2212" else letter for letter in plain)


def unseen(line: str) -> str:
    """A letter that looks like a blank, like nothing or like another one, in words; empty where there is none."""
    for at, letter in enumerate(line.partition("#")[0], 1):
        kind = unicodedata.category(letter)
        is_wide = "\uff01" <= letter <= "\uff5e" and unicodedata.normalize("NFKC", letter) in "=[]{}#.,:\"'"
        if is_wide or (kind in ("Cf", "Zs", "Zl", "Zp") and letter != " "):
            name = unicodedata.name(letter, "a letter without a name").lower()
            return f"the letter in column {at} is not what it looks like (U+{ord(letter):04X}, {name}): type it anew"
        if kind == "Cc" and letter not in "\t\n":
            return f"the letter in column {at} cannot be seen (U+{ord(letter):04X}): take it away"
    return ""


def _near(value: str, choices: list[str]) -> str:
    """The choice that was meant."""
    folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(value.casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[close[0]]}"?' if close else ""


def _of_host(text: str) -> str:
    """What is wrong with an address."""
    if text != text.strip():
        return "; take the blank before or behind it away"
    if "://" in text:
        return "; take what stands before the address away"
    if "/" in text:
        return "; take the / and what stands behind it away"
    if "," in text:
        return "; it has points, and no commas"
    if not re.fullmatch(r"[\d.]+", text):
        return ""
    if not _FOUR_NUMBERS.fullmatch(text):
        return "; it has four numbers with a point between two"
    numbers = text.split(".")
    if any(len(number) > 1 and number.startswith("0") for number in numbers):
        return "; take the zeros in front of its numbers away"
    return "; each of its numbers is 255 at most" if any(int(number) > 255 for number in numbers) else ""


def _of_time(text: str) -> str:
    found = _TIME.fullmatch(text.strip())
    if found is not None and int(found["hour"]) < 24 and int(found["minute"]) < 60:
        return f', as "{int(found["hour"]):02d}:{found["minute"]}"'
    return ', as "06:00", of 24 hours' if text[:1].isdigit() else ""


def _of_path(text: str) -> str:
    if OF_ANOTHER_PC.match(text):
        return '; that is a path of Windows: here one looks like "/var/lib/edge-agent"'
    if any(letter in text for letter in "\n\t\b\f\r"):
        return "; a \\ between double quotes does not stand for itself"
    if text.startswith("~") or "$" in text:
        return "; ~ and $ stand for themselves here: write the path out, from the / on"
    return ""


def _of_item(text: str) -> str:
    return _near(text, ["count", "program", "judgement", "skip", "rest"]) if ":" not in text else ""


_OF_TEXTS = {
    "host": _of_host,
    "own-host": _of_host,
    "time": _of_time,
    "path": _of_path,
    "result-item": _of_item,
}
