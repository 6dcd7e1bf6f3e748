"""``edge-agent bypass``: a person answers for the parts for some minutes. Parse, call, print, exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json, at_desk, say, settings_of, who
from edge_agent.commands.signing import As, PasswordFile, person_of, signed_by

if TYPE_CHECKING:
    from edge_agent.errors import UsageError
    from edge_agent.settings import Settings

__all__ = ["bypass_cli"]

bypass_cli = typer.Typer(
    no_args_is_help=True,
    help="For some minutes a person answers for the parts, not the inspection. Every part says so in the journal.",
)

By = Annotated[
    str | None,
    typer.Option("--by", help="Your name: it stands in the journal and on the page. With users, --as instead."),
]


@bypass_cli.command("begin")
def bypass_begin(
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Annotated[str, typer.Option("--why", help="Why, and who looks at the parts meanwhile.")],
    minutes: Annotated[float, typer.Option(min=0.01, max=15, help="It ends by itself after this time.")] = 15.0,
    yes: Annotated[bool, typer.Option("--yes", help="Yes: parts pass that the inspection would reject.")] = False,
    json_: Json = False,
) -> None:
    """Set the inspection's own opinion aside in the running agent. Late, stale and unproven parts are rejected as ever.

    Example: edge-agent bypass begin --by "A. Rossi" --why "lamp replaced, parts are looked at by hand" --yes
    """
    from edge_agent.errors import UsageError
    from edge_agent.people.roles import Action

    if not yes:
        raise UsageError(
            "in bypass parts pass that the inspection would reject",
            hint="say it again with --yes if somebody looks at every part meanwhile",
        )
    settings = settings_of(config)
    if user is None and by is None and not _has_users(settings):
        raise _nameless()
    signed = signed_by(settings, Action.BYPASS, by=by, user=user, password_file=password_file, why=why)
    _say(at_desk(config, lambda desk: desk.bypass("begin", signed.words, why, minutes * 60)), json_)


@bypass_cli.command("end")
def bypass_end(
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Give the parts back to the inspection now. Anybody may: no role is asked for.

    Example: edge-agent bypass end --by "A. Rossi"
    """
    from edge_agent.people.users import read_users, users_path

    if user is None and by is None:
        raise _nameless()
    if user is None:
        name = who(by)
    else:
        users = read_users(users_path(settings_of(config).store.journal))
        name = str(person_of(users, user, password_file))
    _say(at_desk(config, lambda desk: desk.bypass("end", name)), json_)


@bypass_cli.command("status")
def bypass_status(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Whether somebody answers for the parts now, who, and for how long; 1 if nobody does.

    Example: edge-agent bypass status
    """
    if _say(at_desk(config, lambda desk: desk.status()), json_) is None:
        raise typer.Exit(1)


def _say(status: dict[str, object], json_: bool) -> object:
    """Say how the line stands; its bypass, None where there is none."""
    bypass = status["bypass"]
    words = ["no bypass: the inspection decides"]
    if isinstance(bypass, dict):
        words = [f"BYPASS by {bypass['by']}, {bypass['left_s'] / 60:.1f} min left: {bypass['why']}"]
    words.append(f"the line is {status['state']}: {status['health']}")
    say(json_, {"schema_version": 1, "bypass": bypass, "state": status["state"], "health": status["health"]}, words)
    return bypass


def _has_users(settings: Settings) -> bool:
    from edge_agent.people.users import read_users, users_path

    return bool(read_users(users_path(settings.store.journal)).users)


def _nameless() -> UsageError:
    from edge_agent.errors import UsageError

    return UsageError("a bypass has a name", hint='--by "YOUR NAME"; once this line has users: --as NAME')
