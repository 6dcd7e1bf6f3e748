"""What may be asked at the desk: one JSON object a line, proven before anybody acts on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_agent.files.strict_json import strict_json

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

__all__ = ["LINE_MAX_BYTES", "VERSION", "request_of", "say"]

VERSION = 1
LINE_MAX_BYTES = 64 * 1024
_WITHIN_MAX_S = 60.0
_ARGS_MAX = 32
_NOTES = ("BUNDLE_CHOSEN", "CHALLENGE", "LEARN", "LIMIT", "MSA", "SHADOW", "USERS")
_NOTE_MAX = 2000  # what the journal holds of a text
_CHALLENGE_MAX = 32_000
"""Of fifty samples with the longest names, each with what is odd about it."""
_NAME_MAX = 200


def request_of(line: bytes) -> dict[str, Any]:
    """The request, checked to the last field. Raises ValueError."""
    try:
        request = strict_json(line, most_bytes=LINE_MAX_BYTES)
    except ValueError as err:
        raise ValueError(f"a request is one JSON object on one line: {err}") from None
    if not isinstance(request, dict) or request.get("v") != VERSION:
        raise ValueError(f'a request is a JSON object with "v": {VERSION}')
    if request.get("ask") not in ("status", "command", "listen", "note", "bypass", "acknowledge"):
        raise ValueError('"ask" is "status", "command", "listen", "note", "bypass" or "acknowledge"')
    if request["ask"] != "command":
        return _other_request(request)
    name, args, within_s = request.get("name"), request.setdefault("args", []), request.get("within_s")
    if not isinstance(name, str):
        raise ValueError('a command has a "name"')  # noqa: TRY004 - the client's mistake, said as all of them
    if not isinstance(args, list) or len(args) > _ARGS_MAX or not all(isinstance(arg, str) for arg in args):
        raise ValueError(f'"args" is a list of at most {_ARGS_MAX} texts')
    is_number = isinstance(within_s, (int, float)) and not isinstance(within_s, bool)
    if within_s is not None and not (is_number and 0 < within_s <= _WITHIN_MAX_S):
        raise ValueError(f'"within_s" is a number above 0, at most {_WITHIN_MAX_S:g}')
    return request


def _other_request(request: dict[str, Any]) -> dict[str, Any]:
    """Anything but a command to the controller."""
    if request["ask"] == "bypass":
        return _bypass_request(request)
    if request["ask"] == "acknowledge" and not _is_name(request.get("by")):
        raise ValueError('"by" is a name of at most 200 characters')
    if request["ask"] == "note":
        _check_note(request)
    return request


def _check_note(request: dict[str, Any]) -> None:
    detail = request.get("detail")
    most = _CHALLENGE_MAX if request.get("kind") == "CHALLENGE" else _NOTE_MAX
    if request.get("kind") not in _NOTES or not isinstance(detail, str) or len(detail) > most:
        raise ValueError(f'a note has a "kind" ({", ".join(_NOTES)}) and a "detail" of at most {most}')


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value.strip()) <= _NAME_MAX


def _bypass_request(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("do") not in ("begin", "end"):
        raise ValueError('"do" is "begin" or "end"')
    by, why, for_s = request.get("by"), request.setdefault("why", ""), request.setdefault("for_s", 0.0)
    if not all(isinstance(text, str) and text.isprintable() for text in (by, why)):
        raise ValueError('a bypass has a text "by" and a text "why", each on one line')
    if isinstance(for_s, bool) or not isinstance(for_s, (int, float)):
        raise ValueError('"for_s" is a number of seconds')  # noqa: TRY004
    return request


async def say(writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
    """Write one JSON object as a line, with the version of the words."""
    writer.write(json.dumps({"v": VERSION, **answer}).encode() + b"\n")
    await writer.drain()
