"""Whose files: the agent's user owns its state, and can read line.toml, the secrets and the bundles."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import BundleRejected
from edge_agent.files.owners import existing, give_back, user_name
from edge_agent.inspection.bundle.registry import bundle_in_use
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn
from edge_agent.tools.doctor.places import secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["agent_reads", "agent_user", "state_owners"]

_UNITS = ("etc/systemd/system/edge-agent.service", "usr/lib/systemd/system/edge-agent.service")
_LOOKED_AT_MOST = 50_000
"""Entries of the state: an archive may hold millions, and its newest come first."""
_CANNOT_READ = 'for at do [ -r "$at" ] || printf "%s\\n" "$at"; done'


def agent_user(site: Site) -> int:
    """The user that the agent of this line.toml runs as: of the unit that names it, else the state folder's owner."""
    for unit in _UNITS:
        text = site.text(unit) or ""
        named = re.search(r"^User=(\S+)$", text, re.MULTILINE)
        if named and f"--config {site.config.absolute()}\n" in text:
            try:
                return pwd.getpwnam(named[1]).pw_uid
            except KeyError:
                continue  # a unit without its user starts nothing: whose the folder is says more
    return existing(site.settings.store.journal.parent).stat().st_uid


def state_owners(site: Site) -> Finding:
    """A file of another user, left by a command of root, stops the agent at its next start."""
    user, number = agent_user(site), 0
    settings = {path.absolute() for path in (site.config, *secrets_of(site.settings))}  # root's, wherever they lie
    folders = sorted({path for path in site.settings.state if path.is_dir()})
    tops = [at for at in folders if not any(at != other and at.is_relative_to(other) for other in folders)]
    foreign: list[tuple[Path, int, Path]] = []
    is_whole = True
    for top in tops:
        entries = _entries(top)
        for path, owner in islice(entries, _LOOKED_AT_MOST):
            number += 1
            if owner != user and path not in settings:
                foreign.append((path, owner, top))
        is_whole = is_whole and next(entries, None) is None
    if not foreign:
        of = "" if is_whole else "the newest "
        return ok(f"{of}{number} files and folders{'' if is_whole else ' were looked at'}, all of {user_name(user)}")
    first, owner, top = foreign[0]
    more = f"; nor do {len(foreign) - 1} more" if foreign[1:] else ""
    return fail(
        f"{first} belongs to {user_name(owner)}, not to {user_name(user)}, the agent's user{more}",
        f"stop the agent, {give_back(user, top)}, and start it; type commands as {user_name(user)}, not as root",
    )


def agent_reads(site: Site) -> Finding:
    """What root can read says nothing of what the agent's user can."""
    paths = [site.config.absolute(), *secrets_of(site.settings)]
    for entry in site.settings.bundle:
        try:
            folder, _ = bundle_in_use(entry.path)
        except BundleRejected:
            continue  # bundle_verified says so
        paths += sorted(folder.glob("*"))
    user = agent_user(site)
    if os.geteuid() not in (0, user):
        return warn(
            f"this is {user_name(os.geteuid())}: only root can try what {user_name(user)} reads",
            "sudo edge-agent doctor",
        )
    try:
        closed = _closed_to(user, [str(path) for path in paths])
    except (OSError, subprocess.SubprocessError) as err:
        return warn(f"what {user_name(user)} can read could not be tried: {err}", "run the doctor as that user")
    if closed:
        more = f", nor can it read {len(closed) - 1} more" if closed[1:] else ""
        return fail(
            f"{closed[0]} cannot be read by {user_name(user)}, the agent's user{more}",
            f"chgrp {user_name(user)} and chmod 0640 for files, 0750 for the folders above them",
        )
    return ok(f"{user_name(user)} reads line.toml, and {len(paths) - 1} files of passwords, keys and bundles")


def _closed_to(user: int, paths: list[str]) -> list[str]:
    """Which of these files that user cannot read. As root: tried by a process of that user."""
    if os.geteuid() == user:
        return [path for path in paths if not os.access(path, os.R_OK)]
    try:
        found = pwd.getpwuid(user)
        group, others = found.pw_gid, os.getgrouplist(found.pw_name, found.pw_gid)
    except KeyError:  # a number without a name
        group, others = user, []
    ran = subprocess.run(  # noqa: S603 - our own words; the paths are arguments
        ["/bin/sh", "-c", _CANNOT_READ, "sh", *paths],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        cwd="/",
        user=user,
        group=group,
        extra_groups=others,
    )
    return ran.stdout.splitlines()


def _entries(top: Path) -> Iterator[tuple[Path, int]]:
    """The folder and all that is in it with its owner, the newest names first; what is gone meanwhile is left out."""
    yield top, top.stat().st_uid
    for at, folders, files in os.walk(top):
        folders.sort(reverse=True)
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                path = Path(at, name)
                yield path, path.lstat().st_uid
