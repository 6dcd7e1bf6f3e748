"""``edge-agent results``: what receivers of results did not get. Parse, call, print, exit code."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, Json, say, settings_of

if TYPE_CHECKING:
    from edge_agent.settings import Settings

__all__ = ["results_cli"]

results_cli = typer.Typer(no_args_is_help=True, help="Results for other systems: what waits, what was set aside.")


class _Receiver(StrEnum):
    MQTT = "mqtt"
    SPARKPLUG = "sparkplug"
    WEBHOOK = "webhook"
    FLEET = "fleet"


Of = Annotated[_Receiver | None, typer.Option("--receiver", help="This one alone.")]


@results_cli.command("list")
def results_list(config: Config = DEFAULT_CONFIG, *, receiver: Of = None, json_: Json = False) -> None:
    """How many results wait for each receiver, and which it did not get, with the reason; 1 if there is one.

    Example: edge-agent results list --config line.toml --receiver webhook
    """
    from edge_agent.store.aside import again_file, aside_file, read_aside
    from edge_agent.store.receivers import receiver_status

    settings = settings_of(config)
    journal, lines, facts, number = settings.store.journal, [], [], 0
    for name in _named(settings, receiver):
        stands = receiver_status(journal, name)
        aside, unreadable = read_aside(aside_file(journal, name))
        again, _ = read_aside(again_file(journal, name))
        waiting = "nothing was sent yet" if stands.waiting is None else f"{stands.waiting} rows of the journal wait"
        lines.append(f"{name}: {stands.problem or waiting}, {len(aside)} set aside, {len(again)} to be sent again")
        lines += [f"  {one.words:<16} {one.at_utc}  {_printable(one.why)}" for one in aside]
        facts.append(
            {
                "receiver": name,
                "waiting": stands.waiting,
                "problem": stands.problem,
                "set_aside": [asdict(one) for one in aside],
                "to_be_sent_again": len(again),
                "unreadable_lines": unreadable,
            }
        )
        number += len(aside)
    say(json_, {"schema_version": 1, "receivers": facts}, lines)
    raise typer.Exit(1 if number else 0)


@results_cli.command("again")
def results_again(config: Config = DEFAULT_CONFIG, *, receiver: Of = None, json_: Json = False) -> None:
    """Send again what was set aside, once the receiver takes it; the running agent does it. 1 if there is nothing.

    Example: edge-agent results again --config line.toml --receiver webhook
    """
    from edge_agent.store.aside import ask_again

    settings = settings_of(config, writes_state=True)
    asked = {name: ask_again(settings.store.journal, name) for name in _named(settings, receiver)}
    lines = [f"{name}: {number} to be sent again" for name, number in asked.items()]
    say(json_, {"schema_version": 1, "to_be_sent_again": asked}, lines)
    raise typer.Exit(0 if any(asked.values()) else 1)


@results_cli.command("put-away")
def results_put_away(
    config: Config = DEFAULT_CONFIG,
    *,
    receiver: Annotated[_Receiver, typer.Option("--receiver", help="Whose.")],
    json_: Json = False,
) -> None:
    """Mark the results that were set aside as dealt with. Their file is kept, with the time in its name.

    Exit code 1 if there is none.

    Example: edge-agent results put-away --config line.toml --receiver webhook
    """
    from edge_agent.store.aside import put_away

    kept = put_away(settings_of(config, writes_state=True).store.journal, receiver.value)
    facts = {"schema_version": 1, "file": None if kept is None else str(kept)}
    say(json_, facts, ["nothing is set aside" if kept is None else f"kept: {kept}"])
    raise typer.Exit(1 if kept is None else 0)


def _named(settings: Settings, receiver: _Receiver | None) -> list[str]:
    """The receivers that are asked about: one, or those of line.toml."""
    from edge_agent.store.receivers import named_receivers

    return named_receivers(settings) if receiver is None else [receiver.value]


def _printable(text: str) -> str:
    """No control bytes of a receiver on a person's terminal."""
    return text if text.isprintable() else json.dumps(text)
