"""``edge-agent challenge``: seeded reject samples through the chain. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import typer

from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    By,
    Config,
    Json,
    Language,
    PaperSize,
    in_language,
    progress_bars,
    say,
    settings_of,
    who,
)

__all__ = ["challenge_cli"]

challenge_cli = typer.Typer()


@challenge_cli.command()
def challenge(
    folder: Annotated[
        Path | None, typer.Argument(help="Images of reject samples; or a folder with reject/ and good/ in it.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    *,
    parts: Annotated[
        int | None, typer.Option(min=1, max=50, help="Instead: the next so many parts of the running line are samples.")
    ] = None,
    within_s: Annotated[float, typer.Option(min=1, max=3600, help="With --parts: how long to wait for them.")] = 600,
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: By = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to sign.")] = None,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """Seeded reject samples must all be rejected; 1 if one is not. The journal keeps the record.

    Example: edge-agent challenge samples/ --config line.toml --by "Ada Lovelace"

    Example: edge-agent challenge --parts 3 --config line.toml
    """
    import asyncio

    from edge_agent.bundles.line_bundles import entry_of, inspector_of
    from edge_agent.errors import UsageError
    from edge_agent.logs import configure_logs
    from edge_agent.tools.challenge import challenge_images, challenge_line, record
    from edge_agent.tools.challenge_report import write_challenge_report

    if (folder is None) == (parts is None):
        raise UsageError("a folder of samples, or --parts", hint="edge-agent challenge samples/ --config line.toml")
    settings = settings_of(config, writes_state=True)
    configure_logs("warning", settings.log.format)
    if folder is not None:
        inspector = inspector_of(settings, entry_of(settings, program, camera))
        with progress_bars() as progress:
            found = challenge_images(folder, inspector, who(by), progress)
    else:
        found = asyncio.run(challenge_line(settings, parts or 0, who(by), within_s, lambda w: typer.echo(w, err=True)))
    via = asyncio.run(record(settings, found))
    if report:
        with in_language(language, settings):
            write_challenge_report(report, found, settings, paper=paper)
    facts = {**found.to_json(), "recorded_via": via, "samples": [s.to_json() for s in found.samples]}
    say(json_, facts, [*found.lines(), "recorded in the journal", *([f"report: {report}"] if report else [])])
    raise typer.Exit(0 if found.is_passed else 1)
