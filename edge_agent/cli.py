"""The command line: parse, call, print, exit code. typer alone at the top: ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cvx_cli import cvx_cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge_agent.settings import Settings

__all__ = ["main"]

_TYPER_USAGE, _EX_USAGE, _EX_SOFTWARE, _EX_IOERR = 2, 64, 70, 74

cli = typer.Typer(
    name="edge-agent",
    help="Inspects every part that a KEYENCE CV-X images and drives a fail-safe pass/reject output.",
    epilog="Exit codes: 0 ok, 1 it ran and the answer is no, 64 usage, 65 data, 69 unavailable, 70 bug, 74 I/O, "
    "75 already running, 78 config.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
output_cli = typer.Typer(no_args_is_help=True, help="The digital output, by hand.")
config_cli = typer.Typer(no_args_is_help=True, help="line.toml: check it, print its schema.")
bundle_cli = typer.Typer(no_args_is_help=True, help="Reference bundles.")
cli.add_typer(output_cli, name="output")
cli.add_typer(config_cli, name="config")
cli.add_typer(bundle_cli, name="bundle")
cli.add_typer(cvx_cli, name="cvx")

Config = Annotated[Path, typer.Option("--config", "-c", help="The line's settings.", metavar="line.toml")]
Json = Annotated[bool, typer.Option("--json", help="One versioned JSON object on stdout, people's text on stderr.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of ONNX Runtime (and of torch in calibration).")]
Backbone = Annotated[str, typer.Option(help="Pre-trained network: efficientnet-lite0, xception or FILE.onnx.")]
BackboneWeights = Annotated[Path | None, typer.Option(help="Xception's, as Keras writes them; else Keras' own store.")]
BackboneTaps = Annotated[str, typer.Option(metavar="A,B", help="FILE.onnx: tensors to take, from fine to coarse.")]
BackboneScaling = Annotated[str, typer.Option(metavar="MEAN/STD", help="FILE.onnx: of RGB in [0, 1], as r,g,b/r,g,b.")]


@cli.command()
def run(
    config: Config = Path("/etc/edge-agent/line.toml"),
    *,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Against simulated peers on this machine; drives no real output.")
    ] = False,
    simulated_images: Annotated[
        Path | None, typer.Option(help="With --simulated: images that the simulated camera shows, in name order.")
    ] = None,
) -> None:
    """Inspect parts until stopped.

    Example: edge-agent run --config line.toml
    """
    import asyncio

    from edge_agent.app import run_agent
    from edge_agent.logs import configure_logs

    settings = _settings(config)
    configure_logs(settings.log.level, settings.log.format)
    if simulated or settings.controller.kind == "simulated":
        from edge_agent.simulation import simulated_peers

        with simulated_peers(settings, config, images=simulated_images) as simulated_settings:
            asyncio.run(run_agent(simulated_settings, is_simulated=True))
        return
    asyncio.run(run_agent(settings))


@cli.command("calibrate-reference")
def calibrate_reference(
    folder: Annotated[Path, typer.Argument(help="Images of good parts only, 20 or more (40 and up is better).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle folder to write.")] = Path("bundle"),
    *,
    part: Annotated[str, typer.Option(help="Name of the part type.")] = "part",
    program: Annotated[int, typer.Option(min=0, max=999, help="The controller's program number.")] = 0,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    seed: Annotated[int, typer.Option(help="The same seed and images give the same bundle.")] = 0,
    crop: Annotated[str, typer.Option(help="auto, full, or x,y,width,height in pixels of the reference.")] = "auto",
    method: Annotated[str, typer.Option(help="The score: local, or paper (pooled, as published).")] = "local",
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
    defective: Annotated[
        Path | None, typer.Option(help="Images of defective parts: never trained on, they say what would be missed.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="The HTML report; beside the bundle by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Learn what good parts look like: good images in, reference bundle and report out.

    Example: edge-agent calibrate-reference good/ --out bundles/zipper --part zipper --program 1
    """
    from calibration.backbones import backbone_for
    from calibration.calibrate import CalibrationOptions, calibrate
    from calibration.limit import wishes_of
    from calibration.reporting import calibration_json, calibration_lines, write_report
    from calibration.search import wishes_from

    options = CalibrationOptions(
        part=part,
        program=program,
        camera=camera,
        seed=seed,
        crop=_crop(crop),
        search=wishes_from(max_angle, max_scale, mask, pose_tolerance),
        method=method,
        backbone=backbone_for(backbone, weights=backbone_weights, taps=backbone_taps, scaling=backbone_scaling),
        limit=wishes_of(false_rejects, review_share, extrapolate=extrapolate),
        leave_out=tuple(leave_out or ()),
        defective=defective,
        threads=threads,
        overwrite=force,
    )
    with _progress() as progress:
        result = calibrate(folder, out, options, progress)
    report = report or out.with_name(out.name + "-report.html")
    write_report(report, result, folder)
    _print(
        json_, {**calibration_json(result), "report": str(report)}, [*calibration_lines(result), f"report: {report}"]
    )


@cli.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="Recorded images (the archive, or any folder of images).")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take bundles and journal from here.", metavar="line.toml")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", "-b", help="Judge with this bundle instead.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Compare with this journal's verdicts.")] = None,
    *,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Run recorded images through the production engine; 1 if a verdict differs from the recorded one.

    Example: edge-agent replay /var/lib/edge-agent/archive --config line.toml --report replay.html
    """
    from edge_agent.app import load_replay
    from edge_agent.logs import configure_logs
    from edge_agent.replay import replay_folder, write_replay_report

    configure_logs("warning", "auto")
    settings = _settings(config) if config else None
    inspectors, journal_path = load_replay(settings, bundle, journal, threads)
    with _progress() as progress:
        result = replay_folder(folder, inspectors, journal_path, progress)
    if report:
        write_replay_report(report, result, inspectors)
    _print(json_, result.to_json(), [*result.summary(), *([f"report: {report}"] if report else [])])
    raise typer.Exit(result.exit_code)


@cli.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="A folder in MVTec layout: train/good, test/good, test/<defect>.")],
    *,
    method: Annotated[str | None, typer.Option(help="One method; local where none is named.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,...",
            help="Several: local, paper, ae, ae-ssim, deep-feature, nn, variation, patchcore, dfm.",
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
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for report.html, results.csv and results.json.")
    ] = None,
    backbone: Backbone = "efficientnet-lite0",
    backbone_weights: BackboneWeights = None,
    backbone_taps: BackboneTaps = "",
    backbone_scaling: BackboneScaling = "",
    threads: Threads = 2,
    json_: Json = False,
) -> None:
    """Calibrate on good images, score labelled ones: ROC AUC, average precision, and what the limit did.

    Example: edge-agent evaluate mvtec/bottle --methods all --seeds 3 --out bottle-evaluation
    """
    from calibration.backbones import backbone_for
    from calibration.evaluation import EvaluationOptions, counts_from, methods_named, write_results
    from calibration.evaluation import evaluate as evaluate_dataset
    from edge_agent.errors import UsageError

    if method and methods:
        raise UsageError("both --method and --methods", hint="name all in --methods")
    options = EvaluationOptions(
        methods=methods_named(methods or method or "local"),
        seeds=seeds,
        train_images=train_images,
        counts=counts_from(learning_curve) if learning_curve is not None else (),
        repeats=repeats,
        backbone=backbone_for(backbone, weights=backbone_weights, taps=backbone_taps, scaling=backbone_scaling),
        threads=threads,
        with_gallery=out is not None,
    )
    if out:
        out.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        result = evaluate_dataset(dataset, options, progress)
    written = write_results(out, result) if out else []
    _print(json_, result.to_json(), [*result.summary(), *(f"written: {path}" for path in written)])


@cli.command()
def simulate(
    config: Config = Path("line.toml"),
    *,
    images: Annotated[
        Path | None, typer.Option(help="Show these images, in name order, instead of rendered zipper cursors.")
    ] = None,
    spacing_ms: Annotated[int, typer.Option(min=50, help="Time between two parts.")] = 2000,
    ports: Annotated[str, typer.Option(help="Other ports than line.toml's, as JSON.", hidden=True)] = "{}",
) -> None:
    """Start a simulated controller and a simulated remote I/O at the addresses of line.toml.

    Example: edge-agent simulate --config line.toml
    """
    from edge_agent.logs import configure_logs
    from edge_agent.simulation import run_simulation

    settings = _settings(config)
    configure_logs(settings.log.level, settings.log.format)
    run_simulation(settings, images=images, spacing_s=spacing_ms / 1000, ports=json.loads(ports))


@cli.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where images, bundle, journal and report go.")] = Path("demo-output"),
    *,
    parts: Annotated[int, typer.Option(min=4, max=1000)] = 60,
    defective: Annotated[int, typer.Option(min=0, help="How many of them are defective.")] = 15,
    good: Annotated[int, typer.Option(min=20, help="Good parts to calibrate from.")] = 40,
    width: Annotated[int, typer.Option(min=160, help="Image width; the height is three quarters of it.")] = 1600,
    spacing_ms: Annotated[int, typer.Option(min=200, help="Time between two parts.")] = 1500,
    seed: int = 7,
    json_: Json = False,
) -> None:
    """A whole line on this machine: simulated controller and remote I/O, the real agent, a report.

    Example: edge-agent demo
    """
    from edge_agent.demo import DemoPlan, run_demo
    from edge_agent.logs import configure_logs

    configure_logs("warning", "auto")
    plan = DemoPlan(
        out=out, parts=parts, defective=defective, good=good, width=width, spacing_s=spacing_ms / 1000, seed=seed
    )
    with _progress() as progress:
        result = run_demo(plan, progress, say=lambda line: typer.echo(line, err=json_))
    _print(json_, result.to_json(), result.summary())
    raise typer.Exit(result.exit_code)


@output_cli.command("fail-safe")
def output_fail_safe(config: Config = Path("/etc/edge-agent/line.toml")) -> None:
    """Write REJECT to the output and read it back (systemd's ExecStopPost).

    Example: edge-agent output fail-safe --config line.toml
    """
    import asyncio

    from drivers.base import DriverError
    from edge_agent.app import fail_safe
    from edge_agent.errors import Unavailable
    from edge_agent.logs import configure_logs

    settings = _settings(config)
    configure_logs("warning", settings.log.format)
    try:
        asyncio.run(fail_safe(settings))
    except DriverError as err:
        raise Unavailable(
            f"REJECT could not be confirmed: {err}", hint="the remote I/O's own watchdog drops PASS in this case"
        ) from err
    typer.echo("REJECT written and read back")


@config_cli.command("check")
def config_check(config: Config = Path("line.toml"), *, json_: Json = False) -> None:
    """Check line.toml: every key, type and range, and that the times fit; 78 with file:line if not.

    Example: edge-agent config check --config line.toml
    """
    settings = _settings(config)
    _print(
        json_,
        {"schema_version": 1, "config": str(config), "ok": True, "line": settings.line.name},
        [f"{config}: ok ({settings.line.name}, {len(settings.bundle)} bundle(s))"],
    )


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of line.toml, for an editor.

    Example: edge-agent config schema > line.schema.json
    """
    from edge_agent.settings import settings_json_schema

    typer.echo(json.dumps(settings_json_schema(), indent=2))


@bundle_cli.command("show")
def bundle_show(folder: Path, *, json_: Json = False) -> None:
    """Verify a reference bundle and say what it is; 65 if it is incomplete or altered.

    Example: edge-agent bundle show bundles/zipper
    """
    from edge_agent.inspection.bundle import Bundle
    from edge_agent.inspection.provenance import provenance

    bundle = Bundle.load(folder)
    facts = {
        "schema_version": 1,
        "bundle_id": bundle.id,
        "part": bundle.part,
        "program": bundle.program,
        "camera": bundle.camera,
        "limit": bundle.limit,
        "review_from": bundle.review_from,
        **provenance(bundle),
    }
    _print(json_, facts, [f"{name}: {value}" for name, value in facts.items() if name != "schema_version"])


@cli.command()
def version(*, json_: Json = False) -> None:
    """Versions of the agent and of what it computes with.

    Example: edge-agent version --json
    """
    from importlib.metadata import version as version_of

    packages = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "pymodbus", "pyftpdlib")
    facts = {name: version_of(name) for name in packages} | {"python": sys.version.split()[0]}
    _print(json_, {"schema_version": 1, **facts}, [f"{name} {number}" for name, number in facts.items()])


def main() -> None:
    """Entry point. Known errors are one line with a hint and their exit code; anything else is a bug (70)."""
    from edge_agent.errors import EdgeAgentError

    try:
        cli()
    except EdgeAgentError as err:
        typer.echo(f"error: {err}", err=True)
        if err.hint:
            typer.echo(f"hint: {err.hint}", err=True)
        sys.exit(err.exit_code)
    except SystemExit as err:
        sys.exit(_EX_USAGE if err.code == _TYPER_USAGE else err.code)
    except OSError as err:
        typer.echo(f"error: {err}", err=True)
        sys.exit(_EX_IOERR)
    except Exception:  # noqa: BLE001 - the last line of defence: said in full, exit code 70
        traceback.print_exc()
        typer.echo("error: this is a bug in edge-agent; please report the lines above", err=True)
        sys.exit(_EX_SOFTWARE)


def _crop(text: str) -> str | tuple[int, int, int, int]:
    """auto, full, or four whole numbers with commas; anything else is left to the calibration to refuse."""
    fields = text.split(",")
    if len(fields) == 4 and all(field.strip().isdecimal() for field in fields):
        x, y, width, height = (int(field) for field in fields)
        return x, y, width, height
    return text


def _settings(config: Path) -> Settings:
    from edge_agent.settings import load_settings

    return load_settings(config)


def _print(as_json: bool, facts: Mapping[str, object], lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(facts, default=str))


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr: one a stage, gone from logs and pipes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    bars: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done, total=total)

        yield show
