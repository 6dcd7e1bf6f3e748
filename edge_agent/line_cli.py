"""``edge-agent config`` and ``edge-agent output``: line.toml and the digital output, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from edge_agent.base_cli import DEFAULT_CONFIG, Config, Json, say, settings_of

__all__ = ["config_cli", "output_cli"]

output_cli = typer.Typer(no_args_is_help=True, help="The digital output, by hand.")
config_cli = typer.Typer(no_args_is_help=True, help="line.toml: check it, print its schema.")


@output_cli.command("fail-safe")
def output_fail_safe(config: Config = DEFAULT_CONFIG) -> None:
    """Write REJECT to the output and read it back (systemd's ExecStopPost).

    Example: edge-agent output fail-safe --config line.toml
    """
    import asyncio

    from drivers.base import DriverError
    from edge_agent.app import fail_safe
    from edge_agent.errors import Unavailable
    from edge_agent.logs import configure_logs

    settings = settings_of(config)
    configure_logs("warning", settings.log.format)
    try:
        asyncio.run(fail_safe(settings))
    except DriverError as err:
        raise Unavailable(
            f"REJECT could not be confirmed: {err}", hint="the remote I/O's own watchdog drops PASS in this case"
        ) from err
    typer.echo("REJECT written and read back")


@config_cli.command("check")
def config_check(config: Config = Path("line.toml"), *, json_: Json = False) -> None:
    """Check line.toml: every key, type and range, and that the times fit; 78 with file:line if not.

    Example: edge-agent config check --config line.toml
    """
    settings = settings_of(config)
    say(
        json_,
        {"schema_version": 1, "config": str(config), "ok": True, "line": settings.line.name},
        [f"{config}: ok ({settings.line.name}, {len(settings.bundle)} bundle(s))"],
    )


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of line.toml, for an editor.

    Example: edge-agent config schema > line.schema.json
    """
    from edge_agent.settings import settings_json_schema

    typer.echo(json.dumps(settings_json_schema(), indent=2))


@config_cli.command("unit")
def config_unit(config: Config = DEFAULT_CONFIG) -> None:
    """Print a systemd drop-in: the peers, the device and the port that this line needs, and no more.

    Example: edge-agent config unit --config line.toml > /etc/systemd/system/edge-agent.service.d/line.conf
    """
    from edge_agent.unit import unit_drop_in

    typer.echo(unit_drop_in(settings_of(config)), nl=False)
