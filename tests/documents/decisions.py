"""docs/decisions/README.md: every decision with its number, its title and its status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["STATUS", "page"]

TITLE = re.compile(r"# (\d{4}) (\S.*)")
STATUS = re.compile(r"Status: (accepted|accepted, changed in part by .+|superseded by .+)\.")
_LINK = re.compile(r"\[(\d{4})\]\((\d{4}-[\w-]+\.md)\)")
_HEAD = """\
# Decisions

Made by `make reference` from the pages themselves. Each page says why something is as it is: the context, the decision,
what was measured, and what was rejected. A page is not rewritten when the choice changes; a newer one says so, and the
status of the older one names it ([0001](0001-record-decisions.md)).

| number | decision | status |
|---|---|---|"""


def page(folder: Path) -> str:
    """The index. Raises ValueError for a page whose title or status is written in another way."""
    rows = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title, _, status, *_ = path.read_text("utf-8").split("\n")
        told, stands = TITLE.fullmatch(title), STATUS.fullmatch(status)
        if told is None or told[1] != path.name[:4]:
            raise ValueError(f"{path.name}: its first line has to be '# {path.name[:4]} TITLE'")
        if stands is None:
            raise ValueError(
                f"{path.name}: its third line has to be 'Status: accepted.', 'Status: accepted, changed in part by "
                "[NNNN](NNNN-name.md) (what).' or 'Status: superseded by [NNNN](NNNN-name.md).'"
            )
        for number, name in _LINK.findall(stands[1]):
            if not (folder / name).is_file() or name[:4] != number:
                raise ValueError(f"{path.name}: its status names {name}, which is not there")
        others = ", ".join(f"[{number}]({name})" for number, name in _LINK.findall(stands[1]))
        word = re.match(r"accepted(?:, changed in part by)?|superseded by", stands[1])
        assert word is not None
        rows.append(f"| {told[1]} | [{told[2]}]({path.name}) | {' '.join(filter(None, (word[0], others)))} |")
    return "\n".join([_HEAD, *rows, ""])
