"""What a backup says of itself: its first member, JSON, with the size and the sha256 of every other."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of
from typing import Any

from edge_agent.errors import DataError
from edge_agent.files.strict_json import strict_json
from edge_agent.store.schema import SCHEMA_VERSION as JOURNAL_SCHEMA

__all__ = ["CURRENT_JOURNAL", "LINE_TOML", "MOST_BYTES", "Contents", "Member", "parse", "to_bytes"]

LINE_TOML = "line.toml"
CURRENT_JOURNAL = "journal/current"
MOST_BYTES = 16 << 20
_FORMAT, _SCHEMA_VERSION = "edge-agent-backup", 1
_MOST_MEMBERS = 100_000
_MOST_MEMBER_BYTES = 1 << 50
_NAME = r"(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f\x7f]{1,200}"
_NAMES = re.compile(
    rf"line\.toml|journal/current|journal/closed/{_NAME}|state/{_NAME}|bundles/\d{{1,9}}-\d{{1,9}}/{_NAME}(?:/{_NAME})?"
)
"""Every name that a member may have: relative, without a way up, and for places that line.toml names alone."""
_ANOTHER = "take another backup; edge-agent backup --verify FILE says which are whole"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the backup: its name there, its size in bytes, its sha256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Of which line and version a backup is, and all that is in it. ``head`` is LINK:SHA256, empty without a journal.

    ``left_out`` names each secret by its key in line.toml, with its path; ``config`` and ``archive`` are paths on the
    PC that it was made on, and no place to write to.
    """

    edge_agent: str
    line: str
    made_utc: str
    config: str
    head: str
    last_part_seq: int
    journal_schema: int
    archive: str
    archive_bytes: int
    left_out: dict[str, str]
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)


def to_bytes(contents: Contents) -> bytes:
    """The member's bytes."""
    facts = {"format": _FORMAT, "schema_version": _SCHEMA_VERSION, **asdict(contents)}
    return (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()


def parse(data: bytes, file: str) -> Contents:
    """The contents that a backup's first member tells, each name and number within its bounds.

    Raises DataError: also for a backup of a newer version, with the way out.
    """
    try:
        said = strict_json(data, most_bytes=MOST_BYTES)
    except ValueError as err:
        raise DataError(f"{file}: what it says of itself cannot be read: {err}", hint=_ANOTHER) from err
    if not isinstance(said, dict) or said.pop("format", None) != _FORMAT:
        raise DataError(f"{file} is no backup of edge-agent", hint=_ANOTHER)
    _refuse_newer(said, file)
    try:
        members = tuple(_member(one) for one in said.pop("members"))
        contents = Contents(members=members, **said)
        _check(contents)
    except (TypeError, KeyError, ValueError, AttributeError) as err:
        raise DataError(f"{file}: what it says of itself is not as backup writes it: {err}", hint=_ANOTHER) from err
    return contents


def _refuse_newer(said: dict[str, Any], file: str) -> None:
    schema, made_by, here = said.pop("schema_version", None), str(said.get("edge_agent")), version_of("edge-agent")
    journal = said.get("journal_schema")
    is_newer = (
        schema != _SCHEMA_VERSION
        or (isinstance(journal, int) and journal > JOURNAL_SCHEMA)
        or _numbers(made_by) > _numbers(here)
    )
    if is_newer:
        raise DataError(
            f"{file} was made by edge-agent {made_by}, and this is the older {here}",
            hint=f"install edge-agent {made_by} or a later one on this PC first, then restore again",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version.split("+", maxsplit=1)[0])[:3])


def _member(one: dict[str, Any]) -> Member:
    member = Member(**one)
    if not (isinstance(member.name, str) and _NAMES.fullmatch(member.name)):
        raise ValueError(f"{member.name!a} is no name of a member")
    if type(member.size) is not int or not 0 <= member.size <= _MOST_MEMBER_BYTES:
        raise ValueError(f"{member.name} has no size")
    if not (isinstance(member.sha256, str) and re.fullmatch("[0-9a-f]{64}", member.sha256)):
        raise ValueError(f"{member.name} has no sha256")
    return member


def _check(contents: Contents) -> None:
    texts = (contents.edge_agent, contents.line, contents.made_utc, contents.config, contents.head, contents.archive)
    secrets = contents.left_out
    if not all(isinstance(text, str) for text in (*texts, *secrets, *secrets.values())):
        raise ValueError("a text is none")
    if not all(type(n) is int for n in (contents.last_part_seq, contents.journal_schema, contents.archive_bytes)):
        raise ValueError("a number is none")
    names = [member.name for member in contents.members]
    if len(names) > _MOST_MEMBERS or len(set(names)) < len(names) or names[:1] != [LINE_TOML]:
        raise ValueError("its members are not line.toml and others, each once")
    if (CURRENT_JOURNAL in names) != bool(re.fullmatch(r"\d{1,18}:(?:[0-9a-f]{64})?", contents.head)):
        raise ValueError("the journal and the head of its chain do not go together")
    # A file and a folder of one name cannot both be written.
    if set(names) & {name.rpartition("/")[0] for name in names}:
        raise ValueError("a member is both a file and a folder")
