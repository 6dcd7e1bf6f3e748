"""``edge-agent shadow``: a candidate bundle beside the line. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    By,
    Config,
    Json,
    Language,
    PaperSize,
    in_language,
    say,
    settings_of,
)
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from edge_agent.settings import Settings
    from edge_agent.store.shadow import Shadow

__all__ = ["shadow_cli"]

shadow_cli = typer.Typer(no_args_is_help=True, help="A candidate bundle judges beside the line, and decides nothing.")

Folder = Annotated[Path, typer.Argument(help="The candidate's folder, as calibrate-reference wrote it.")]
Why = Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")]


@shadow_cli.command("begin")
def shadow_begin(
    bundle: Folder,
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Let a candidate bundle judge every part from now on, after the verdict and beside the bundle in use.

    Example: edge-agent shadow begin new/ --config line.toml --why "new lot of zippers"
    """
    from edge_agent.people.roles import Action
    from edge_agent.shadow.orders import begin_shadow
    from edge_agent.tools.collecting import stand_back_beside_agent

    settings = settings_of(config, writes_state=True)
    signed = signed_by(settings, Action.SHADOW, by=by, user=user, password_file=password_file, why=why)
    runs = stand_back_beside_agent(settings)
    begun = begin_shadow(settings, bundle, by=signed.words, why=why)
    via = _told(settings, "begun", begun.shadow, by=signed.words, why=why)
    candidate = begun.shadow.candidate
    lines = [
        *begun.notes,
        f"program {candidate.program}, camera {candidate.camera}: {candidate.bundle_id[:12]} judges beside the line",
        "it decides nothing; edge-agent shadow status says what it found"
        if runs
        else "no agent runs on this line: it judges once one does",
    ]
    facts = {"schema_version": 1, "bundle_id": candidate.bundle_id, "recorded_via": via, "agent_runs": runs}
    say(json_, {**facts, "notes": list(begun.notes)}, lines)


@shadow_cli.command("status")
def shadow_status(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """What the candidate found so far, or what the last one did; 1 where a known defect would pass, or it is stuck.

    Example: edge-agent shadow status --config line.toml
    """
    from edge_agent.shadow.comparison import newest_comparison

    found = newest_comparison(settings_of(config).store.journal)
    if found is None:
        say(json_, {"schema_version": 1, "bundle_id": None}, ["no candidate was ever watched on this line"])
        return
    say(json_, {"schema_version": 1, **found.to_json()}, found.lines())
    raise typer.Exit(1 if found.warning or found.shadow.problem else 0)


@shadow_cli.command("report")
def shadow_report(
    config: Config = DEFAULT_CONFIG,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("shadow.html"),
    pictures: Annotated[int, typer.Option(min=0, max=100, help="Of so many parts that differ, the newest first.")] = 24,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also as PDF, by this PC's browser.")] = False,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """Where the candidate and the bundle in use differ, with pictures, to be signed; 1 where a known defect would pass.

    Example: edge-agent shadow report --config line.toml --out shadow.html
    """
    from edge_agent.errors import UsageError
    from edge_agent.shadow.comparison import newest_comparison
    from edge_agent.tools.collecting import stand_back_beside_agent
    from edge_agent.tools.shadow_report import write_report
    from edge_agent.tools.shift import print_pdf

    settings = settings_of(config)
    found = newest_comparison(settings.store.journal)
    if found is None:
        raise UsageError("no candidate was ever watched on this line", hint="edge-agent shadow begin FOLDER")
    stand_back_beside_agent(settings)
    with in_language(language, settings):
        write_report(out, found, settings, pictures, paper=paper)
    written = [out]
    if pdf:
        print_pdf(out, out.with_suffix(".pdf"))
        written.append(out.with_suffix(".pdf"))
    facts = {"schema_version": 1, **found.to_json(), "files": [str(path) for path in written]}
    say(json_, facts, [*found.lines(), *(f"report: {path}" for path in written)])
    raise typer.Exit(1 if found.warning else 0)


@shadow_cli.command("end")
def shadow_end(
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """The candidate judges no longer; what it found stays, for bundle activate and the report.

    Example: edge-agent shadow end --config line.toml --why "a week was enough"
    """
    from edge_agent.people.roles import Action
    from edge_agent.shadow.comparison import compared
    from edge_agent.shadow.orders import end_shadow

    settings = settings_of(config, writes_state=True)
    signed = signed_by(settings, Action.SHADOW, by=by, user=user, password_file=password_file, why=why)
    ended = end_shadow(settings, by=signed.words, why=why)
    via = _told(settings, "ended", ended, by=signed.words, why=why)
    found = compared(settings.store.journal, ended)
    say(json_, {"schema_version": 1, **found.to_json(), "recorded_via": via}, ["ended", *found.lines()])


def _told(settings: Settings, what: str, shadow: Shadow, *, by: str, why: str) -> str:
    import asyncio

    from drivers.base import DriverError
    from edge_agent.errors import EdgeAgentError
    from edge_agent.shadow.orders import told_journal

    try:
        return asyncio.run(told_journal(settings, what, shadow, by=by, why=why))
    except (EdgeAgentError, DriverError, OSError) as err:
        raise EdgeAgentError(
            f"it is {what}, but the journal does not say so: {err}", hint="edge-agent shadow status says how it stands"
        ) from err
