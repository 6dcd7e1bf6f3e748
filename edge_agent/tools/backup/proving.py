"""Proving a backup: every hash, line.toml, each journal's chain and that they follow each other, each bundle."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edge_agent.bundles.line_bundles import check_place, load_bundle
from edge_agent.errors import ConfigError, DataError
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.people.users import read_users
from edge_agent.settings import load_settings
from edge_agent.store.chain import Head
from edge_agent.store.journal import JournalReader
from edge_agent.tools.backup.contents import CURRENT_JOURNAL, LINE_TOML, Contents
from edge_agent.tools.backup.sealed import read_contents, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.settings import BundleSettings, Settings
    from edge_agent.tools.backup.contents import Member

__all__ = ["Proof", "opened", "prove_bundles", "prove_journals", "verify"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a whole backup holds, and everything that is wrong with it: empty where nothing is."""

    contents: Contents
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        contents = self.contents
        return {
            "schema_version": 1,
            "ok": not self.problems,
            "line": contents.line,
            "made_utc": contents.made_utc,
            "edge_agent": contents.edge_agent,
            "journal_head": contents.head,
            "last_part_seq": contents.last_part_seq,
            "members": len(contents.members),
            "problems": list(self.problems),
        }


def opened(file: Path) -> IO[bytes]:
    """A backup's file, to be read. Raises DataError for what is no regular file, OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{file} is no file", hint="name the file that edge-agent backup wrote")
    return os.fdopen(descriptor, "rb")


def verify(file: Path) -> Proof:
    """Unpack a backup into a folder for the time being (TMPDIR names where) and prove all of it.

    Raises DataError for what is no whole backup, OSError where there is no room.
    """
    with opened(file) as stream, tempfile.TemporaryDirectory(prefix="edge-agent-backup-") as folder:
        contents = read_contents(stream, str(file))
        if contents.size > shutil.disk_usage(folder).free:
            raise OSError(
                errno.ENOSPC, f"{contents.size >> 20} MiB are unpacked to be proven; TMPDIR=FOLDER names where", folder
            )
        places = {one.name: Path(folder) / one.name for one in contents.members}

        def place(member: Member) -> IO[bytes]:
            places[member.name].parent.mkdir(parents=True, exist_ok=True)
            return places[member.name].open("xb")

        unpack(stream, str(file), contents, place)
        settings = load_settings(places[LINE_TOML])
        journals = {name: path for name, path in places.items() if name.startswith("journal/")}
        bundles = {
            (entry.program, entry.camera): Path(folder) / f"bundles/{entry.program}-{entry.camera}"
            for entry in settings.bundle
        }
        users = {name: path for name, path in places.items() if name == f"state/{settings.store.journal.name}.users"}
        problems = [*prove_journals(contents, journals), *prove_bundles(settings, bundles), *_prove_users(users)]
        return Proof(contents, tuple(problems))


def prove_journals(contents: Contents, journals: Mapping[str, Path]) -> list[str]:
    """Follow the chain of each journal of the backup; ``journals`` are their files by the members' names.

    Each that names one before it, which is here, must go on from that one's end. Raises DataError for a file that is
    no journal.
    """
    problems: list[str] = []
    heads: dict[str, str] = {}
    befores: list[tuple[str, str, str]] = []
    for name, path in journals.items():
        noted = _head(contents.head) if name == CURRENT_JOURNAL else None
        with JournalReader.open(path) as reader:
            damage, audit = reader.problems(), reader.audit(noted)
        problems += [f"{name}: {problem}" for problem in (*damage, *audit.problems)]
        if noted is not None and audit.head != noted:
            problems.append(f"{name}: its chain ends at {audit.head}, not at {noted}")
        heads[name] = audit.head.sha256
        befores.append((name, audit.predecessor, audit.predecessor_sha256))
    for name, before, sha256 in befores:
        if heads.get(f"journal/closed/{before}", sha256) != sha256:
            problems.append(f"{name}: it does not go on from {before}")
    return problems


def prove_bundles(settings: Settings, places: Mapping[tuple[int, int], Path]) -> list[str]:
    """Load the bundle in use at each place, and every other that is there; ``places`` by program and camera."""
    problems: list[str] = []
    first: dict[Path, BundleSettings] = {}
    for entry in settings.bundle:
        at = places[(one := first.setdefault(entry.path, entry)).program, one.camera]
        for folder in (at, *sorted(manifest.parent for manifest in at.glob(f"*/{MANIFEST}"))):
            try:
                bundle = load_bundle(settings, folder)
                if folder == at:
                    check_place(entry, bundle)
            except DataError as err:
                problems.append(f"bundle of program {entry.program}, camera {entry.camera}: {err}")
    return problems


def _prove_users(files: Mapping[str, Path]) -> list[str]:
    """Read the users, by the members' names. They hold up no restore: such a line judges, and nobody signs."""
    problems = []
    for name, path in files.items():
        path.chmod(0o600)
        try:
            read_users(path)
        except ConfigError:
            problems.append(f"{name}: it is damaged: once it is restored nobody can sign")
    return problems


def _head(text: str) -> Head:
    link, _, sha256 = text.partition(":")
    return Head(int(link), sha256)
