"""Files and folders: permissions, how fast and whose the disks are, journal, archive."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from typing import TYPE_CHECKING

from edge_agent.errors import EdgeAgentError
from edge_agent.store.journal import JournalReader, NoJournalYet
from edge_agent.store.room import existing
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn
from edge_agent.tools.doctor.room import folders

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = [
    "archive_writable",
    "config_permissions",
    "disk_speed",
    "file_system",
    "journal_integrity",
    "secret_permissions",
    "secrets_of",
    "state_permissions",
]

_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph"})
_SYNC_WARN_MS, _SYNC_FAIL_MS, _SYNCS = 10.0, 100.0, 15


def config_permissions(site: Site) -> Finding:
    """Who may change what passes."""
    mode = stat.S_IMODE(site.config.stat().st_mode)
    if mode & 0o022:
        return fail(
            f"{site.config} has mode {mode:04o}", f"chmod 0640 {site.config}: who writes it decides what passes"
        )
    folder = site.config.absolute().parent
    around = stat.S_IMODE(folder.stat().st_mode)
    if around & 0o002 and not around & stat.S_ISVTX:
        return fail(f"{folder} has mode {around:04o}: everyone may put another line.toml there", f"chmod o-w {folder}")
    return ok(f"{site.config} has mode {mode:04o}")


def secret_permissions(site: Site) -> Finding:
    """Passwords, tokens and keys are for the agent alone."""
    secrets = secrets_of(site.settings)
    said = []
    for path in secrets:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as err:
            return fail(f"{path}: {err.strerror}", "write the password, token or key into it, mode 0640")
        if mode & 0o007:
            return fail(f"{path} has mode {mode:04o}: everyone here may read it", f"chmod 0640 {path}")
        said.append(f"{path} has mode {mode:04o}")
    return ok("; ".join(said) or "no password is used")


def secrets_of(settings: Settings) -> list[Path]:
    """Every file that line.toml names and that nobody else may read."""
    named: list[Path | None] = []
    if settings.images.ftp is not None:
        named.append(settings.images.ftp.password_file)
    if settings.mqtt is not None:
        named += [settings.mqtt.password_file, settings.mqtt.key_file]
    if settings.sparkplug is not None:
        named += [settings.sparkplug.password_file, settings.sparkplug.key_file]
    if settings.webhook is not None:
        named += [settings.webhook.token_file, settings.webhook.key_file]
    if settings.opcua is not None:
        named += [settings.opcua.key_file, *(user.password_file for user in settings.opcua.user)]
    return [path for path in named if path is not None]


def state_permissions(site: Site) -> Finding:
    """The agent writes journal, archive and spool, and nobody else does."""
    for folder in folders(site):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not os.access(folder, os.W_OK | os.X_OK):
            return fail(f"{folder} is not writable for this user", "run this as the agent's user, or chown the folder")
        if mode & 0o002 and not mode & stat.S_ISVTX:
            return fail(f"{folder} has mode {mode:04o}: everyone here may change it", f"chmod 0750 {folder}")
    return ok(", ".join(map(str, folders(site))))


def disk_speed(site: Site) -> Finding:
    """A PASS waits for its row to be on the disk."""
    folder, took_ms = existing(site.settings.store.journal.parent), []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_SYNCS):
                begin = time.perf_counter()
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
                took_ms.append((time.perf_counter() - begin) * 1000)
    except OSError as err:
        return fail(f"{folder}: {err.strerror}", "the journal's folder must be writable: see state_permissions")
    return speed_of(sorted(took_ms))


def speed_of(took_ms: list[float]) -> Finding:
    """What so many durable writes, sorted, say of the disk."""
    median, worst = took_ms[len(took_ms) // 2], took_ms[-1]
    said = f"a durable write takes {median:.1f} ms, at most {worst:.1f} ms of {len(took_ms)}"
    if median > _SYNC_FAIL_MS:
        return fail(said, "put the journal on an SSD of this PC: each PASS waits that long")
    if median > _SYNC_WARN_MS:
        return warn(said, "put the journal on a faster disk, or leave that time in line.deadline_ms")
    return ok(said)


def file_system(site: Site) -> Finding:
    """A network share loses notifications, and a database."""
    for folder in folders(site):
        kind = _kind_of(site, folder)
        if kind in _REMOTE:
            return fail(f"{folder} is on {kind}", "move journal, archive and spool to a disk of this PC")
        if kind in {"tmpfs", "ramfs"}:
            return warn(f"{folder} is on {kind}: gone at the next start", "move it to a disk of this PC")
    return ok(", ".join(sorted({_kind_of(site, folder) for folder in folders(site)})))


def journal_integrity(site: Site) -> Finding:
    """Every part exactly once, no gap, nothing torn."""
    path = site.settings.store.journal
    try:
        with JournalReader.open(path) as journal:
            problems = journal.problems()
    except NoJournalYet:
        return ok(f"{path} is not there yet: the first run makes it")
    except (EdgeAgentError, OSError) as err:
        return fail(str(err), "restore it from a copy, or move it away: the agent begins a new one")
    if problems:
        return fail("; ".join(problems[:3]), "keep this file for the auditor, and begin a new journal")
    return ok(f"{path} is whole")


def archive_writable(site: Site) -> Finding:
    """A real file, written and taken away again."""
    folder = existing(site.settings.store.archive)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        return fail(f"{folder}: {err.strerror}", f"chown edge-agent {folder}, or name another store.archive")
    return ok(f"a file was written to {folder}")


def _kind_of(site: Site, folder: Path) -> str:
    """The file system by the longest mount point above the folder; empty where the kernel does not tell."""
    best, found = "", ""
    for line in (site.text("proc/mounts") or "").splitlines():
        _, mount, kind, *_ = line.split()
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, found = mount, kind
    return found
