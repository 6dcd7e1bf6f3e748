"""``edge-agent reviews``: how often the people agree who review parts. Parse, call, print, exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Config, JournalFile, Json, journal_of, printable, say

if TYPE_CHECKING:
    from edge_agent.report.reviewers import Reviewers

__all__ = ["reviews_cli"]

reviews_cli = typer.Typer()
_NAMED = 20


@reviews_cli.command("reviews")
def reviews(config: Config = DEFAULT_CONFIG, *, journal: JournalFile = None, json_: Json = False) -> None:
    """How often people agree over parts that two of them read, who was overturned, and which parts are disputed.

    Out of this journal and the closed ones beside it. 1 where people differ over a part and nobody has decided.

    Example: edge-agent reviews --config line.toml

    Example: edge-agent reviews --config line.toml --json
    """
    from edge_agent.report.reviewers import reviewers
    from edge_agent.store.scored import reviews_of

    read = reviews_of(journal_of(config, journal))
    found = reviewers(read.words)
    notes = [f"{read.missing}, the journal before, is not there: what people said in it is not counted"]
    say(json_, {**found.to_json(), "missing": read.missing or None}, [*_lines(found), *notes[: bool(read.missing)]])
    raise typer.Exit(1 if found.disputed else 0)


def _lines(found: Reviewers) -> list[str]:
    from edge_agent.report.reviewers import LEAST

    if not found.people:
        return ["nobody has reviewed a part"]
    told = found.to_json()
    lines = [f"{'reviewer':<24} {'reviews':>7}  agreed in second readings        overturned by who decided"]
    lines += [
        f"{printable(one['name']):<24.24} {one['reviews']:>7}  {_words(one['agreed']):<31}  {_words(one['overturned'])}"
        for one in told["reviewers"]
    ]
    lines += [
        f"{printable(two['one'])} and {printable(two['other'])}: {_words(two['agreed'])}"
        + ("" if two["kappa"] is None else f", Cohen's kappa {two['kappa']:.2f}")
        for two in told["between"]
    ]
    lines.append(_all_words(found))
    if found.disputed:
        newest = ", ".join(map(str, found.disputed[-_NAMED:]))
        lines.append(f"disputed, nobody has decided: {len(found.disputed)} parts, the newest {newest}")
    return [*lines, f"under {LEAST} second readings nothing is said of a person; bounds are of 95 %"]


def _all_words(found: Reviewers) -> str:
    if found.read_twice is None:
        return "no part was read twice: read_twice_percent of [review] in line.toml asks for it"
    rate = found.read_twice
    said = f"read twice: {rate.of} parts, the same word of {rate.seen}"
    if found.kappa is None or found.kappa_bounds is None:
        return f"{said}; too few, or too much alike, for a kappa"
    low, high = found.kappa_bounds
    return f"{said}; Fleiss' kappa {found.kappa:.2f} ({low:.2f} to {high:.2f})"


def _words(rate: dict[str, Any]) -> str:
    if not rate["of"]:
        return "-"
    counted = f"{rate['seen']} of {rate['of']}"
    if rate["bounds_95"] is None:
        return f"{counted}, too few to say"
    low, high = rate["bounds_95"]
    return f"{counted} ({100 * low:.0f} to {100 * high:.0f} %)"
