"""``edge-agent users``: who may sign on this line, and for what. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json, say, settings_of, who
from edge_agent.commands.signing import As, PasswordFile, password_of, signer_of
from edge_agent.people.roles import Role  # noqa: TC001 - typer reads it at run time

if TYPE_CHECKING:
    from edge_agent.people.signing import Person
    from edge_agent.people.users import User, Users

__all__ = ["users_cli"]

users_cli = typer.Typer(
    no_args_is_help=True, help="Users of this line: who may sign for a review, a limit, a bundle, a bypass."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user, by the name that stands in the records.")]
NewPasswordFile = Annotated[
    Path | None,
    typer.Option("--new-password-file", metavar="FILE", help="The user's new password, alone on the only line."),
]
_NEW = "New password of {}"


@users_cli.command("add")
def users_add(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    *,
    role: Annotated[Role, typer.Option(help="What this person is on the line.")],
    user: As = None,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    json_: Json = False,
) -> None:
    """Add a user. An engineer signs for it; the first user is an engineer, and added by whoever owns the state folder.

    Example: edge-agent users add "A. Weber" --role engineer

    Example: edge-agent users add "M. Rossi" --role operator --as "A. Weber"
    """
    from edge_agent.tools.user_changes import UserChange, change_users

    settings = settings_of(config, writes_state=True)

    def added(users: Users) -> Users:
        return users.with_added(name, role, password_of(new_password_file, _NEW.format(name), confirm=True))

    def signer(users: Users) -> Person:
        return _owner(users) if user is None and not users.users else signer_of(users, user, password_file)

    _say(*change_users(settings, UserChange("add", name, added), signer), json_)


@users_cli.command("list")
def users_list(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """All users with their roles; 1 if there is none.

    Example: edge-agent users list
    """
    from edge_agent.people.users import read_users, users_path

    users = read_users(users_path(settings_of(config).store.journal)).users
    lines = [_line(user) for user in users] or ["no users: whoever has the page's token, or this PC, signs by a name"]
    say(json_, {"schema_version": 1, "users": [_facts(user) for user in users]}, lines)
    raise typer.Exit(0 if users else 1)


@users_cli.command("role")
def users_role(
    name: Name,
    role: Annotated[Role, typer.Argument(help="What this person is from now on.")],
    config: Config = DEFAULT_CONFIG,
    *,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Give a user another role. Whoever is signed in under that name is signed out.

    Example: edge-agent users role "M. Rossi" quality --as "A. Weber"
    """
    from edge_agent.tools.user_changes import UserChange, change_users

    settings = settings_of(config, writes_state=True)
    wanted = UserChange("role", name, lambda users: users.with_role(name, role))
    _say(*change_users(settings, wanted, lambda users: signer_of(users, user, password_file)), json_)


@users_cli.command("password")
def users_password(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    *,
    user: As = None,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Nobody can sign any more: the state folder's owner does it, on record.")
    ] = False,
    json_: Json = False,
) -> None:
    """Give a user another password: users their own, an engineer everybody's. It signs that user out.

    Example: edge-agent users password "M. Rossi" --as "M. Rossi"
    """
    from edge_agent.tools.user_changes import UserChange, change_users

    settings = settings_of(config, writes_state=True)

    def changed(users: Users) -> Users:
        return users.with_password(name, password_of(new_password_file, _NEW.format(name), confirm=True))

    def signer(users: Users) -> Person:
        return _owner(users) if unsigned else signer_of(users, user, password_file)

    _say(*change_users(settings, UserChange("password", name, changed), signer), json_)


@users_cli.command("disable")
def users_disable(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    *,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Switch a user off, at once also where signed in. Users are not removed: what they signed stays theirs.

    Example: edge-agent users disable "M. Rossi" --as "A. Weber"
    """
    from edge_agent.tools.user_changes import UserChange, change_users

    settings = settings_of(config, writes_state=True)

    wanted = UserChange("disable", name, lambda users: users.with_disabled(name, is_disabled=True))
    _say(*change_users(settings, wanted, lambda users: signer_of(users, user, password_file)), json_)


@users_cli.command("enable")
def users_enable(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    *,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Switch a user on again.

    Example: edge-agent users enable "M. Rossi" --as "A. Weber"
    """
    from edge_agent.tools.user_changes import UserChange, change_users

    settings = settings_of(config, writes_state=True)

    wanted = UserChange("enable", name, lambda users: users.with_disabled(name, is_disabled=False))
    _say(*change_users(settings, wanted, lambda users: signer_of(users, user, password_file)), json_)


def _owner(_users: Users) -> Person:
    """Whoever owns the state folder: nothing proves who that is."""
    from edge_agent.people.signing import Person

    return Person(who(None), None, "this PC")


def _say(user: User, via: str, json_: bool) -> None:
    say(json_, {"schema_version": 1, "user": _facts(user), "recorded_via": via}, [_line(user), "in the journal"])


def _facts(user: User) -> dict[str, object]:
    return {"name": user.name, "role": str(user.role), "is_disabled": user.is_disabled}


def _line(user: User) -> str:
    return f"{user.name}: {user.role}{', switched off' * user.is_disabled}"
