"""The command line: parse, call, print, exit code. typer alone at the top: ``--help`` answers at once."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from unicodedata import category

import typer

from edge_agent.commands.ask import ask_cli
from edge_agent.commands.backup import backup_cli
from edge_agent.commands.bundle import bundle_cli
from edge_agent.commands.bypass import bypass_cli
from edge_agent.commands.calibrate import calibration_cli
from edge_agent.commands.challenge import challenge_cli
from edge_agent.commands.changes import changes_cli
from edge_agent.commands.cvx import cvx_cli
from edge_agent.commands.doctor import doctor_cli
from edge_agent.commands.evaluate import evaluation_cli
from edge_agent.commands.export import export_cli
from edge_agent.commands.fleet import fleet_cli
from edge_agent.commands.init import commissioning_cli
from edge_agent.commands.journal import journal_cli
from edge_agent.commands.learn import learn_cli
from edge_agent.commands.line import config_cli, output_cli
from edge_agent.commands.msa import msa_cli
from edge_agent.commands.replay import replay_cli
from edge_agent.commands.report import report_cli
from edge_agent.commands.results import results_cli
from edge_agent.commands.reviews import reviews_cli
from edge_agent.commands.shadow import shadow_cli
from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    Config,
    Json,
    Language,
    PaperSize,
    in_language,
    progress_bars,
    say,
    settings_of,
    show_brackets,
)
from edge_agent.commands.status import status_cli
from edge_agent.commands.timings import timings_cli
from edge_agent.commands.users import users_cli

__all__ = ["command_line", "main"]

_TYPER_USAGE, _EX_USAGE, _EX_SOFTWARE, _EX_IOERR = 2, 64, 70, 74
_READER_GONE = 141
"""What a shell says of a program that SIGPIPE ended: 128 + 13. The signal itself would end an agent for any socket."""

cli = typer.Typer(
    name="edge-agent",
    help="Inspects every part that a KEYENCE CV-X images and drives a fail-safe pass/reject output.",
    epilog="Exit codes: 0 ok, 1 it ran and the answer is no, 64 usage, 65 data, 69 unavailable, 70 bug, 74 I/O, "
    "75 already running, 77 not permitted, 78 config, 130 stopped by Ctrl-C, 141 nobody reads on (| head).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.add_typer(calibration_cli)
cli.add_typer(evaluation_cli)
cli.add_typer(replay_cli)
cli.add_typer(challenge_cli, name="challenge")
cli.add_typer(msa_cli, name="msa")
cli.add_typer(commissioning_cli)
cli.add_typer(doctor_cli)
cli.add_typer(status_cli)
cli.add_typer(reviews_cli)
cli.add_typer(backup_cli)
cli.add_typer(output_cli, name="output")
cli.add_typer(config_cli, name="config")
cli.add_typer(bundle_cli, name="bundle")
cli.add_typer(shadow_cli, name="shadow")
cli.add_typer(learn_cli, name="learn")
cli.add_typer(cvx_cli, name="cvx")
cli.add_typer(bypass_cli, name="bypass")
journal_cli.add_typer(export_cli)
journal_cli.add_typer(changes_cli)
journal_cli.add_typer(timings_cli)
cli.add_typer(journal_cli, name="journal")
cli.add_typer(ask_cli)
cli.add_typer(report_cli, name="report")
cli.add_typer(results_cli, name="results")
cli.add_typer(users_cli, name="users")
cli.add_typer(fleet_cli, name="fleet")


@cli.command()
def run(
    config: Config = DEFAULT_CONFIG,
    *,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Against simulated peers on this machine; drives no real output.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge and record every part; the output stays REJECT.")
    ] = False,
    simulated_images: Annotated[
        Path | None, typer.Option(help="With --simulated: images that the simulated camera shows, in name order.")
    ] = None,
) -> None:
    """Inspect parts until stopped.

    Example: edge-agent run --config line.toml
    """
    import asyncio

    from edge_agent.logs import configure_logs
    from edge_agent.runtime.claim import claimed, claimed_line
    from edge_agent.runtime.worker import any_at_work
    from edge_agent.wiring.agent import run_agent

    settings = settings_of(config, drives_pass=not (simulated or dry_run), writes_state=True)
    configure_logs(settings.log.level, settings.log.format)
    if simulated or settings.controller.kind == "simulated":
        from edge_agent.wiring.simulation import simulated_peers

        flags = ("--without-ready",) if dry_run else ()
        with (
            claimed_line(settings, is_simulated=True),
            simulated_peers(settings, config, images=simulated_images, flags=flags) as simulated_settings,
        ):
            asyncio.run(run_agent(simulated_settings, is_simulated=True, is_dry_run=dry_run, written=settings))
    else:
        with claimed(settings.output) as claim, claimed_line(settings):
            asyncio.run(run_agent(settings, claim=claim, is_dry_run=dry_run))
    if any_at_work():
        _leave(0)


@cli.command()
def simulate(
    config: Config = DEFAULT_CONFIG,
    *,
    images: Annotated[
        Path | None, typer.Option(help="Show these images, in name order, instead of rendered zipper cursors.")
    ] = None,
    spacing_ms: Annotated[
        int | None,
        typer.Option(min=50, help="Time between two parts; by default a tenth above line.min_part_spacing_ms."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Let it go wrong: NAME (every fifth part), NAME@7 (at the seventh), NAME/20 (every 20th)."),
    ] = None,
    good_parts: Annotated[
        bool, typer.Option("--good-parts", help="Good parts only: for calibrate-reference --live.")
    ] = False,
    without_ready: Annotated[
        bool, typer.Option("--without-ready", help="Bring parts to whoever is there: a dry run is never READY.")
    ] = False,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Print every fault by name, and stop.")] = False,
    connections: Annotated[
        Literal["replace", "refuse", "many"], typer.Option(help="What a second client of the command port does.")
    ] = "replace",
    serial: Annotated[
        bool, typer.Option("--serial", help="Serve the controller on a pseudo terminal as well; its name is logged.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log warnings and errors alone.", hidden=True)] = False,
    ports: Annotated[str, typer.Option(help="Other ports than line.toml's, as JSON.", hidden=True)] = "{}",
) -> None:
    """Start a simulated controller and a simulated remote I/O at 127.0.0.1, at the ports of line.toml.

    Example: edge-agent simulate --config line.toml --fault late-result --fault io-mute@7
    """
    from edge_agent.logs import configure_logs
    from edge_agent.wiring.simulation import SimulationOptions, fault_names, run_simulation

    if list_faults:
        for name, words in fault_names().items():
            typer.echo(f"{name:<20} {words}")
        return
    settings = settings_of(config)
    configure_logs("warning" if quiet else settings.log.level, settings.log.format)
    options = SimulationOptions(
        None if spacing_ms is None else spacing_ms / 1000,
        images,
        json.loads(ports),
        tuple(fault or ()),
        connections,
        has_serial_line=serial,
        is_good_only=good_parts,
        must_be_ready=not without_ready,
    )
    run_simulation(settings, options)


@cli.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where images, bundle, journal and report go.")] = Path("demo-output"),
    *,
    parts: Annotated[int, typer.Option(min=4, max=1000)] = 60,
    defective: Annotated[int, typer.Option(min=0, help="How many of them are defective.")] = 15,
    good: Annotated[int, typer.Option(min=20, help="Good parts to calibrate from.")] = 40,
    width: Annotated[int, typer.Option(min=160, help="Image width; the height is three quarters of it.")] = 1600,
    spacing_ms: Annotated[int, typer.Option(min=200, help="Time between two parts.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same parts.")] = 7,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """A whole line on this machine: simulated controller and remote I/O, the real agent, a report.

    Example: edge-agent demo
    """
    from edge_agent.logs import configure_logs
    from edge_agent.tools.demo.plan import DemoPlan
    from edge_agent.tools.demo.run import run_demo

    configure_logs("warning", "auto")
    plan = DemoPlan(
        out=out,
        parts=parts,
        defective=defective,
        good=good,
        width=width,
        spacing_s=spacing_ms / 1000,
        seed=seed,
        paper=paper,
    )
    with progress_bars() as progress, in_language(language):
        result = run_demo(plan, progress, say=lambda line: typer.echo(line, err=json_))
    say(json_, result.to_json(), result.summary())
    raise typer.Exit(result.exit_code)


@cli.command()
def version(*, json_: Json = False) -> None:
    """Versions of the agent and of what it computes with.

    Example: edge-agent version --json
    """
    from importlib.metadata import version as version_of

    packages = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "pymodbus", "pyftpdlib")
    facts = {name: version_of(name) for name in packages} | {"python": sys.version.split()[0]}
    say(json_, {"schema_version": 1, **facts}, [f"{name} {number}" for name, number in facts.items()])


def _leave(code: int) -> NoReturn:
    """End the process while a thread of the agent is in native code.

    An interpreter that is taken down under it makes of a stop in order an abort; and one that never returns is not
    waited for. The journal is closed and REJECT is written: nothing is left to tidy.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _harmless(told: object) -> str:
    """What is told, without control bytes: a file's name or a peer's words must not work a person's terminal."""
    return "".join(
        letter if letter in "\n\t" or category(letter) != "Cc" else f"\\x{ord(letter):02x}" for letter in str(told)
    )


def command_line() -> Any:
    """Every command, as typer makes them of their functions; their help shows square brackets as they are written."""
    root = typer.main.get_command(cli)
    show_brackets(root)
    return root


def main() -> None:
    """Entry point. Known errors are one line with a hint and their exit code; anything else is a bug (70)."""
    from edge_agent.errors import EdgeAgentError, NotPermitted
    from edge_agent.files.owners import whose_words

    try:
        command_line()()
    except EdgeAgentError as err:
        typer.echo(f"error: {_harmless(err)}", err=True)
        if err.hint:
            typer.echo(f"hint: {_harmless(err.hint)}", err=True)
        if err.leaves_thread:
            _leave(err.exit_code)
        sys.exit(err.exit_code)
    except SystemExit as err:
        # typer ends with 1 where nobody reads what it prints any more, as after `| head`; 1 is "the answer is no" here.
        why = err.__context__
        if isinstance(why, OSError) and why.errno == errno.EPIPE:
            sys.exit(_READER_GONE)
        sys.exit(_EX_USAGE if err.code == _TYPER_USAGE else err.code)
    except PermissionError as err:
        typer.echo(f"error: {_harmless(err)}", err=True)
        if isinstance(err.filename, str):
            typer.echo(f"hint: {whose_words(Path(err.filename))}", err=True)
        sys.exit(NotPermitted.exit_code)
    except OSError as err:
        typer.echo(f"error: {_harmless(err)}", err=True)
        sys.exit(_EX_IOERR)
    except Exception:  # noqa: BLE001 - the last line of defence: said in full, exit code 70
        traceback.print_exc()
        typer.echo("error: this is a bug in edge-agent; please report the lines above", err=True)
        sys.exit(_EX_SOFTWARE)
