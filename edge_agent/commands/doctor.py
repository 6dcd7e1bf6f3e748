"""``edge-agent doctor``: is this line fit to judge parts? Parse, call, print, exit code."""

from __future__ import annotations

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json, progress_bars, say, settings_of

__all__ = ["doctor_cli"]

doctor_cli = typer.Typer()


@doctor_cli.command()
def doctor(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Examine this PC, the controller, the output and the bundles; 1 where a check fails, each with what to do.

    Drives nothing but REJECT. While an agent runs, controller and output are asked through it.

    Example: edge-agent doctor --config line.toml
    """
    import asyncio
    from contextlib import nullcontext

    from edge_agent.logs import configure_logs
    from edge_agent.tools.doctor import Site, examine
    from edge_agent.wiring.simulation import simulated_peers

    settings = settings_of(config)
    configure_logs("error", settings.log.format)
    is_simulated = settings.controller.kind == "simulated"
    peers = simulated_peers(settings, config, flags=("--quiet",)) if is_simulated else nullcontext(settings)
    with peers as reached, progress_bars() as progress:
        found = asyncio.run(examine(Site(config, reached), progress))
    say(json_, found.to_json(), found.lines())
    raise typer.Exit(0 if found.is_fit else 1)
