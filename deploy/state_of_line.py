# ruff: noqa: INP001, T201 - a script of its own, whose answer is what it prints
"""What a line has written, where it lies, and which schema its journal has. Asked by install.sh and uninstall.sh.

    state_of_line.py schema LINE.TOML [ROOT]   the journal's file, a tab, its schema; nothing where there is no journal
    state_of_line.py left LINE.TOML [ROOT]     for people: what an uninstallation leaves, how large, what removes it

The standard library alone: it runs in the Python of any version, also of one that is about to be removed. ROOT is the
root that the paths are in. Exit codes: 0, 65 for a line.toml or a journal that cannot be read.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import sys
import tomllib
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = Path("/var/lib/edge-agent")
SETTINGS = Path("/etc/edge-agent")
DROP_INS = Path("/etc/systemd/system/edge-agent.service.d")
FIREWALL = Path("/etc/nftables.d/edge-agent.nft")
USER = "edge-agent"
_EX_DATAERR = 65
_BLOCK = 512
"""What ``st_blocks`` counts in, whatever the file system's own blocks are."""


class Unreadable(Exception):
    """What was asked for cannot be read; why, in words."""


@dataclass(frozen=True)
class Left:
    """One thing that stays: what people call it, its files, the command that removes it."""

    what: str
    files: tuple[Path, ...]
    command: str


def keys_of(config: Path) -> dict[str, Any]:
    """The tables of line.toml; empty where there is none. Raises Unreadable."""
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as err:
        raise Unreadable(f"{config} cannot be read: {err}") from err


def path_of(keys: dict[str, Any], table: str, key: str, folder: Path) -> Path | None:
    """A path of line.toml; relative ones start at the folder of that file."""
    inner = keys.get(table)
    value = inner.get(key) if isinstance(inner, dict) else None
    return folder / value if isinstance(value, str) else None


def inside(root: Path, path: Path) -> Path:
    """Where a path of that root lies for us."""
    return root / path.relative_to("/") if path.is_absolute() else root / path


def schema_of(journal: Path) -> int:
    """The schema that the file was written with. Raises Unreadable."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True)) as connection:
            found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as err:
        raise Unreadable(f"the journal {journal} cannot be read: {err}") from err
    return found


def size_of(*paths: Path) -> int:
    """What these take on the disk, in bytes, with all that lies in them. A running line may remove files meanwhile."""
    blocks = {}
    for path in (path for top in paths for path in (top, *_below(top))):
        with suppress(FileNotFoundError):
            status = path.lstat()
            blocks[status.st_dev, status.st_ino] = status.st_blocks
    return _BLOCK * sum(blocks.values())


def _below(top: Path) -> Iterator[Path]:
    """All that lies in a folder; ``os.walk`` passes over a folder that is gone by now."""
    for folder, folders, files in os.walk(top):
        yield from (Path(folder, name) for name in (*folders, *files))


def in_words(size: int) -> str:
    """A size for people: 1.4 GiB."""
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size / 2**10:.0f} KiB"


def left(keys: dict[str, Any], root: Path) -> list[Left]:
    """What an uninstallation leaves of this line, in the order in which it is best removed."""
    found = []
    journal = path_of(keys, "store", "journal", SETTINGS) or STATE / "journal.sqlite3"
    at = inside(root, journal)
    stem = shlex.quote(str(journal.with_suffix("")))
    patterns = {
        f"{at.name}*": f" {stem}{journal.suffix}*",
        f"{at.stem}-*{at.suffix}": f" {stem}-*{journal.suffix}",  # closed ones, by journal rotate
    }
    files = {pattern: sorted(at.parent.glob(pattern)) for pattern in patterns}
    command = "rm" + "".join(words for pattern, words in patterns.items() if files[pattern])
    found.append(Left("the journal", tuple(path for paths in files.values() for path in paths), command))
    archive = path_of(keys, "store", "archive", SETTINGS) or STATE / "archive"
    spool = path_of(keys, "images", "spool", SETTINGS) or STATE / "spool"
    named = [STATE / "bundles", *_bundles(keys)]
    for what, path in (
        ("the images in the archive", archive),
        ("images that were being received", spool),
        *(("the reference bundles", path) for path in dict.fromkeys(named) if not _lies_in(path, named)),
    ):
        found.append(Left(what, (inside(root, path),), f"rm -r {shlex.quote(str(path))}"))
    taken = {path for one in found for path in one.files}
    state = inside(root, STATE)
    rest = tuple(path for path in sorted(state.glob("*")) if path not in taken)
    found.append(Left("all else in the state folder", rest or (state,), f"rm -r {STATE}"))
    found.append(
        Left("line.toml, and the passwords and keys beside it", (inside(root, SETTINGS),), f"rm -r {SETTINGS}")
    )
    by_hand = tuple(path for path in sorted(inside(root, DROP_INS).glob("*")) if path.name != "line.conf")
    found.append(Left("what was changed by hand about the unit", by_hand, f"rm -r {DROP_INS}"))
    found.append(
        Left(
            "the firewall's rules (this PC is open without them)",
            (inside(root, FIREWALL),),
            f"rm {FIREWALL} && nft delete table inet edge_agent",
        )
    )
    there = [Left(one.what, tuple(path for path in one.files if _is_there(path)), one.command) for one in found]
    return [one for one in there if one.files]


def _bundles(keys: dict[str, Any]) -> list[Path]:
    entries = keys.get("bundle")
    named = [entry.get("path") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [SETTINGS / path for path in named if isinstance(path, str)]


def _lies_in(path: Path, folders: list[Path]) -> bool:
    return any(path != folder and path.is_relative_to(folder) for folder in folders)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _has_user(root: Path) -> bool:
    try:
        lines = (root / "etc/passwd").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{USER}:") for line in lines)


def _said(keys: dict[str, Any], root: Path) -> list[str]:
    lines = []
    for one in left(keys, root):
        at = one.files[0] if len(one.files) == 1 else one.files[0].parent
        number = "" if len(one.files) == 1 else f" ({len(one.files)} of the files there)"
        lines += [f"  {in_words(size_of(*one.files)):>9}  {one.what}: {at}{number}", f"             {one.command}"]
    if _has_user(root):
        lines += [
            f"             the user {USER}; as the last, for the files above are its",
            f"             userdel {USER}",
        ]
    return lines


def main(action: str, config: str, root: str = "/") -> int:
    """Answer one question on stdout."""
    try:
        keys = keys_of(Path(config))
        if action == "left":
            print("\n".join(_said(keys, Path(root))))
            return 0
        journal = path_of(keys, "store", "journal", SETTINGS)
        if journal is not None and inside(Path(root), journal).exists():
            print(f"{journal}\t{schema_of(inside(Path(root), journal))}")
    except Unreadable as err:
        print(f"error: {err}", file=sys.stderr)
        return _EX_DATAERR
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
