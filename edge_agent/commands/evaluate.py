"""``edge-agent evaluate``: labelled images in, figures out. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the options' types
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.calibration_options import (
    Backbone,
    BackboneScaling,
    BackboneTaps,
    BackboneWeights,
    Channels,
    Voices,
    channels_of,
    voices_of,
)
from edge_agent.commands.shared import (
    Json,
    PaperSize,
    Threads,
    progress_bars,
    say,
)

if TYPE_CHECKING:
    from calibration.evaluation import Evaluation, EvaluationOptions, FailedSet, LearningCurve
    from edge_agent.report.head import Paper

    Found = Evaluation | LearningCurve

__all__ = ["evaluation_cli"]

evaluation_cli = typer.Typer()


@evaluation_cli.command()
def evaluate(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET...", help="Folders in MVTec layout: train/good, test/good, test/<defect>."),
    ],
    *,
    method: Annotated[str | None, typer.Option(help="One method; views where none is named.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,...",
            help="Several: local, views, paper, ae, ae-ssim, deep-feature, nn, variation, geotrans, ganomaly, vae, "
            "anogan, patchcore, dfm.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Calibrate with this many seeds; mean and spread.")] = 1,
    train_images: Annotated[
        int | None, typer.Option(metavar="N", help="Learn from N of the training images, drawn at random.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Draw this many times; mean and spread.")] = 1,
    learning_curve: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Learn from N images, then from more: would more pay?")
    ] = None,
    channels: Channels = "all",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for report.html, results.csv, results.json and images.csv."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="A row a test image: score, limit, rejected or not, and why."),
    ] = None,
    paper: PaperSize = "A4",
    voices: Voices = "image,tone",
    drift: Annotated[
        bool, typer.Option("--drift", help="Judge every test image again in another light, out of focus, noisy, ...")
    ] = False,
    backbone: Backbone = "efficientnet-lite0",
    backbone_weights: BackboneWeights = None,
    backbone_taps: BackboneTaps = "",
    backbone_scaling: BackboneScaling = "",
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Calibrate on good images, score labelled ones: ROC AUC, average precision, and what the limit did.

    Several data sets: one table with the mean; one that fails stops no other, and its exit code is the command's.

    Example: edge-agent evaluate mvtec/bottle --methods all --seeds 3 --out bottle-evaluation

    Example: edge-agent evaluate mvtec/bottle mvtec/pill mvtec/screw --csv images.csv
    """
    from calibration.collecting.packages import need_packages

    need_packages()
    from calibration.backbones import backbone_for
    from calibration.evaluation import EvaluationOptions, counts_from, methods_named, write_images, write_results
    from calibration.evaluation import evaluate as evaluate_dataset
    from edge_agent.errors import UsageError

    if method and methods:
        raise UsageError("both --method and --methods", hint="name all in --methods")
    options = EvaluationOptions(
        methods=methods_named(methods or method or "views"),
        seeds=seeds,
        train_images=train_images,
        counts=counts_from(learning_curve) if learning_curve is not None else (),
        repeats=repeats,
        channels=channels_of(channels),
        voices=voices_of(voices),
        backbone=backbone_for(backbone, weights=backbone_weights, taps=backbone_taps, scaling=backbone_scaling),
        threads=threads,
        with_gallery=out is not None,
        with_drift=drift,
    )
    _make_room(out, csv)
    if len(datasets) > 1:
        raise typer.Exit(_evaluate_several(datasets, options, (out, paper), csv, json_=json_))
    with progress_bars() as progress:
        result = evaluate_dataset(datasets[0], options, progress)
    say(json_, result.to_json(), result.summary())  # before a file that cannot be written could lose it
    if csv:
        typer.echo(f"written: {write_images(csv, [result])}", err=json_)
    for path in write_results(out, result, paper=paper) if out else []:
        typer.echo(f"written: {path}", err=json_)


def _evaluate_several(
    datasets: list[Path], options: EvaluationOptions, to: tuple[Path | None, Paper], csv: Path | None, *, json_: bool
) -> int:
    """Each set's files as soon as it is measured, the table at the end; returns the exit code."""
    from calibration.evaluation import evaluate_several, write_images, write_results, write_several
    from calibration.evaluation.files import set_parts
    from calibration.evaluation.several import points_of

    out, paper = to
    so_far: list[Found] = []

    def done(found: Found) -> None:
        so_far.append(found)
        if csv:
            write_images(csv, so_far)
        if out:
            folder = out.joinpath(*set_parts(points_of(found)[-1].dataset))
            folder.mkdir(parents=True, exist_ok=True)
            write_results(folder, found, paper=paper)

    def failed(one: FailedSet) -> None:
        typer.echo(f"{one.trace}{one.line}; the other sets go on", err=True)

    several = evaluate_several(datasets, options, progress_bars, done=done, failed=failed)
    say(json_, several.to_json(), several.summary())
    for path in write_several(out, several, paper=paper) if out else []:
        typer.echo(f"written: {path}", err=json_)
    if csv and so_far:
        typer.echo(f"written: {csv}", err=json_)
    return several.exit_code


def _make_room(out: Path | None, csv: Path | None) -> None:
    """Make the folders that results will be written to: said now, not after hours, where that cannot be."""
    from edge_agent.errors import UsageError

    if csv is not None and csv.is_dir():
        raise UsageError(f"--csv {csv} is a folder", hint="name a file, for instance images.csv")
    for folder in filter(None, (out, csv.parent if csv is not None else None)):
        folder.mkdir(parents=True, exist_ok=True)
