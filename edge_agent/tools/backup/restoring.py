"""Bringing a line back out of one file: everything proven first, then all of it at once, or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edge_agent.errors import ConfigError, DataError, UsageError
from edge_agent.files.owners import existing, person
from edge_agent.fleet_line.secret import secret_file
from edge_agent.people.users import users_path
from edge_agent.runtime.claim import claimed_restore, claimed_state
from edge_agent.settings import load_settings
from edge_agent.store.fs import FileSystem
from edge_agent.store.opening import open_database, take_lock
from edge_agent.store.writer import insert_event
from edge_agent.tools.backup.contents import CURRENT_JOURNAL, LINE_TOML, Contents, Member
from edge_agent.tools.backup.gathered import left_out
from edge_agent.tools.backup.placing import Place, own, places_of, standing_at, under
from edge_agent.tools.backup.proving import opened, prove_bundles, prove_journals
from edge_agent.tools.backup.sealed import digest_of, read_contents, unpack
from edge_agent.tools.backup.switching import Rename, finish, switch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.settings import Settings

__all__ = ["RESTORED", "Restored", "restore"]

RESTORED = "RESTORED"
"""The kind of the event that says from which file a journal goes on."""
_MOST_SETTINGS_BYTES = 1 << 20
_ANOTHER = "take another backup; edge-agent backup --verify FILE says which are whole"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back: where line.toml lies, what was put away for it, and which secrets have to be written.

    ``archive`` is where the images go on this PC. ``has_users``: users are as they were at the backup. ``joins`` is the
    fleet that this line has to join again, empty where there is none or its secret is here still.
    """

    config: Path
    archive: Path
    contents: Contents
    sha256: str
    put_away: tuple[Path, ...]
    by_hand: dict[str, str]
    has_users: bool
    joins: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "schema_version": 1,
            "config": str(self.config),
            "line": self.contents.line,
            "made_utc": self.contents.made_utc,
            "sha256": self.sha256,
            "last_part_seq": self.contents.last_part_seq,
            "put_away": [str(path) for path in self.put_away],
            "by_hand": self.by_hand,
            "fleet_to_join": self.joins,
        }


def restore(file: Path, config: Path, *, root: Path | None, over: bool, by: str) -> Restored:
    """Bring a line back. ``config`` is where its line.toml goes; ``root`` another root for every path.

    ``over``: what is there is put away beside, under a name with the time; else nothing may be there. Raises DataError
    for a backup that is not whole or of a newer version, UsageError, AlreadyRunning where an agent runs there,
    ConfigError, OSError. Whatever is raised, nothing that was there has changed; after OSError in the last step, and
    after a kill there, the line has no line.toml until ``finish``.
    """
    goes_to = under(root, config)
    with ExitStack() as held:
        held.enter_context(claimed_restore(goes_to))
        finish(goes_to)  # one that was broken off before: else its rest would look like a line that is here
        with opened(file) as stream:
            contents, sha256 = _proven_whole(stream, file)
            settings, places = _places(stream, file, contents, config, root)
            journal = under(root, settings.store.journal)
            # Held first and looked at then: an agent that starts behind the look would be put away while it writes.
            unlocked = _hold(held, settings, goes_to, root)
            staged = list(dict.fromkeys(place for place, _ in places.values()))
            _standing(staged, journal, over=over)
            made: list[Path] = []
            try:
                _check_room(staged, contents)
                _stage(stream, file, contents, places, made)
                _prove(contents, settings, places, root)
                _go_on(places, {"file": str(file.absolute()), "sha256": sha256, "by": by or person()}, contents)
                for place in staged:
                    own(place, made)
                    _sync_all(place.staged)
                _lock(held, unlocked)
                standing = _standing(staged, journal, over=over)  # also what has come there since
            except BaseException:
                _tidy(staged, made)
                raise
            put_away = _switch(goes_to, staged, standing)
    by_hand = {key: str(under(root, Path(path))) for key, path in left_out(settings).items()}
    has_users = f"state/{users_path(journal).name}" in {member.name for member in contents.members}
    fleet = settings.fleet
    joins = "" if fleet is None or under(root, secret_file(settings)).exists() else fleet.url
    return Restored(
        goes_to,
        under(root, settings.store.archive),
        contents,
        sha256,
        put_away,
        by_hand,
        has_users=has_users,
        joins=joins,
    )


def _proven_whole(stream: IO[bytes], file: Path) -> tuple[Contents, str]:
    """The first look writes nothing: every byte is what the backup says of it. And the sha256 of the whole file."""
    contents = read_contents(stream, str(file))
    unpack(stream, str(file), contents, lambda _member: None)
    stream.seek(0)
    sha256 = digest_of(stream)
    stream.seek(0)
    return contents, sha256


def _places(
    stream: IO[bytes], file: Path, contents: Contents, config: Path, root: Path | None
) -> tuple[Settings, dict[str, tuple[Place, str]]]:
    """Its line.toml, which is the first member, and what that says of all the others. Raises ConfigError, DataError."""
    read_contents(stream, str(file))
    with tempfile.TemporaryDirectory(prefix="edge-agent-restore-") as folder:
        text = Path(folder) / LINE_TOML
        stream.seek(512, os.SEEK_CUR)
        if contents.members[0].size > _MOST_SETTINGS_BYTES:
            raise DataError(f"{file}: its line.toml has {contents.members[0].size} bytes", hint=_ANOTHER)
        text.write_bytes(stream.read(contents.members[0].size))
        settings = load_settings(text, folder=config.absolute().parent)
    stream.seek(0)
    return settings, places_of((one.name for one in contents.members), settings, under(root, config), root)


def _standing(staged: Iterable[Place], journal: Path, *, over: bool) -> list[Path]:
    """What is there already. Raises UsageError where anything is, and may not be put away."""
    standing = standing_at(staged, journal)
    if standing and not over:
        raise UsageError(
            f"there is something already: {', '.join(map(str, standing))}",
            hint="--over puts it away beside, under a name with the time, and restores",
        )
    return standing


def _hold(held: ExitStack, settings: Settings, config: Path, root: Path | None) -> set[Path]:
    """Nobody runs, or starts, on this state until the end. Raises AlreadyRunning.

    The journals that have no lock yet, for ``_lock`` once more: this PC's names do not reach an agent in a container of
    its own, which is held off by that file alone. It is not made here: root's own file would keep the first agent out.
    """
    here = [settings]
    if config.exists() and root is None:
        # The line that stands there may have another journal. One whose line.toml is broken has no agent by it.
        with suppress(ConfigError):
            here.append(load_settings(config))
    rooted = [_rooted(one, root) for one in here]
    held.enter_context(claimed_state(rooted))
    return _lock(held, {one.store.journal.resolve() for one in rooted})


def _lock(held: ExitStack, journals: set[Path]) -> set[Path]:
    """Take the locks that there are; the journals without one. Raises AlreadyRunning."""
    unlocked = {one for one in journals if not one.with_name(one.name + ".lock").exists()}
    for journal in journals - unlocked:
        held.enter_context(closing(take_lock(journal)))
    return unlocked


def _rooted(settings: Settings, root: Path | None) -> Settings:
    store, images = settings.store, settings.images
    return settings.model_copy(
        update={
            "store": store.model_copy(
                update={"journal": under(root, store.journal), "archive": under(root, store.archive)}
            ),
            "images": images.model_copy(update={"spool": under(root, images.spool), "folder": None}),
        }
    )


def _check_room(places: Iterable[Place], contents: Contents) -> None:
    for folder in {existing(place.target.parent) for place in places}:
        if contents.size > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, f"what is restored has {contents.size >> 20} MiB", str(folder))


def _stage(
    stream: IO[bytes], file: Path, contents: Contents, places: dict[str, tuple[Place, str]], made: list[Path]
) -> None:
    """Write everything beside its place."""
    for place, _ in places.values():
        _remove(place.staged)  # of a restore that was killed
    read_contents(stream, str(file))

    def opened_at(member: Member) -> IO[bytes]:
        place, inner = places[member.name]
        path = place.staged / inner if inner else place.staged
        _make_folders(place.target.parent, made)
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")

    unpack(stream, str(file), contents, opened_at)


def _prove(contents: Contents, settings: Settings, places: dict[str, tuple[Place, str]], root: Path | None) -> None:
    journals = {name: place.staged for name, (place, _) in places.items() if name.startswith("journal/")}
    by_path = {place.target: place.staged for place, _ in places.values() if place.is_bundle}
    bundles = {}
    for entry in settings.bundle:
        staged = by_path.get(under(root, entry.path))
        if staged is None:
            raise DataError(f"the backup has no bundle for {entry.path}", hint=_ANOTHER)
        bundles[entry.program, entry.camera] = staged
    problems = [*prove_journals(contents, journals), *prove_bundles(settings, bundles)]
    if problems:
        raise DataError("the backup does not prove itself: " + "; ".join(problems), hint=_ANOTHER)


def _go_on(places: dict[str, tuple[Place, str]], facts: dict[str, str], contents: Contents) -> None:
    """Bring the journal to this version's schema, by the ways of every start, and write where it comes from."""
    if CURRENT_JOURNAL not in places:
        return
    detail = {
        "schema_version": 1,
        **facts,
        "made_utc": contents.made_utc,
        "version": contents.edge_agent,
        "line_toml": contents.config,
        "head": contents.head,
    }
    with closing(open_database(places[CURRENT_JOURNAL][0].staged)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        insert_event(connection, RESTORED, json.dumps(detail, ensure_ascii=False))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def _switch(config: Path, staged: list[Place], standing: list[Path]) -> tuple[Path, ...]:
    stamp = f"before-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    journal_ends = ("-wal", "-shm")
    away = []
    for path in sorted(standing, key=lambda path: path != config):
        end = next((end for end in journal_ends if path.name.endswith(end)), "")
        # A journal's log keeps the name that belongs to the journal's: SQLite looks for it there.
        away.append(Rename(path, path.with_name(f"{path.name.removesuffix(end)}.{stamp}{end}"), old=True))
    new = [Rename(one.staged, one.target, old=False) for one in sorted(staged, key=lambda one: one.is_settings)]
    switch(config, [*away, *new])
    return tuple(one.target for one in away)


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        one.chmod(0o755)  # whatever the umask: the agent's user has to get through; ``own`` narrows the lowest one
        made.append(one)


def _sync_all(path: Path) -> None:
    fs = FileSystem()
    for one in (path, *path.rglob("*"), path.parent):
        fs.fsync(one)


def _tidy(staged: Iterable[Place], made: list[Path]) -> None:
    for place in staged:
        _remove(place.staged)
    for folder in reversed(made):
        try:
            folder.rmdir()
        except OSError:  # somebody has put something there meanwhile
            continue


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
