"""The users of a line, in one file beside its journal: replaced as a whole, mode 0600, with hashes of passwords alone.

A name is never given to another person: a user is switched off, not removed, so that what was signed stays theirs.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.timing import monotonic_s
from edge_agent.errors import AlreadyRunning, ConfigError, UsageError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.people.passwords import check_password, hashed
from edge_agent.people.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "NAME_MAX",
    "Changing",
    "User",
    "Users",
    "UsersFile",
    "changing_users",
    "check_name",
    "read_users",
    "same_name",
    "users_path",
]

NAME_MAX = 48
_MOST_USERS = 500
_MOST_BYTES = 1 << 20
_WAITS_S, _LOOK_EVERY_S = 5.0, 0.05


class User(BaseModel):
    """One user. ``stamp`` is another one after each change: a session that began before it has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
    role: Role
    password: Annotated[str, Field(pattern=r"^\$argon2id\$[!-~]{20,400}$")] = Field(repr=False)
    is_disabled: bool = False
    stamp: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Users(BaseModel):
    """All users of a line, by name. A value: what changes it gives another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    users: Annotated[tuple[User, ...], Field(max_length=_MOST_USERS)] = ()

    def find(self, name: str) -> User | None:
        """The user of that name, in whatever letters it was typed; also one who is switched off."""
        return next((user for user in self.users if same_name(user.name) == same_name(name)), None)

    def known(self, name: str) -> User:
        """As ``find``. Raises UsageError where there is none."""
        user = self.find(name)
        if user is None:
            raise UsageError(f"there is no user {name!a}", hint="edge-agent users list")
        return user

    def with_added(self, name: str, role: Role, password: str) -> Users:
        """With one more. Raises UsageError."""
        check_name(name)
        if self.find(name) is not None:
            raise UsageError(f"{name} is a user already", hint="a name stays with its person: take another one")
        if not self.users and role is not Role.ENGINEER:
            raise UsageError("the first user is an engineer: somebody has to add the others", hint="--role engineer")
        if len(self.users) >= _MOST_USERS:
            raise UsageError(f"a line has {_MOST_USERS} users at most")
        check_password(password, name)
        user = User(name=name, role=role, password=hashed(password), stamp=_stamp())
        return Users(users=tuple(sorted((*self.users, user), key=lambda one: same_name(one.name))))

    def with_role(self, name: str, role: Role) -> Users:
        """With another role for a user. Raises UsageError."""
        return self._changed(name, lambda user: user.model_copy(update={"role": role}))

    def with_password(self, name: str, password: str) -> Users:
        """With another password for a user. Raises UsageError."""
        check_password(password, name)
        kept = hashed(password)
        return self._changed(name, lambda user: user.model_copy(update={"password": kept}))

    def with_disabled(self, name: str, *, is_disabled: bool) -> Users:
        """With a user switched off, or on again. Raises UsageError."""
        return self._changed(name, lambda user: user.model_copy(update={"is_disabled": is_disabled}))

    def _changed(self, name: str, change: Callable[[User], User]) -> Users:
        old = self.known(name)
        new = change(old).model_copy(update={"stamp": _stamp()})
        found = Users(users=tuple(new if user is old else user for user in self.users))
        if not any(user.role is Role.ENGINEER and not user.is_disabled for user in found.users):
            raise UsageError(
                f"{old.name} is the last engineer: nobody could change users after that", hint="add another one first"
            )
        return found


def check_name(name: str) -> None:
    """Raise UsageError for what is no user's name."""
    if not 0 < len(name) <= NAME_MAX or not name.isprintable() or name != name.strip() or set(name) & set("()"):
        raise UsageError(f"{name!a} is no name of a user", hint=f"1 to {NAME_MAX} characters, without ( and )")


def users_path(journal: Path) -> Path:
    """Where the users of the line with this journal are kept, by whatever path the journal is named."""
    journal = journal.resolve()
    return journal.with_name(journal.name + ".users")


def read_users(path: Path) -> Users:
    """The users in the file; none where there is no file. Raises ConfigError for one that is damaged or open to all."""
    hint = "nobody can sign until it is mended: put the file back from a backup"
    try:
        mode = path.stat().st_mode
        content = strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES)
        users = Users.model_validate(content)
    except FileNotFoundError:
        return Users()
    except PermissionError:
        raise
    except (OSError, ValidationError) as err:
        why = err.strerror if isinstance(err, OSError) else "it is not what edge-agent users writes"
        raise ConfigError(f"{path}: the users cannot be read: {why}", hint=hint) from err
    except ValueError as err:
        raise ConfigError(f"{path}: the users cannot be read: {err}", hint=hint) from err
    if mode & 0o077:
        raise ConfigError(f"{path}: others on this PC may read or write the users", hint=f"chmod 0600 {path}")
    if not users.users:
        raise ConfigError(f"{path}: the file names no user", hint=hint)
    return users


@dataclass(slots=True)
class UsersFile:
    """The users as the file has them now: read again when it was replaced."""

    path: Path
    _seen: tuple[int, ...] | None = None
    _users: Users = field(default_factory=Users)

    def now(self) -> Users:
        """The users. Raises ConfigError, PermissionError."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._users = None, Users()
            return self._users
        seen = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if seen != self._seen:
            # Read first: a file that cannot be read is not taken for the one before.
            self._users = read_users(self.path)
            self._seen = seen
        return self._users


@dataclass(slots=True)
class Changing:
    """The users while this process alone may change them."""

    path: Path
    users: Users

    def write(self, users: Users) -> None:
        """Replace the file in one step. Raises OSError: then the one before still stands."""
        data = users.model_dump_json(indent=1).encode() + b"\n"
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        finally:
            Path(name).unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.users = users


@contextmanager
def changing_users(path: Path) -> Iterator[Changing]:
    """The users, for one process at a time: others wait some seconds. Raises AlreadyRunning, ConfigError, OSError.

    Whoever types a new password at a terminal holds them meanwhile, however long that takes.
    """
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _hold(descriptor)
        yield Changing(path, read_users(path))
    finally:
        os.close(descriptor)


def _hold(descriptor: int) -> None:
    until_mono_s = monotonic_s() + _WAITS_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic_s() > until_mono_s:
                raise AlreadyRunning(
                    "somebody else is changing the users of this line",
                    hint="end the edge-agent users command that waits for a password at another terminal, or try again",
                ) from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def same_name(name: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def _stamp() -> str:
    return secrets.token_hex(8)
