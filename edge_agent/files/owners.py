"""Whose files: root leaves none in the state folder of the service's user, and a refused permission says what to do."""

from __future__ import annotations

import getpass
import os
import pwd
import shlex
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "as_owner",
    "as_user",
    "existing",
    "give_back",
    "person",
    "refuse_root",
    "refused",
    "this_command",
    "user_name",
    "whose_words",
]

_FIRST_PERSON = 1000
"""Below it user ids are those of the system and its services, from it on those of people."""


def refuse_root(paths: Iterable[Path], *, of_people: bool = True) -> None:
    """Raise NotPermitted where root would write at one of ``paths``, and another user owns what is there.

    A path that is not there yet counts as the nearest folder above it. ``of_people=False``: only folders of services
    count, for root may write into a person's folder. Every command that writes into a state folder comes by here
    before it opens anything; the error says which command to type instead.
    """
    if os.geteuid() != 0:
        return
    for path in paths:
        there = existing(path)
        owner = there.lstat().st_uid
        if owner != 0 and (of_people or owner < _FIRST_PERSON):
            raise NotPermitted(
                f"{there} belongs to the user {user_name(owner)}, and root would leave files there that it "
                "cannot write",
                hint=f"type: {as_user(owner, this_command())}\n"
                "that user has to be able to read the files that the command names",
            )


def refused(*paths: Path, to_write: bool = True) -> str:
    """Why this user cannot read (and write) the first of ``paths`` that it cannot, and what to do; empty if it can all.

    Files that are not there do not count.
    """
    for path in paths:
        try:
            is_folder = path.is_dir()
            if not path.exists():
                continue
        except PermissionError:  # a folder above it is closed to this user
            return _what_to_do(path)
        wanted = os.R_OK | (os.W_OK if to_write else 0) | (os.X_OK if is_folder else 0)
        if not os.access(path, wanted):
            return _what_to_do(path)
    return ""


def whose_words(path: Path) -> str:
    """Whose a file is, or the nearest folder above it that this user can see, and who this is."""
    there = _visible(path)
    found = there.stat()
    return (
        f"{there} belongs to the user {user_name(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}, "
        f"and this is the user {user_name(os.geteuid())}"
    )


def give_back(uid: int, folder: Path) -> str:
    """The command that gives a folder, and all that is in it, to a user and its group; links are not followed."""
    return f"sudo chown -hR {_shell_name(uid)}: {shlex.quote(str(folder))}"


def as_user(uid: int, command: str) -> str:
    """The command line that runs a command as that user."""
    by = "sudo" if shutil.which("sudo") or not shutil.which("runuser") else "runuser"
    return f"{by} -u {_shell_name(uid)} {'-- ' if by == 'runuser' else ''}{command}"


def as_owner(folder: Path, command: str) -> str:
    """The command line for whoever is root or another user than the folder's: it runs as the folder's user."""
    owner = existing(folder).stat().st_uid
    return command if owner in (0, os.geteuid()) else as_user(owner, command)


def this_command() -> str:
    """The command as it was typed, by the whole path of its program: sudo does not look where this shell does."""
    return shlex.join([program(), *sys.argv[1:]])


def program() -> str:
    """The program that runs, as a person types it from everywhere."""
    typed = Path(sys.argv[0])
    return str(typed.absolute()) if typed.name == "edge-agent" and typed.is_file() else "edge-agent"


def user_name(uid: int) -> str:
    """A user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def person() -> str:
    """Who sits at this terminal, also behind sudo, as far as the system knows."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have them; KeyError before Python 3.13
        return f"user {os.geteuid()}"


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there. Raises OSError."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _what_to_do(path: Path) -> str:
    there = _visible(path)
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return (
            f"{there} is on a file system that may only be read here: dmesg says whether a drive failed; under systemd "
            "a folder outside /var/lib/edge-agent needs ReadWritePaths= (systemctl edit edge-agent)"
        )
    me, folder = os.geteuid(), there if there.is_dir() else there.parent
    owner = folder.stat().st_uid
    if owner in (0, me):
        return f"{whose_words(there)}. Give the folder to the agent's user, {give_back(me, folder)}, and it goes on"
    return f"{whose_words(there)}. Type: {as_user(owner, this_command())}"


def _visible(path: Path) -> Path:
    """The nearest folder above a file, or itself, of which this user may know whose it is."""
    path = path.absolute()
    while True:
        try:
            path.stat()
        except OSError:
            path = path.parent
        else:
            return path


def _shell_name(uid: int) -> str:
    name = user_name(uid)
    return shlex.quote(name if name != str(uid) else f"#{uid}")
