"""``edge-agent challenge``: known samples through the chain, and how each scored. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

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
)
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from edge_agent.people.signing import Signed
    from edge_agent.settings import SampleSettings, Settings
    from edge_agent.tools.challenge import Challenge

__all__ = ["challenge_cli"]

_SHOW = "show"


class _ShowByDefault(TyperGroup):
    """``challenge samples/`` and ``challenge --parts 3`` are ``challenge show``: what people type every shift."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        is_said = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_said else [_SHOW, *args])


challenge_cli = typer.Typer(
    cls=_ShowByDefault,
    help="Known samples: the rejects among them must be rejected, the golden ones must pass.\n\n"
    "Example: edge-agent challenge --samples all --config line.toml",
)


@challenge_cli.command(_SHOW)
def challenge(
    folder: Annotated[
        Path | None, typer.Argument(help="Images of reject samples; or a folder with reject/ and good/ in it.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    *,
    parts: Annotated[
        int | None, typer.Option(min=1, max=50, help="Instead: the next so many parts of the running line are samples.")
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Instead: these samples of line.toml on the running line; or all."),
    ] = None,
    within_s: Annotated[
        float, typer.Option(min=1, max=3600, help="With --parts and --samples: how long to wait for them.")
    ] = 600,
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to sign.")] = None,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """Show known samples; 1 if one is not judged as it must be. The journal keeps the record.

    The word show may be left out.

    Example: edge-agent challenge samples/ --config line.toml --by "Ada Lovelace"

    Example: edge-agent challenge --parts 3 --config line.toml

    Example: edge-agent challenge --samples all --config line.toml
    """
    import asyncio
    from dataclasses import replace

    from edge_agent.errors import UsageError
    from edge_agent.logs import configure_logs
    from edge_agent.people.roles import Action
    from edge_agent.tools.challenge import record
    from edge_agent.tools.challenge_line import chosen_samples, wanted_parts
    from edge_agent.tools.challenge_report import write_challenge_report

    if [folder, parts, samples].count(None) != 2:
        raise UsageError(
            "a folder of samples, --parts or --samples: one of them",
            hint="edge-agent challenge samples/ --config line.toml",
        )
    settings = settings_of(config, writes_state=True)
    configure_logs("warning", settings.log.format)
    wanted: tuple[SampleSettings | None, ...] = ()
    if samples is not None:
        wanted = chosen_samples(settings, samples, program)
    elif parts is not None:
        wanted = wanted_parts(settings, parts, program)
    signed = signed_by(settings, Action.CHALLENGE, by=by, user=user, password_file=password_file)
    if folder is None:
        found = _shown_to_line(settings, wanted, signed, within_s)
    else:
        found = replace(_judged(settings, folder, signed, program, camera), signed=signed)
    via = asyncio.run(record(settings, found))
    if report:
        with in_language(language, settings):
            write_challenge_report(report, found, settings, paper=paper)
    facts = {**found.to_json(), "recorded_via": via, "samples": [s.to_json() for s in found.samples]}
    say(json_, facts, [*found.lines(), "recorded in the journal", *([f"report: {report}"] if report else [])])
    raise typer.Exit(0 if found.is_passed else 1)


@challenge_cli.command("history")
def challenge_history(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Say when samples are due, and how each registered sample scored each time it was shown; 1 if one is odd.

    Example: edge-agent challenge history --config line.toml
    """
    from edge_agent.tools.challenge_history import sample_history

    found = sample_history(settings_of(config))
    say(json_, found.to_json(), found.lines())
    raise typer.Exit(0 if found.is_well else 1)


def _judged(settings: Settings, folder: Path, signed: Signed, program: int | None, camera: int) -> Challenge:
    from edge_agent.bundles.line_bundles import entry_of, inspector_of
    from edge_agent.tools.challenge import challenge_images

    entry = entry_of(settings, program, camera)
    inspector = inspector_of(settings, entry)
    with progress_bars() as progress:
        return challenge_images(folder, inspector, signed.person.name, progress, entry.program)


def _shown_to_line(
    settings: Settings, wanted: tuple[SampleSettings | None, ...], signed: Signed, within_s: float
) -> Challenge:
    """What came of it. Broken off, it is recorded all the same where a sample was wrong by then."""
    import asyncio

    from edge_agent.errors import EdgeAgentError
    from edge_agent.tools.challenge_line import LineChallenge

    line = LineChallenge(settings, signed.person.name, wanted, lambda w: typer.echo(w, err=True), signed=signed)
    try:
        asyncio.run(line.run(within_s))
    except (EdgeAgentError, KeyboardInterrupt, asyncio.CancelledError) as err:
        if not line.is_failed:
            raise
        line.notes.append(f"broken off: {err}" if str(err) else "broken off")
    return line.result()
