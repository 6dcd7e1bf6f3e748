"""``edge-agent msa``: an attribute agreement study of the line. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NoReturn

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
)
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from edge_agent.settings import Settings
    from edge_agent.store.study import Study, StudyFile

__all__ = ["msa_cli"]

msa_cli = typer.Typer(no_args_is_help=True, help="Attribute agreement study (AIAG MSA): how right and how steady.")

StudyPath = Annotated[
    Path, typer.Option("--study", help="The study's file: begun if it is not there, else gone on with.")
]
Runs = Annotated[int | None, typer.Option(min=2, max=20, help="How often each part is shown; 3 by default.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of the order of the parts; the same seed, the same order.")]
ReportPath = Annotated[Path | None, typer.Option(help="Write an HTML report to sign.")]
Pdf = Annotated[bool, typer.Option("--pdf", help="The report also as PDF, by this PC's browser.")]


@msa_cli.command("images")
def msa_images(
    folder: Annotated[
        Path, typer.Argument(help="good/ and folders of defective parts; in each an image, or a folder, is a part.")
    ],
    config: Config = DEFAULT_CONFIG,
    *,
    study: StudyPath,
    parts: Annotated[
        Path | None, typer.Option(help="CSV instead of folder names: image, part, known (good or defective).")
    ] = None,
    runs: Runs = None,
    seed: Seed = None,
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    report: ReportPath = None,
    pdf: Pdf = False,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """A study over recorded images: bundle and software, not camera and gate. 1 unless it is accepted.

    Example: edge-agent msa images parts/ --study msa.jsonl --config line.toml --report msa.html
    """
    from edge_agent.bundles.line_bundles import entry_of, inspector_of
    from edge_agent.logs import configure_logs
    from edge_agent.people.roles import Action
    from edge_agent.tools.msa.going_on import going_on, new_plan
    from edge_agent.tools.msa.images import show_images
    from edge_agent.tools.msa.parts import parts_in_folder, runs_of

    settings = settings_of(config, writes_state=True)
    configure_logs("warning", settings.log.format)
    signer = signed_by(settings, Action.STUDY, by=by, user=user, password_file=password_file).words
    found = parts_in_folder(folder, parts)
    entry = entry_of(settings, program, camera)
    plan = new_plan(settings, found, through="images", runs=runs_of(found, runs), by=signer, entries=[entry], seed=seed)
    with going_on(study, plan) as file:
        if _begin(settings, file, signer):
            inspector = inspector_of(settings, entry)
            with progress_bars() as progress:
                show_images(folder, file, inspector, progress)
        _end(settings, file.study, signer, folder, _Report(report, pdf, paper, language), as_json=json_)


@msa_cli.command("line")
def msa_line(
    parts: Annotated[Path, typer.Argument(help="CSV of the parts: part (what stands on it), known (good, defective).")],
    config: Config = DEFAULT_CONFIG,
    *,
    study: StudyPath,
    runs: Runs = None,
    seed: Seed = None,
    within_s: Annotated[float, typer.Option(min=1, max=3600, help="How long to wait for each part.")] = 600,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    report: ReportPath = None,
    pdf: Pdf = False,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """A study over the running line: it asks for part after part, in a shuffled order. 1 unless it is accepted.

    Example: edge-agent msa line parts.csv --study msa.jsonl --config line.toml --by "Ada Lovelace" --report msa.html
    """
    import asyncio
    from functools import partial

    from edge_agent.logs import configure_logs
    from edge_agent.people.roles import Action
    from edge_agent.store.study import read_study
    from edge_agent.store.study_asks import asking
    from edge_agent.tools.msa.going_on import going_on, new_plan
    from edge_agent.tools.msa.line import must_be_as_the_journal_says, must_run, show_parts
    from edge_agent.tools.msa.parts import parts_in_list, runs_of

    settings = settings_of(config, writes_state=True)
    configure_logs("warning", settings.log.format)
    signer = signed_by(settings, Action.STUDY, by=by, user=user, password_file=password_file).words
    found, newest = parts_in_list(parts), 0
    if not study.exists() or read_study(study).following() is not None:  # a report anew needs no agent
        newest = asyncio.run(must_run(settings))
    plan = new_plan(
        settings, found, through="line", runs=runs_of(found, runs), by=signer, entries=settings.bundle, seed=seed
    )
    with asking(settings.store.journal) as ask, going_on(study, plan) as file:
        if _begin(settings, file, signer):
            tell = partial(typer.echo, err=True)
            asyncio.run(show_parts(settings, file, within_s, tell, ask, after_part=newest))
        must_be_as_the_journal_says(settings, file.study)
        _end(settings, file.study, signer, None, _Report(report, pdf, paper, language), as_json=json_)


class _Report(NamedTuple):
    """The report that was asked for."""

    path: Path | None
    pdf: bool
    paper: Literal["A4", "letter"]
    language: str | None


def _begin(settings: Settings, file: StudyFile, signer: str) -> bool:
    """Say how far the study is and tell the journal that it begins or goes on; False where all was shown."""
    import asyncio

    from edge_agent.tools.msa.going_on import note

    done, total = file.study.done, file.study.plan.total
    if file.note:
        typer.echo(file.note, err=True)
    if done == total:
        typer.echo(f"all {total} showings were made", err=True)
        return False
    if file.study.showings:
        typer.echo(f"going on: {done} of {total} showings were made", err=True)
    asyncio.run(note(settings, file.study, "resumed" if file.study.showings else "begun", by=signer))
    return True


def _end(
    settings: Settings, study: Study, signer: str, folder: Path | None, wanted: _Report, *, as_json: bool
) -> NoReturn:
    """Compute, write the report, tell the journal, print. Always ends the command."""
    import asyncio
    import hashlib

    from edge_agent.errors import Unavailable
    from edge_agent.tools.msa.going_on import note
    from edge_agent.tools.msa.parts import notes_of
    from edge_agent.tools.msa.report import write_study_report
    from edge_agent.tools.msa.result import found_in
    from edge_agent.tools.shift import print_pdf

    found = found_in(study)
    written, digest = [], None
    if wanted.path is not None:
        with in_language(wanted.language, settings):
            write_study_report(wanted.path, found, settings, folder, paper=wanted.paper)
        digest = hashlib.sha256(wanted.path.read_bytes()).hexdigest()
        written.append(wanted.path)
    facts = found.to_json()
    told = {"verdict": facts["verdict"], "rates": found.rates(), "report_sha256": digest}
    via = asyncio.run(note(settings, study, "ended", by=signer, **told))
    no_pdf = None
    if wanted.path is not None and wanted.pdf:
        try:
            print_pdf(wanted.path, wanted.path.with_suffix(".pdf"))
            written.append(wanted.path.with_suffix(".pdf"))
        except Unavailable as err:  # told after the numbers, which do not depend on a browser
            no_pdf = err
    facts |= {"recorded_via": via, "report_sha256": digest, "files": [str(path) for path in written]}
    lines = [*notes_of(study.plan), *found.lines(), "recorded in the journal"]
    say(as_json, facts, [*lines, *(f"report: {path}" for path in written)])
    if no_pdf is not None:
        raise no_pdf
    raise typer.Exit(0 if facts["ok"] else 1)
