"""Who signs at a terminal: a user of this line with a password, or, where it has no users, a name that is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import who

if TYPE_CHECKING:
    from edge_agent.people.roles import Action
    from edge_agent.people.signing import Person, Signed
    from edge_agent.people.users import Users
    from edge_agent.settings import Settings

__all__ = ["As", "PasswordFile", "password_of", "person_of", "signed_by", "signer_of"]

As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Sign as this user, by password; needed once this line has users."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="The password of --as, alone on the only line of a file."),
]


def signed_by(
    settings: Settings, action: Action, *, by: str | None, user: str | None, password_file: Path | None, why: str = ""
) -> Signed:
    """The signature for an action of a command that changes the line. Raises NotPermitted, UsageError, ConfigError."""
    from edge_agent.errors import NotPermitted, UsageError
    from edge_agent.people.signing import Person, sign
    from edge_agent.people.users import read_users, users_path

    users = read_users(users_path(settings.store.journal))
    if user is not None and by is not None:
        raise UsageError("--as and --by are two signatures", hint="a user signs with --as alone")
    if user is not None:
        return sign(person_of(users, user, password_file), action, why)
    if users.users:
        raise NotPermitted(
            "this line has users, and one of them has to sign for this", hint="--as NAME; the password is asked for"
        )
    return sign(Person(who(by), None, "this PC"), action, why)


def person_of(users: Users, name: str, password_file: Path | None) -> Person:
    """The user of that name, once the password was right. Raises NotPermitted, UsageError, ConfigError."""
    from edge_agent.errors import NotPermitted, UsageError
    from edge_agent.people.passwords import fits, nobodys
    from edge_agent.people.signing import Person

    if not users.users:
        raise UsageError("this line has no users, so nobody can sign with --as", hint="edge-agent users add")
    password = password_of(password_file, f"Password of {name}")
    user = users.find(name)
    is_right = fits(nobodys() if user is None or user.is_disabled else user.password, password)
    if user is None or user.is_disabled or not is_right:
        raise NotPermitted("the name or the password is wrong, or this user is switched off")
    return Person(user.name, user.role, "password")


def signer_of(users: Users, name: str | None, password_file: Path | None) -> Person:
    """As ``person_of``, where somebody has to sign. Raises NotPermitted without a name."""
    from edge_agent.errors import NotPermitted

    if name is None and users.users:
        raise NotPermitted("an engineer of this line has to sign for this", hint="--as NAME; the password is asked for")
    return person_of(users, name or "", password_file)


def password_of(file: Path | None, prompt: str, *, confirm: bool = False) -> str:
    """A password: from a file, else asked for at the terminal. Raises UsageError, ConfigError."""
    import sys

    from edge_agent.errors import UsageError
    from edge_agent.settings import read_password

    if file is not None:
        return read_password(file, what="the password")
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the password", hint="name a file with it: --password-file")
    asked: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return asked
