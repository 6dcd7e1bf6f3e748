"""``edge-agent calibrate-reference``: good images in, reference bundle out. Parse, call, print, exit code."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.calibration_options import (
    Backbone,
    BackboneScaling,
    BackboneTaps,
    BackboneWeights,
    Channels,
    Scheduler,
    Voices,
    WithoutTls,
    Workers,
    channels_of,
    crop_of,
    voices_of,
)
from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    Json,
    Language,
    PaperSize,
    PassphraseFile,
    Threads,
    given_options,
    in_language,
    passphrase_of,
    progress_bars,
    say,
    settings_of,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibration.choosing.within import TimeWish
    from calibration.collecting.from_line import LiveWishes
    from calibration.evaluation import Evaluation, LearningCurve
    from calibration.options import CalibrationOptions
    from edge_agent.errors import Unavailable
    from edge_agent.report.head import Paper
    from edge_agent.tools.plant.hiring import Hire

    Found = Evaluation | LearningCurve

__all__ = ["calibration_cli"]

calibration_cli = typer.Typer()
_STOPPED = 130
"""What a shell says of a program that Ctrl-C ended: 128 + 2."""
_OF_THIS_PC = frozenset(
    {"folder", "out", "live", "config", "yes", "report", "force", "json_", "workers", "scheduler", "without_tls"}
)
"""Options of calibrate-reference that another PC, to which the images are carried, is not to be given."""


@calibration_cli.command("calibrate-reference")
def calibrate_reference(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Images of good parts only, 20 or more (40 and up is better).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle folder to write.")] = Path("bundle"),
    *,
    part: Annotated[str, typer.Option(help="Name of the part type.")] = "part",
    program: Annotated[int, typer.Option(min=0, max=999, help="The controller's program number.")] = 0,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    seed: Annotated[int, typer.Option(help="The same seed and images give the same bundle.")] = 0,
    crop: Annotated[str, typer.Option(help="auto, full, or x,y,width,height in pixels of the reference.")] = "auto",
    method: Annotated[
        str,
        typer.Option(help="The score: views (a mean, on the part), local (by channels), paper (pooled, as published)."),
    ] = "views",
    channels: Channels = "all",
    voices: Voices = "image,tone",
    backbone: Backbone = "efficientnet-lite0",
    backbone_weights: BackboneWeights = None,
    backbone_taps: BackboneTaps = "",
    backbone_scaling: BackboneScaling = "",
    max_angle: Annotated[
        str,
        typer.Option(metavar="auto|DEG", help="How far parts lie turned: the good images say, or 0 to 180 degrees."),
    ] = "auto",
    max_scale: Annotated[
        float, typer.Option(min=0, max=30, metavar="PERCENT", help="How much larger or smaller a part may look.")
    ] = 0.0,
    mask: Annotated[
        Path | None, typer.Option(help="Register by what is white in this picture, of the images' size, alone.")
    ] = None,
    pose_tolerance: Annotated[
        str, typer.Option(metavar="off|FACTOR", help="Room beyond where good parts lie; off for parts lying anywhere.")
    ] = "1",
    registration: Annotated[
        str, typer.Option(metavar="auto|on|off", help="Lay parts on the reference: the good images say, always, never.")
    ] = "auto",
    place: Annotated[
        str,
        typer.Option(metavar="auto|tied|free", help="Compare with the same place of good parts, or with all places."),
    ] = "auto",
    plane: Annotated[
        str,
        typer.Option(
            metavar="auto|all|red|green|blue",
            help="Look at full size in one colour as well.",
        ),
    ] = "auto",
    false_rejects: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Expect at most this share of good parts rejected: 1% or 0.01.")
    ] = None,
    extrapolate: Annotated[
        bool,
        typer.Option("--extrapolate", help="Where too few images carry --false-rejects, model the tail (no proof)."),
    ] = False,
    review_share: Annotated[
        str | None, typer.Option(metavar="SHARE", help="A REVIEW band below the limit with this share of good parts.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An image that is not good after all; may be repeated.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An image that stands apart and is good, as you have seen; may be repeated."),
    ] = None,
    defective: Annotated[
        Path | None, typer.Option(help="Images of defective parts: never trained on, they say what would be missed.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Look at the part as large as one inspection on this PC is done in this time with: 60ms or 0.06s.",
        ),
    ] = None,
    live: Annotated[
        int | None,
        typer.Option(
            min=20, max=1000, metavar="N", help="Collect N good parts from the line, or from the agent that runs on it."
        ),
    ] = None,
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="The line: of --live, and whose agent goes first.", metavar="line.toml"),
    ] = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="With --live: calibrate without asking, nobody looked.")] = False,
    report: Annotated[Path | None, typer.Option(help="The HTML report; beside the bundle by default.")] = None,
    paper: PaperSize = "A4",
    language: Language = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEYFILE", help="Sign the bundle with this key (edge-agent bundle keygen).")
    ] = None,
    passphrase_file: PassphraseFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    threads: Threads = 2,
    workers: Workers = None,
    scheduler: Scheduler = None,
    without_tls: WithoutTls = False,
    json_: Json = False,
) -> None:
    """Learn what good parts look like: good images in, reference bundle and report out.

    Example: edge-agent calibrate-reference good/ --out bundles/zipper --part zipper --program 1

    Example: edge-agent calibrate-reference good/ --live 40 --config line.toml --program 1
    """
    from calibration.choosing.within import wish_of
    from calibration.collecting.from_line import LiveWishes
    from calibration.collecting.packages import missing_packages
    from calibration.limits.limit import wishes_of
    from calibration.registering.search import wishes_from
    from calibration.writer import check_target
    from edge_agent.files.owners import refuse_root
    from edge_agent.tools.plant.hiring import Hire

    refuse_root([out, folder], of_people=False)
    hire = Hire(workers, scheduler, without_tls)
    hire.check()
    time_wish = wish_of(within)
    if live is None:
        _make_way(config)
    search = wishes_from(max_angle, max_scale, mask, pose_tolerance, registration)
    wishes = None if live is None else LiveWishes(folder, live, program, camera, search.settings)
    if missing := missing_packages():
        if wishes is not None:
            check_target(out, overwrite=force)
            _collect(wishes, config, language, json_=json_, missing=missing)
        raise _cannot_calibrate(missing, context, folder, config, is_live=wishes is not None)
    from calibration.backbones import backbone_for
    from calibration.calibrate import calibrate
    from calibration.options import CalibrationOptions
    from calibration.report_pages import write_report
    from calibration.reporting import calibration_json, calibration_lines

    options = CalibrationOptions(
        part=part,
        program=program,
        camera=camera,
        seed=seed,
        crop=crop_of(crop),
        search=search,
        method=method,
        channels=channels_of(channels),
        voices=voices_of(voices),
        place=place,
        plane=plane,
        backbone=backbone_for(backbone, weights=backbone_weights, taps=backbone_taps, scaling=backbone_scaling),
        limit=wishes_of(false_rejects, review_share, extrapolate=extrapolate),
        leave_out=tuple(leave_out or ()),
        keep=tuple(keep or ()),
        defective=defective,
        within=time_wish or _time_of_line(config),
        threads=threads,
        overwrite=force,
    )
    signing = None
    if sign is not None:  # a key that cannot be used is said now, not after the calibration
        from edge_agent.bundles.signing import SigningKey, sign_bundle

        signing = SigningKey.read(sign, lambda: passphrase_of(passphrase_file))
    if wishes is not None:
        check_target(out, overwrite=force)  # said now, not after an hour of collecting
        _collect(wishes, config, language, yes=yes, json_=json_)
    report = report or out.with_name(out.name + "-report.html")
    with (
        _doubts_reported(folder, report, (paper, language), json_=json_),
        _by_workers(hire, folder, out, options) as (images, options_),
        progress_bars() as progress,
    ):
        result = calibrate(images, out, options_, progress)
    signature = None if signing is None else sign_bundle(result.path, signing, who(None))
    with in_language(language, settings_of(config) if wishes else None):
        write_report(report, result, paper=paper)
    facts = {**calibration_json(result), "report": str(report), "signed": str(signature) if signature else None}
    lines = [*calibration_lines(result), *([str(signature)] if signature else []), f"report: {report}"]
    say(json_, facts, lines)


@contextmanager
def _by_workers(
    hire: Hire, folder: Path, out: Path, options: CalibrationOptions
) -> Iterator[tuple[Path, CalibrationOptions]]:
    """The images and the options for whoever is hired; where somebody stops them: say that it goes on."""
    from calibration.writer import check_target
    from edge_agent.tools.plant.hiring import unfinished

    if not hire.is_wanted:
        yield folder, options
        return
    check_target(out, overwrite=options.overwrite)  # said now, not when all workers have begun
    # Absolute: a worker of another machine has another current folder.
    folder, defective = folder.absolute(), options.defective and options.defective.absolute()
    try:
        with hire.hired([folder, *([defective] if defective else [])], out) as hired:
            yield folder, replace(options, defective=defective, hired=hired)
    except KeyboardInterrupt:
        kept = unfinished(out)
        typer.echo(f"\nstopped: what was worked out is kept in {kept}; the same command goes on", err=True)
        raise typer.Exit(_STOPPED) from None


def _make_way(config: Path) -> None:
    """Calibrate beside a running line without taking its time: before anything has started threads of its own."""
    from edge_agent.errors import EdgeAgentError

    if not config.is_file():
        return
    try:
        settings = settings_of(config)
    except EdgeAgentError as err:
        typer.echo(f"{config} cannot be read, so nobody knows whether an agent runs here: {err}", err=True)
        return
    from edge_agent.tools.collecting import stand_back_beside_agent

    if stand_back_beside_agent(settings):
        typer.echo("an agent runs on this line: this calibration makes way for it, and takes longer", err=True)


def _time_of_line(config: Path) -> TimeWish | None:
    """What the line's deadline leaves an inspection; None where no line is known here, or it leaves nothing."""
    from calibration.choosing.within import wish_of_line
    from edge_agent.errors import EdgeAgentError

    if not config.is_file():
        return None
    try:
        line = settings_of(config).line
    except EdgeAgentError:
        return None  # _make_way has said so, and --live reads it anyhow
    return wish_of_line(deadline_ms=line.deadline_ms, cameras=len(line.cameras))


@contextmanager
def _doubts_reported(folder: Path, report: Path, on: tuple[Paper, str | None], *, json_: bool) -> Iterator[None]:
    """Where a person has to look at some of the images first: write the report that shows them, and name it.

    ``on``: its paper and its language.
    """
    from calibration.report_pages import write_doubt_report
    from calibration.reporting import doubts_json
    from calibration.suspects.stand_apart import PartsInDoubt

    try:
        yield
    except PartsInDoubt as err:
        with in_language(on[1]):
            write_doubt_report(report, err.suspicion, folder, paper=on[0])
        say(json_, {**doubts_json(err.suspicion), "report": str(report)}, [f"report: {report}"])
        err.hint = err.hint.replace("look at them,", f"look at them in {report},")
        raise


def _collect(
    wishes: LiveWishes,
    config: Path,
    language: str | None,
    *,
    json_: bool,
    yes: bool = False,
    missing: tuple[str, ...] = (),
) -> None:
    """Collect, and go on where a person said that all of them are good; 1 where it was stopped before.

    Where packages are ``missing`` nobody is asked: nothing but collecting is possible here.
    """
    from calibration.collecting.from_line import SHEET
    from edge_agent.logs import configure_logs
    from edge_agent.tools.collecting import collect_from_line

    settings = settings_of(config)
    configure_logs("warning", settings.log.format)
    if missing:
        typer.echo("this PC collects and cannot calibrate yet: what to do then is said at the end", err=True)
    folder, wanted = wishes.folder, wishes.wanted
    with in_language(language, settings):
        found = collect_from_line(settings, config, wishes, lambda words: typer.echo(words, err=True))
    facts = {"schema_version": 1, "collected": found, "wanted": wanted, "sheet": str(folder / SHEET)}
    lines = [f"{found} of {wanted} good parts in {folder}", f"look at each: {folder / SHEET}"]
    if found < wanted:
        say(json_, facts, [*lines, "stopped; the same command goes on"])
        raise typer.Exit(1)
    if missing:
        say(json_, {**facts, "missing_packages": list(missing)}, lines)
        return
    if yes or (sys.stdin.isatty() and typer.confirm("\n".join([*lines, "Are all of these good?"]), err=True)):
        return
    say(json_, facts, [*lines, "then delete what is not good and give the same command again, or calibrate with --yes"])
    raise typer.Exit(0)


def _cannot_calibrate(
    missing: tuple[str, ...], context: typer.Context, folder: Path, config: Path, *, is_live: bool
) -> Unavailable:
    """What to do with good parts on a PC that cannot calibrate, with the options that were given here."""
    from calibration.collecting.packages import cannot_calibrate
    from edge_agent.files.owners import as_owner, program

    again = ["edge-agent", "calibrate-reference", "good", "--out", "bundle", *given_options(context, but=_OF_THIS_PC)]
    activate = shlex.join([program(), "bundle", "activate", "bundle", "--config", str(config.absolute())])
    if is_live:  # line.toml was read, and says whose the line is
        activate = as_owner(settings_of(config).store.journal.parent, activate)
    return cannot_calibrate(missing, folder.absolute(), shlex.join(again), activate, is_collected=is_live)
