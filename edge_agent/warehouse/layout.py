"""Names in a store: ``parts/line=NAME/day=2026-11-23/part-STRETCH-LINK.parquet``. Readers of the Hive form know it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from edge_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from edge_agent.warehouse.targets import Target

__all__ = ["MARK", "FileName", "begin_store", "file_path", "files_of", "line_folder", "prove_store"]

MARK: Final = "edge-agent-store.json"
"""Makes a folder a store: one that is not mounted has none, and nothing is written into it."""
_LAYOUT_VERSION: Final = 1
_NAME: Final = re.compile(r"part-(?P<history>[0-9a-f]{16})-(?P<link>\d{12,})\.parquet")
_DAY: Final = re.compile(r"day=(?P<day>\d{4}-\d{2}-\d{2})")
_MOST_BYTES: Final = 255
"""Of one name in any file system."""


class FileName(NamedTuple):
    """One file of a data set of a line."""

    path: str
    day: str
    history: str
    first_link: int


def line_folder(dataset: str, line: str) -> str:
    """The folder of a line. Raises UsageError for a name of which no folder can be made."""
    # Letters and digits of any language stand for themselves, all else as %2F: no name leads out of the folder.
    folder = "line=" + "".join(one if one.isalnum() else quote(one, safe="") for one in line)
    if not line or len(folder.encode()) > _MOST_BYTES:
        raise UsageError(f"the line's name {line!r} is empty or too long for a folder", hint="--line NAME, a short one")
    return f"{dataset}/{folder}"


def file_path(dataset: str, line: str, day: str, history: str, first_link: int) -> str:
    """The path of a file. Links are counted within a stretch, so two files never have one name."""
    return f"{line_folder(dataset, line)}/day={day}/part-{history}-{first_link:012d}.parquet"


def files_of(target: Target, dataset: str, line: str) -> list[FileName]:
    """The files of a data set of a line, in the order of their stretches and links. Others are not looked at."""
    found = []
    for path in target.files(line_folder(dataset, line)):
        *_, folder, name = path.split("/")
        is_day, is_ours = _DAY.fullmatch(folder), _NAME.fullmatch(name)
        if is_day and is_ours:
            found.append(FileName(path, is_day["day"], is_ours["history"], int(is_ours["link"])))
    return sorted(found, key=lambda file: (file.history, file.first_link))


def begin_store(target: Target) -> None:
    """Make an empty place a store; one that is there already stays as it is."""
    if target.read(MARK) is None:
        target.put(MARK, json.dumps({"edge_agent_store": _LAYOUT_VERSION}).encode() + b"\n")


def prove_store(target: Target) -> None:
    """Raise DataError for a place that is no store, or one of a newer version."""
    data = target.read(MARK)
    if data is None:
        raise DataError(
            f"{target.name} is no store: it has no {MARK}",
            hint="is the share mounted? A new one is begun by the first export with --begin",
        )
    try:
        told = json.loads(data)["edge_agent_store"]
    except (ValueError, KeyError, TypeError):
        told = None
    if told != _LAYOUT_VERSION:
        raise DataError(
            f"{target.name}/{MARK} says version {told}, this edge-agent knows {_LAYOUT_VERSION}",
            hint="use the edge-agent that began it, or a newer one",
        )
