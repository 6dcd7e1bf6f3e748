"""``edge-agent status``: how the line stands now. Parse, call, print, exit code."""

from __future__ import annotations

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json, at_desk, printable, say, settings_of

__all__ = ["status_cli"]

status_cli = typer.Typer()


@status_cli.command()
def status(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Say whether the line is READY, what is DEGRADED, whether a person answers for parts, how far back images go.

    Exit code 1 if something is wrong.

    Example: edge-agent status --config line.toml
    """
    from edge_agent.tools.line_status import line_status

    told = at_desk(config, lambda desk: desk.status())
    found = line_status(settings_of(config), told)
    say(json_, found.to_json(), [*map(printable, found.lines())])
    raise typer.Exit(0 if found.is_well else 1)
