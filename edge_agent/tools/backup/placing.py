"""Where each member of a backup goes on this PC, and whose it is there: line.toml alone says so, never the backup."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.store.kept import closed_journals, is_closed_journal, kept_files, mode_of
from edge_agent.tools.backup.contents import CURRENT_JOURNAL, LINE_TOML

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["Place", "own", "places_of", "standing_at", "under"]

_SERVICE = "edge-agent"
_FOLDER_MODE, _BUNDLE_FOLDER_MODE = 0o750, 0o755
_STATE_MODE, _BUNDLE_MODE = 0o640, 0o644


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that gets its name in one step; ``mode`` is that of its files."""

    target: Path
    mode: int = _STATE_MODE
    is_bundle: bool = False
    is_settings: bool = False

    @property
    def staged(self) -> Path:
        """Where what is new lies until all of it is there and proven."""
        return self.target.with_name(f".{self.target.name}.restoring-new")


def under(root: Path | None, path: Path) -> Path:
    """The path below another root, as DESTDIR of install.sh means it."""
    path = path.absolute()
    return path if root is None else root.absolute() / path.relative_to(path.anchor)


def places_of(
    names: Iterable[str], settings: Settings, config: Path, root: Path | None
) -> dict[str, tuple[Place, str]]:
    """For each member its place and its path below it (empty for a file). Raises DataError for one without a place."""
    journal = settings.store.journal
    bundles = {
        f"{entry.program}-{entry.camera}": Place(under(root, entry.path), _BUNDLE_MODE, is_bundle=True)
        for entry in settings.bundle
    }
    found: dict[str, tuple[Place, str]] = {}
    for name in names:
        kind, _, rest = name.partition("/")
        at, _, inner = rest.partition("/")
        if name == LINE_TOML:
            found[name] = Place(config, is_settings=True), ""
        elif name == CURRENT_JOURNAL:
            found[name] = Place(under(root, journal)), ""
        elif kind == "bundles" and at in bundles:
            found[name] = bundles[at], inner
        elif kind == "journal" and is_closed_journal(inner, journal):
            found[name] = Place(under(root, journal.with_name(inner))), ""
        elif kind == "state" and (mode := mode_of(rest, journal.name)) is not None:
            found[name] = Place(under(root, journal.with_name(rest)), mode), ""
        else:
            raise DataError(f"the backup's {name} has no place in its line.toml", hint="take another backup")
    return found


def standing_at(places: Iterable[Place], journal: Path) -> list[Path]:
    """What is there already, where this line goes: also a journal's log, and kept files of a line that was here."""
    beside = [journal, *(journal.with_name(journal.name + end) for end in ("-wal", "-shm"))]
    paths = [*(place.target for place in places), *beside, *kept_files(journal), *closed_journals(journal)]
    return [path for path in dict.fromkeys(paths) if os.path.lexists(path) and not _is_empty_folder(path)]


def own(place: Place, made: Collection[Path]) -> None:
    """Give what is staged, and the folders that were made for it, the modes and owners of install.sh.

    Root gives it to whose folder it is put into, where that is not root's, else to the service's user, where there is
    one. Anybody else keeps what they write. Raises OSError.
    """
    new = [folder for folder in place.target.parents if folder in made]
    stood = (new[-1] if new else place.target).parent
    uid, gid = _whose(stood)
    if place.is_settings and stood.stat().st_uid == 0 and uid >= 0:
        uid = 0  # read by the agent, written by root alone
    # The lowest folder is the agent's; those above it too, in a folder that is not root's.
    for folder in new if stood.stat().st_uid else new[:1]:
        _give(folder, _FOLDER_MODE if folder == new[0] else _BUNDLE_FOLDER_MODE, uid, gid)
    for path in (place.staged, *place.staged.rglob("*")):
        _give(path, _BUNDLE_FOLDER_MODE if path.is_dir() else place.mode, uid, gid)


def _give(path: Path, mode: int, uid: int, gid: int) -> None:
    # Not by name: in a folder of the service's user a link may stand there by now, and root would give away what it
    # leads to.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fchmod(descriptor, mode)
        os.fchown(descriptor, uid, gid)
    finally:
        os.close(descriptor)


def _whose(folder: Path) -> tuple[int, int]:
    """User and group; -1 leaves them as they are."""
    if os.geteuid() != 0:
        return -1, -1
    if (there := folder.stat()).st_uid != 0:
        return there.st_uid, there.st_gid
    try:
        found = pwd.getpwnam(_SERVICE)
    except KeyError:
        return -1, -1
    return found.pw_uid, found.pw_gid


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
