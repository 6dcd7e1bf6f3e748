"""``edge-agent journal timings``: what parts cost, step by step. Parse, call, print, exit code."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, JournalFile, Json, journal_of, printable, say

if TYPE_CHECKING:
    from edge_agent.store.timings import Spread, Timings

__all__ = ["timings_cli"]

timings_cli = typer.Typer()


@timings_cli.command("timings")
def journal_timings(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    most: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of the newest this many.")] = 1000,
    json_: Json = False,
) -> None:
    """How long parts that passed took, step by step, from the running line's own rows. 1 if there is none.

    Example: edge-agent journal timings --config line.toml
    """
    from edge_agent.store.timings import timings_of

    found = timings_of(journal_of(config, journal), most)
    say(json_, {"schema_version": 1, **asdict(found)}, _lines(found))
    raise typer.Exit(0 if found.parts else 1)


def _lines(found: Timings) -> list[str]:
    if not found.parts:
        return ["no part has passed yet"]
    width = max(map(len, [*found.steps, *(f"  {name}" for name in found.stages)]))
    head = f"{'':{width}}  {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8}  ms"
    lines = [f"the newest {found.parts} parts whose PASS reached the line", head]
    lines += [_line(name, spread, width) for name, spread in found.steps.items()]
    lines.append("the stages of one image's inspection:")
    return lines + [_line(f"  {printable(name)}", spread, width) for name, spread in found.stages.items()]


def _line(name: str, spread: Spread, width: int) -> str:
    numbers = " ".join(f"{value:8.1f}" for value in (spread.p50_ms, spread.p90_ms, spread.p99_ms, spread.max_ms))
    return f"{name:{width}}  {numbers}"
