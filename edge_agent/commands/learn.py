"""``edge-agent learn``: what people confirmed becomes a new bundle. Parse, call, print, exit code."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
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
    Threads,
    in_language,
    progress_bars,
    say,
    settings_of,
)
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.report.head import Paper
    from edge_agent.settings import Settings
    from edge_agent.tools.learn.found import Found
    from edge_agent.tools.learn.proposal import Proposal

__all__ = ["learn_cli"]

learn_cli = typer.Typer(no_args_is_help=True, help="A new bundle learns from parts that people confirmed.")

Program = Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")]
Camera = Annotated[int, typer.Option(min=1, max=4)]
MostShare = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Add so many at most, as a share of the good parts that there are.")
]
Why = Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")]
WorkFolder = Annotated[Path, typer.Argument(help="The folder that learn run wrote.")]


@learn_cli.command("propose")
def learn_propose(
    config: Config = DEFAULT_CONFIG,
    *,
    program: Program = None,
    camera: Camera = 1,
    most_share: MostShare = 0.5,
    json_: Json = False,
) -> None:
    """Say which confirmed parts a new bundle could learn from, which defects it must find, and what is left out.

    1 where there is nothing to learn. Nothing is changed.

    Example: edge-agent learn propose --config line.toml --program 1
    """
    settings = settings_of(config)
    with tempfile.TemporaryDirectory(prefix="edge-agent-learn-") as spool:
        found = _proposal(settings, program, camera, most_share, Path(spool))
    say(json_, {"schema_version": 1, **found.to_json()}, found.lines())
    raise typer.Exit(0 if found.added or found.taken_out else 1)


@learn_cli.command("run")
def learn_run(
    good: Annotated[
        list[Path],
        typer.Option("--good", help="A folder with the good parts that the bundle was made of; may be repeated."),
    ],
    config: Config = DEFAULT_CONFIG,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to work in; the same one goes on.")] = Path(
        "learned"
    ),
    program: Program = None,
    camera: Camera = 1,
    most_share: MostShare = 0.5,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An image that is not good after all; may be repeated.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An image that stands apart and is good, as you have seen; may be repeated."),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.0, max=8760.0, help="Judge the archive of so many hours again.")] = 24.0,
    parts: Annotated[int, typer.Option(min=0, max=100_000, help="Of so many parts at most, the newest.")] = 1000,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    pdf: Annotated[bool, typer.Option("--pdf", help="The report also as PDF, by this PC's browser.")] = False,
    paper: PaperSize = "A4",
    language: Language = None,
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Calibrate a new bundle with the confirmed good parts, beside the line, and compare it with the bundle in use.

    It changes nothing on the line: bundle activate does, and wants a reason where a figure is worse. 1 where a
    known defect that is found today would pass: such a bundle is not offered.

    Example: edge-agent learn run --config line.toml --good good/ --out learned --why "new lot"
    """
    from calibration.collecting.packages import missing_packages
    from edge_agent.errors import Unavailable
    from edge_agent.files.owners import refuse_root
    from edge_agent.people.roles import Action
    from edge_agent.runtime.claim import claimed_learning
    from edge_agent.tools.learn.workshop import SPOOL, opened

    settings = settings_of(config, writes_state=True)
    refuse_root([out], of_people=False)
    if missing := missing_packages():
        raise Unavailable(
            f"this PC cannot calibrate: {', '.join(missing)} is missing", hint="pip install 'edge-agent[calibrate]'"
        )
    from edge_agent.tools.learn.running import learn, making_way
    from edge_agent.tools.learn.telling import told_of
    from edge_agent.tools.learn.wish import Wish

    signed = signed_by(settings, Action.LEARN, by=by, user=user, password_file=password_file, why=why)
    wish = Wish(tuple(good), signed.words, why, tuple(leave_out or ()), tuple(keep or ()), hours, parts, threads)
    with claimed_learning(settings.store.journal), opened(out) as workshop, progress_bars() as progress:
        watch = making_way(settings, progress)
        with tempfile.TemporaryDirectory(prefix=SPOOL, dir=out) as spool:
            proposal = _proposal(settings, program, camera, most_share, Path(spool))
        with told_of(settings, proposal, wish) as tell, _doubts_shown(out, settings, paper, language):
            found = learn(settings, proposal, workshop, wish, watch)
            tell(found)
    files = _reported(out, found, settings, pdf=pdf, paper=paper, language=language)
    lines = [*found.lines(), *(f"report: {path}" for path in files)]
    if found.bundle_id:
        lines.append(
            f"offered: {workshop.bundle} {found.bundle_id[:12]}; good parts for the next time: {workshop.good}"
        )
        lines.append(
            f"then: edge-agent bundle activate {workshop.bundle} --config {config}" + ' --why "..."' * bool(found.worse)
        )
    say(json_, {"schema_version": 1, **found.to_json(), "files": [str(path) for path in files]}, lines)
    raise typer.Exit(0 if found.bundle_id else 1)


@learn_cli.command("report")
def learn_report(
    folder: WorkFolder = Path("learned"),
    config: Config = DEFAULT_CONFIG,
    *,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also as PDF, by this PC's browser.")] = False,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """Write the page of before and after once more, in another language or as PDF; 1 where nothing is offered.

    Example: edge-agent learn report learned --config line.toml --language de --pdf
    """
    from edge_agent.tools.learn.workshop import read_result

    settings = settings_of(config)
    found = read_result(folder)
    files = _reported(folder, found, settings, pdf=pdf, paper=paper, language=language)
    facts = {"schema_version": 1, **found.to_json(), "files": [str(path) for path in files]}
    say(json_, facts, [*found.lines(), *(f"report: {path}" for path in files)])
    raise typer.Exit(0 if found.bundle_id else 1)


def _proposal(settings: Settings, program: int | None, camera: int, most_share: float, spool: Path) -> Proposal:
    from edge_agent.tools.learn.proposal import propose

    return propose(settings, program, camera, spool, most_share=most_share)


@contextmanager
def _doubts_shown(out: Path, settings: Settings, paper: Paper, language: str | None) -> Iterator[None]:
    """Where a person has to look at some of the images first: write the report that shows them, and name it."""
    from calibration.report_pages import write_doubt_report
    from calibration.suspects.stand_apart import PartsInDoubt

    try:
        yield
    except PartsInDoubt as err:
        report = out / "doubts.html"
        with in_language(language, settings):
            write_doubt_report(report, err.suspicion, out / "good", paper=paper)
        err.hint = err.hint.replace("look at them,", f"look at them in {report},")
        raise


def _reported(
    folder: Path, found: Found, settings: Settings, *, pdf: bool, paper: Paper, language: str | None
) -> list[Path]:
    from edge_agent.tools.learn.page import write_report
    from edge_agent.tools.shift import print_pdf

    report = folder / "report.html"
    with in_language(language, settings):
        write_report(report, folder, found, settings, paper=paper)
    if not pdf:
        return [report]
    print_pdf(report, report.with_suffix(".pdf"))
    return [report, report.with_suffix(".pdf")]
