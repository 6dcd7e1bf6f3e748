"""``edge-agent replay``: recorded images through the production engine. Parse, call, print, exit code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import (
    Json,
    Language,
    PaperSize,
    Threads,
    in_language,
    progress_bars,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from edge_agent.report.head import Paper
    from edge_agent.settings import Settings
    from edge_agent.tools.plant.order import Order

__all__ = ["replay_cli"]

replay_cli = typer.Typer()
_STOPPED = 130
"""What a shell says of a program that Ctrl-C ended: 128 + 2."""


@replay_cli.command()
def replay(
    folder: Annotated[
        str, typer.Argument(help="Recorded images: the archive, any folder; with --out also s3://bucket/folder.")
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take bundles and journal from here.", metavar="line.toml")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", "-b", help="Judge with this bundle instead.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Compare with this journal's verdicts.")] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="Write results as Parquet here; stopped, it goes on there."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="With --out: this many processes of this PC.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --out: the workers of a Dask scheduler, tls://HOST:8786."),
    ] = None,
    without_tls: Annotated[
        bool, typer.Option("--without-tls", help="Take a scheduler that is not encrypted, tcp://HOST:8786.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, metavar="N", help="With --out: so many images are kept, or lost, together."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    paper: PaperSize = "A4",
    language: Language = None,
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Run recorded images through the production engine; 1 if a verdict differs from the recorded one.

    Example: edge-agent replay /var/lib/edge-agent/archive --config line.toml --report replay.html
    """
    from edge_agent.bundles.line_bundles import load_replay
    from edge_agent.errors import UsageError
    from edge_agent.logs import configure_logs
    from edge_agent.tools.replay import replay_folder
    from edge_agent.tools.replay.report import write_replay_report

    configure_logs("warning", "auto")
    settings = settings_of(config) if config else None
    if out is not None:
        from edge_agent.tools.plant.order import Order

        order = Order(folder, out, workers, scheduler, without_tls, chunk)
        with in_language(language, settings):
            _by_workers(order, _Judges(settings, bundle, journal), report, paper, json_=json_)
    if (workers, scheduler, chunk) != (None, None, None) or "://" in folder:
        raise UsageError("the results of such a replay go into a folder of their own", hint="name it with --out")
    inspectors, journal_path = load_replay(settings, bundle, journal, threads)
    with progress_bars() as progress:
        result = replay_folder(Path(folder), inspectors, journal_path, progress)
    if report:
        with in_language(language, settings):
            write_replay_report(report, result, inspectors, settings, paper=paper)
    lines = [*result.summary(), *([f"report: {report}"] if report else [])]
    say(json_, result.to_json() if json_ else {}, lines)
    raise typer.Exit(result.exit_code)


@dataclass(frozen=True, slots=True)
class _Judges:
    """What says by which bundles is judged, and with which journal is compared."""

    settings: Settings | None
    bundle: Path | None
    journal: Path | None


def _by_workers(order: Order, judges: _Judges, report: Path | None, paper: Paper, *, json_: bool) -> None:
    """A replay into a folder, by processes of this PC or of others. Always raises typer.Exit."""
    from edge_agent.bundles.line_bundles import find_replay, load_replay
    from edge_agent.tools.replay.report import write_replay_report

    bundles, journal = find_replay(judges.settings, judges.bundle, judges.journal)
    try:
        result, source = order.run(bundles, journal, judges.settings, partial(typer.echo, err=True))
    except KeyboardInterrupt:
        typer.echo(f"\nstopped: what was judged is kept in {order.out}; the same command goes on", err=True)
        raise typer.Exit(_STOPPED) from None
    if report:
        inspectors, _ = load_replay(judges.settings, judges.bundle, journal, 1)
        write_replay_report(
            report,
            result,
            inspectors,
            judges.settings,
            paper=paper,
            read=lambda path: source.read(path.as_posix()),
        )
    told = [f"results: {order.out / 'results'} (Parquet)", *([f"report: {report}"] if report else [])]
    say(json_, {**result.facts(), "out": str(order.out)} if json_ else {}, [*result.summary(), *told])
    raise typer.Exit(result.exit_code)
