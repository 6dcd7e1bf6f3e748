"""Making a backup while the line runs: one file under its name only once it is whole and on the disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import IO, TYPE_CHECKING, Any

from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import NoJournalYet
from edge_agent.store.schema import SCHEMA_VERSION
from edge_agent.store.snapshot import Snapshot, copy_journal
from edge_agent.tools.backup.contents import CURRENT_JOURNAL, LINE_TOML, Contents, Member
from edge_agent.tools.backup.gathered import bundle_files, closed_files, left_out, other_files
from edge_agent.tools.backup.proving import opened
from edge_agent.tools.backup.sealed import digest, read_contents, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["Made", "make_backup", "make_nightly"]

_SUFFIX = ".backup.tar"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written: where, its size and sha256, what it holds, and which older ones were removed."""

    file: Path
    size: int
    sha256: str
    contents: Contents
    removed: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "schema_version": 1,
            "file": str(self.file),
            "bytes": self.size,
            "sha256": self.sha256,
            "line": self.contents.line,
            "made_utc": self.contents.made_utc,
            "journal_head": self.contents.head,
            "last_part_seq": self.contents.last_part_seq,
            "members": len(self.contents.members),
            "not_in": {**self.contents.left_out, "store.archive": self.contents.archive},
            "archive_bytes": self.contents.archive_bytes,
            "removed": [str(path) for path in self.removed],
        }


def make_nightly(
    settings: Settings, config: Path, folder: Path, keep: int, progress: Callable[[str, int, int], None]
) -> Made:
    """A backup in ``folder``, named by line and time; the newest ``keep`` of this line stay. Raises as make_backup.

    What says that it is of another line stays, and what has a later time in its name: this PC's clock was wrong then,
    or is now, and the backup that was just made is never the one that goes.
    """
    line = _word_of(settings.line.name)
    now = datetime.now(UTC)
    made = make_backup(settings, config, folder / f"{line}-{now:%Y%m%dT%H%M%SZ}{_SUFFIX}", progress)
    # By name alone: only what this function has named, and the time in it sorts.
    of_line = re.compile(rf"{re.escape(line)}-\d{{8}}T\d{{6}}Z{re.escape(_SUFFIX)}")
    named = sorted(path for path in folder.iterdir() if of_line.fullmatch(path.name) and path.name <= made.file.name)
    mine = [path for path in named if _line_of(path) in (settings.line.name, None)]
    gone = tuple(mine[:-keep])
    for path in gone:
        path.unlink()
    _sweep(folder, of_line)
    return replace(made, removed=gone)


def _word_of(name: str) -> str:
    """A line's name as a word for file names; of letters that do not do there a hash, so that two lines stay two."""
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "line"
    return word if name.isascii() else f"{word}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _line_of(file: Path) -> str | None:
    """The line that a backup says it is of; None for one that cannot be read."""
    try:
        with opened(file) as stream:
            return read_contents(stream, str(file)).line
    except (DataError, OSError):  # cut off, or another program's: its name alone says whose it is
        return None


def make_backup(settings: Settings, config: Path, file: Path, progress: Callable[[str, int, int], None]) -> Made:
    """Write a backup of the line to ``file``, mode 0600; what was under that name stays until the new one is whole.

    Raises AlreadyRunning where another backup writes the same file, DataError for a journal or bundle that cannot be
    read or that changed meanwhile, OSError.
    """
    with _held(_part(file)) as part:
        copy = _copy_of(file)
        try:
            return _made(settings, config, file, part, progress)
        except BaseException:
            _part(file).unlink(missing_ok=True)
            raise
        finally:
            for left in (copy, copy.with_name(copy.name + "-journal")):
                left.unlink(missing_ok=True)


def _made(
    settings: Settings,
    config: Path,
    file: Path,
    part: IO[bytes],
    progress: Callable[[str, int, int], None],
) -> Made:
    journal, copy, fs = settings.store.journal, _copy_of(file), FileSystem()
    closed = closed_files(journal)
    # Before the journal: a receiver that is told to be further than the copy would miss results.
    sources = other_files(settings, config)
    members = {name: digest(path) for name, path in sources.items()}
    _check_room(file.parent, [journal, journal, *closed.values()], fs)
    snapshot = _journal_copied(journal, copy, progress)
    if closed_files(journal) != closed:
        raise DataError("the journal was rotated while it was copied", hint="take the backup again")
    bundles = bundle_files(settings, snapshot.bundle_ids if snapshot else ())
    sources |= bundles | ({CURRENT_JOURNAL: copy} if snapshot else {}) | closed
    for number, (name, path) in enumerate(sources.items(), 1):
        members.setdefault(name, digest(path))
        progress("files read", number, len(sources))
    contents = _contents(settings, config, snapshot, members, fs)
    sha256 = write_sealed(part, contents, sources, lambda done, total: progress("bytes written", done, total))
    if bundle_files(settings, snapshot.bundle_ids if snapshot else ()) != bundles:
        raise DataError("another bundle was put to use meanwhile", hint="take the backup again")
    part.flush()
    os.fsync(part.fileno())
    size = part.tell()
    fs.replace(_part(file), file)
    fs.fsync(file.absolute().parent)
    return Made(file, size, sha256, contents)


def _contents(
    settings: Settings, config: Path, snapshot: Snapshot | None, members: dict[str, Member], fs: FileSystem
) -> Contents:
    archive = settings.store.archive
    # line.toml first, the rest by name: two backups of one state differ in their time alone.
    names = [LINE_TOML, *sorted(name for name in members if name != LINE_TOML)]
    return Contents(
        edge_agent=version_of("edge-agent"),
        line=settings.line.name,
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        config=str(config.absolute()),
        head=str(snapshot.head) if snapshot else "",
        last_part_seq=snapshot.last_part_seq if snapshot else 0,
        journal_schema=snapshot.schema if snapshot else SCHEMA_VERSION,
        archive=str(archive),
        archive_bytes=sum(size for _, size in fs.files(archive)) if archive.is_dir() else 0,
        left_out=left_out(settings),
        members=tuple(replace(members[name], name=name) for name in names),
    )


def _journal_copied(journal: Path, copy: Path, progress: Callable[[str, int, int], None]) -> Snapshot | None:
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        return copy_journal(journal, copy, lambda done, total: progress("pages of the journal", done, total))
    except NoJournalYet:  # a line that never ran has its settings and bundles all the same
        return None


def _check_room(folder: Path, files: list[Path], fs: FileSystem) -> None:
    needed = sum(path.stat().st_size for path in files if path.exists())
    if needed > fs.disk_bytes(folder)[1]:
        raise OSError(
            errno.ENOSPC, f"the backup needs about {needed >> 20} MiB, the journal twice for a moment", str(folder)
        )


@contextmanager
def _held(part: Path) -> Iterator[IO[bytes]]:
    """The file that is being written, by one backup at a time; one that a kill left behind is begun anew."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another backup is writing {part}", hint="wait for it, or name another file"
            ) from None
        except OSError as err:  # a share without locks: two at once there spoil each other, and neither proves itself
            if err.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
        if (now := part.stat()).st_ino != os.fstat(descriptor).st_ino or now.st_nlink > 1:
            # It got its final name between both steps: it is a whole backup, and nobody writes into that.
            raise AlreadyRunning(f"another backup has just written {part}", hint="try again")
        file.truncate(0)
        os.fchmod(descriptor, 0o600)
        yield file


def _part(file: Path) -> Path:
    return file.with_name(f".{file.name}.part")


def _copy_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.journal")


def _sweep(folder: Path, of_line: re.Pattern[str]) -> None:
    """What a nightly backup that was killed has left; none of this line's is being written now but by another run."""
    for path in folder.iterdir():
        name = path.name.removeprefix(".").rpartition(".")[0]
        if path.name.startswith(".") and path.name.endswith((".part", ".journal")) and of_line.fullmatch(name):
            path.unlink(missing_ok=True)
