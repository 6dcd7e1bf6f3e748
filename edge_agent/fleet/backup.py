"""The fleet in one file, while it runs: its database, bundles, users and keys, as a plain tar for an empty folder."""

from __future__ import annotations

import os
import re
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.errors import DataError, UsageError
from edge_agent.fleet.database import SQLITE_FILE, URL_FILE

__all__ = ["Kept", "back_up", "back_up_nightly"]

_BESIDE = (URL_FILE, "users", "wall-key")
_NAMED = re.compile(r"fleet-\d{8}T\d{6}Z\.tar")


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that was written. ``has_database``: false where PostgreSQL holds it, which has means of its own."""

    file: Path
    size: int
    has_database: bool
    removed: tuple[Path, ...] = ()


def back_up(folder: Path, file: Path) -> Kept:
    """Write all of a fleet's folder to ``file``, mode 0600, under its name only once it is whole and on the disk.

    The database is copied as it is at one moment, and the server goes on writing. Raises DataError where the folder
    holds no fleet or its database cannot be read, OSError.
    """
    database, url = folder / SQLITE_FILE, folder / URL_FILE
    if not database.exists() and not url.exists():
        raise DataError(f"{folder} holds no fleet", hint="--folder names the folder that fleet serve was given")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w") as tar:
                # The database first: each bundle that it names was brought in before it was named.
                if not url.exists():
                    _add_database(tar, database, file.parent)
                if (folder / "bundles").is_dir():
                    tar.add(folder / "bundles", "bundles", filter=_not_half)
                for name in _BESIDE:
                    if (folder / name).exists():
                        tar.add(folder / name, name)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return Kept(file, file.stat().st_size, not url.exists())


def back_up_nightly(folder: Path, into: Path, keep: int) -> Kept:
    """A backup in a folder, named by the time; the newest ``keep`` stay. Raises UsageError, and as ``back_up``."""
    if not into.is_dir():
        raise UsageError(
            f"{into} is no folder", hint="--keep writes into a folder that is there: is the share mounted?"
        )
    made = back_up(folder, into / f"fleet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    # What has a later time in its name stays: this PC's clock was wrong then, or is now.
    named = sorted(one for one in into.iterdir() if _NAMED.fullmatch(one.name) and one.name <= made.file.name)
    gone = tuple(named[:-keep])
    for one in gone:
        one.unlink()
    return Kept(made.file, made.size, made.has_database, gone)


def _add_database(tar: tarfile.TarFile, database: Path, beside: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".fleet-", dir=beside) as folder:
        copy = Path(folder) / SQLITE_FILE
        try:
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                # A single file, that needs no log beside it.
                target.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as err:
            raise DataError(f"{database} cannot be copied: {err}") from err
        copy.chmod(0o600)
        tar.add(copy, SQLITE_FILE)


def _not_half(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Not a bundle that is just being brought in."""
    return None if Path(member.name).name.startswith(".incoming-") else member
