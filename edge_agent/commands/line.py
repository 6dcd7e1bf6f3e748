"""``edge-agent config`` and ``edge-agent output``: line.toml and the digital output, by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, By, Config, Json, name_of, say, settings_of
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.wiring.output import Step

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
    from edge_agent.errors import Unavailable
    from edge_agent.logs import configure_logs
    from edge_agent.wiring.output import fail_safe

    settings = settings_of(config)
    configure_logs("warning", settings.log.format)
    try:
        asyncio.run(fail_safe(settings))
    except DriverError as err:
        raise Unavailable(f"REJECT could not be confirmed: {err}", hint=f"{_what_rejects(settings)} now") from err
    typer.echo("REJECT written and read back")


def _what_rejects(settings: Settings) -> str:
    """What is left to keep the gate closed when nothing can be written any more, in words."""
    if settings.output.names_parts:
        return "the PLC's program has to keep the gate closed, as the heartbeat stands still"
    return "the remote I/O's own watchdog has to drop PASS"


@output_cli.command("test")
def output_test(
    config: Config = DEFAULT_CONFIG,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Yes: energise PASS. The gate will open.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say the steps; write nothing.")] = False,
    seconds: Annotated[float, typer.Option(min=2, max=120, help="How long the whole walk may take.")] = 30.0,
    watchdog: Annotated[
        bool, typer.Option("--watchdog", help="Only this: does PASS fall by itself when nobody writes any more?")
    ] = False,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Walk through the output, step by step, for the person at the gate; ends in REJECT, whatever happens.

    Each step is written, read back and refreshed. Only while no agent runs. 1 if a step was not as it must be. With
    --watchdog PASS is left standing and nothing is written until the remote I/O drops it; what a person saw of the gate
    then goes into line.toml, without which no part passes on a remote I/O that the agent cannot prove by itself.

    Example: edge-agent output test --config line.toml --yes

    Example: edge-agent output test --config line.toml --watchdog --by "Ada Lovelace" --yes
    """
    import asyncio

    from edge_agent.errors import Unavailable, UsageError
    from edge_agent.logs import configure_logs
    from edge_agent.people.roles import Action
    from edge_agent.tools.output_walk import plan, walk_output, walk_to_json

    settings = settings_of(config, writes_state=not dry_run)
    configure_logs("warning", settings.log.format)

    def tell(number: int, total: int, step: Step) -> None:
        typer.echo(f"{number}/{total}  {step.name:<15}  {step.expect}", err=json_)

    if dry_run:
        steps = plan(settings)
        for number, step in enumerate(steps, 1):
            tell(number, len(steps), step)
        say(json_, {"schema_version": 1, "steps": [{"name": step.name, "expect": step.expect} for step in steps]}, [])
        return
    if not yes:
        raise UsageError(
            "this switches PASS on, and the gate opens", hint="stand at the gate, then say it again with --yes"
        )
    if watchdog:
        by = by if user else name_of(by)  # it goes into line.toml, where a name is one line
        signed = signed_by(settings, Action.WATCHDOG, by=by, user=user, password_file=password_file)
        _try_watchdog(settings, config, signed.words, json_=json_)
        return
    walk = asyncio.run(walk_output(settings, seconds, tell))
    wrong = [f"{step.name}: {step.problem}" for step in walk.steps if step.problem]
    rest = "REJECT stands, read back" if walk.is_at_rest else "REJECT COULD NOT BE PROVEN"
    slowest = max((step.slowest_ms for step in walk.steps), default=0.0)
    say(json_, walk_to_json(walk), [*wrong, *([walk.problem] if walk.problem else []), f"{rest}; slowest {slowest} ms"])
    if not walk.is_at_rest:
        raise Unavailable(rest, hint=f"{_what_rejects(settings)}; look at its cable and power")
    raise typer.Exit(0 if walk.is_good else 1)


def _try_watchdog(settings: Settings, config: Path, by: str, *, json_: bool) -> None:
    """Let PASS fall, ask the person at the gate, write down what was seen."""
    import asyncio

    from edge_agent.errors import Unavailable
    from edge_agent.tools.output_walk import state_watchdog, try_watchdog

    typer.echo("PASS stands for 2 s; then nothing is written any more: look at the gate", err=True)
    fall = asyncio.run(try_watchdog(settings, by))
    facts = {"schema_version": 1, "problem": fall.problem or None, "fell_after_ms": fall.after_ms}
    if not fall.is_at_rest:
        raise Unavailable(
            f"PASS COULD NOT BE PROVEN OFF; {fall.problem or 'it fell by itself before'}",
            hint="look at the remote I/O's power and cable, and keep parts away from the gate",
        )
    if fall.problem:
        fix = (
            "set its watchdog, to drop all outputs when writes stop, and output.watchdog_ms to its time; then try again"
        )
        say(json_, {**facts, "ok": False}, [fall.problem, fix])
        raise typer.Exit(1)
    typer.echo(f"PASS fell {fall.after_ms:.0f} ms after the last write, and nobody had written REJECT", err=True)
    if not typer.confirm("Did the gate close by itself before this line came?", err=True):
        say(
            json_,
            {**facts, "ok": False},
            ["then PASS is not what opens it: look at the wires. Nothing was written down"],
        )
        raise typer.Exit(1)
    lines, why_not = asyncio.run(state_watchdog(settings, config, by))
    words = f"written into {config}" if not why_not else f"{why_not}. Put this below [output] yourself"
    say(json_, {**facts, "ok": True, "written": not why_not, "lines": lines.splitlines()}, [f"{words}:", lines])


@output_cli.command("acknowledge")
def output_acknowledge(
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """You have looked for a rejected part that was not seen leaving: the line may be READY again. 1 if none was missed.

    Example: edge-agent output acknowledge --by "A. Rossi"
    """
    from edge_agent.commands.shared import at_desk
    from edge_agent.people.roles import Action

    settings = settings_of(config)
    signed = signed_by(settings, Action.ACKNOWLEDGE, by=by, user=user, password_file=password_file)
    status = at_desk(config, lambda desk: desk.acknowledge(signed.words))
    part = status["acknowledged_part"]
    words = "no part was missed" if part is None else f"part {part} acknowledged"
    facts = {"schema_version": 1, "acknowledged_part": part, "state": status["state"], "health": status["health"]}
    say(json_, facts, [words, f"the line is {status['state']}: {status['health']}"])
    raise typer.Exit(1 if part is None else 0)


@config_cli.command("check")
def config_check(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Check line.toml: every key, type and range, the times, the proof of the watchdog; 78 with file:line if not.

    Example: edge-agent config check --config line.toml
    """
    settings = settings_of(config, drives_pass=True)
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
    from edge_agent.tools.systemd_unit import unit_drop_in

    typer.echo(unit_drop_in(settings_of(config)), nl=False)
