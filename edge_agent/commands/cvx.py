"""``edge-agent cvx``: the controller by hand. Parse, call, print, exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["cvx_cli"]

T = TypeVar("T")

cvx_cli = typer.Typer(
    no_args_is_help=True,
    help="The controller, by hand: through the agent that runs, or directly when none does.",
)

Yes = Annotated[bool, typer.Option("--yes", help="Yes: change something on the controller.")]


@cvx_cli.command("status")
def cvx_status(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Version, mode, program, clock; and how the agent stands, if one runs.

    Example: edge-agent cvx status --config line.toml
    """
    from edge_agent.tools.cvx import status

    facts = _run(config, status)
    for name, value in facts.items():
        if name == "schema_version" or value is None:
            continue
        for key, text in value.items() if isinstance(value, dict) else [("", value)]:
            typer.echo(f"{name} {key}: {text}" if key else f"{name}: {text}", err=json_)
    if json_:
        typer.echo(json.dumps(facts))


@cvx_cli.command("trigger")
def cvx_trigger(
    number: Annotated[str, typer.Argument(help="1 to 4, or all.")] = "1",
    config: Config = DEFAULT_CONFIG,
    *,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Trigger: the controller images what stands there now.

    Example: edge-agent cvx trigger 1 --yes
    """
    from edge_agent.errors import UsageError

    if number not in ("1", "2", "3", "4", "all"):
        raise UsageError(f"the trigger is 1, 2, 3, 4 or all (got {number!r})")
    _send(config, "TA" if number == "all" else f"T{number}", yes=yes, json_=json_)


@cvx_cli.command("program")
def cvx_program(
    number: Annotated[int | None, typer.Argument(min=0, max=999, help="Switch to it; without it: say which.")] = None,
    config: Config = DEFAULT_CONFIG,
    *,
    card: Annotated[int, typer.Option(min=1, max=2, help="The SD card it is on.")] = 1,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Read the program, or switch it. Settings of the controller that were not saved are lost.

    Example: edge-agent cvx program 12 --yes
    """
    _send(config, "PR" if number is None else f"PW,{card},{number:03d}", yes=yes, json_=json_)


@cvx_cli.command("send")
def cvx_send(
    line: Annotated[str, typer.Argument(help="A command as the controller's manual writes it.", metavar="LINE")],
    config: Config = DEFAULT_CONFIG,
    *,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Send any command and print the reply.

    Example: edge-agent cvx send "EC,hello"
    """
    _send(config, line, yes=yes, json_=json_)


@cvx_cli.command("listen")
def cvx_listen(
    config: Config = DEFAULT_CONFIG,
    *,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many lines.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after this time.")] = None,
    json_: Json = False,
) -> None:
    """Print result lines as they come; Ctrl-C ends it. 1 if none came.

    Example: edge-agent cvx listen --count 10
    """
    from edge_agent.tools.cvx import listen

    def say(fields: tuple[str, ...]) -> None:
        typer.echo(json.dumps({"schema_version": 1, "fields": fields}) if json_ else ",".join(fields))

    heard = _run(config, lambda settings: listen(settings, most=count, seconds=seconds, on_line=say))
    if not heard:
        typer.echo("no result line came", err=True)
    raise typer.Exit(0 if heard else 1)


@cvx_cli.command("commands")
def cvx_commands(*, json_: Json = False) -> None:
    """Every command that is known, with what it does; those with a star want --yes.

    Example: edge-agent cvx commands
    """
    from edge_agent.wiring.controller import controller_commands

    rows = controller_commands().values()
    for row in rows:
        typer.echo(f"{row.name:<4}{'*' if row.changes else ' '} {row.meaning}", err=json_)
    if json_:
        facts = [{"name": row.name, "meaning": row.meaning, "changes": row.changes} for row in rows]
        typer.echo(json.dumps({"schema_version": 1, "commands": facts}))


def _send(config: Path, line: str, *, yes: bool, json_: bool) -> None:
    from edge_agent.errors import UsageError
    from edge_agent.tools.cvx import changes_something, check_name, send

    check_name(line)
    if changes_something(line) and not yes:
        raise UsageError(
            f"{line.split(',', 1)[0]} changes something on the controller",
            hint="say it again with --yes if you mean it",
        )
    answer = _run(config, lambda settings: send(settings, line))
    typer.echo(",".join((line.split(",", 1)[0], *answer.values)), err=json_)
    if json_:
        typer.echo(json.dumps(answer.to_json()))


def _run(config: Path, work: Callable[[Settings], Coroutine[object, object, T]]) -> T:
    from edge_agent.logs import configure_logs
    from edge_agent.settings import load_settings

    settings = load_settings(config)
    configure_logs("warning", settings.log.format)
    import asyncio

    return asyncio.run(work(settings))
