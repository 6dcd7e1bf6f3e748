"""``edge-agent init``: the first line.toml of a line. Parse, ask, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, Json, progress_bars, say

if TYPE_CHECKING:
    from edge_agent.tools.commissioning import LineFacts

__all__ = ["commissioning_cli"]

T = TypeVar("T", int, float, str)

commissioning_cli = typer.Typer()

_SIMULATED_MS = 1800
"""The simulated line brings a part every 2 s."""
_REJECT_DAYS, _PASS_HOURS, _IMAGE_MIB = 30, 8.0, 1.9
"""A month of rejects, a shift of passes, a grey BMP of 1600 x 1200 pixels: where nobody says anything else."""
_PAGE = "http://127.0.0.1:8480/"
"""Where [web] of the written file serves it."""
_PASS_MS = 300
"""How long PASS stands in the written file: what the deadline leaves of the spacing."""


@commissioning_cli.command()
def init(
    out: Annotated[
        Path, typer.Option("--out", "-o", help=f"The file to write. Without --config, commands read {DEFAULT_CONFIG}.")
    ] = Path("line.toml"),
    *,
    search: Annotated[
        str | None, typer.Option(metavar="NET", help="Look for the controller in 192.168.10.0/24 or A,B,C; reads only.")
    ] = None,
    controller: Annotated[str | None, typer.Option(help="Address of the controller.")] = None,
    controller_port: Annotated[int, typer.Option(min=1, max=65535, help="Its command port.")] = 8500,
    own_address: Annotated[str | None, typer.Option(help="This PC's address on the controller's network.")] = None,
    output: Annotated[str | None, typer.Option(help="Address of the remote I/O.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call the line.")] = None,
    spacing_ms: Annotated[int | None, typer.Option(min=1, help="The shortest time between two parts.")] = None,
    imaging_ms: Annotated[
        int | None, typer.Option(min=0, help="From a wired trigger to the first sign of its part, at most.")
    ] = None,
    deadline_ms: Annotated[int | None, typer.Option(min=1, help="From the first sign of a part to PASS.")] = None,
    module: Annotated[
        str | None, typer.Option(help="Family of the remote I/O, as output.module has it: its watchdog is proven then.")
    ] = None,
    program: Annotated[int | None, typer.Option(min=0, max=999, help="The controller's program number.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of journal, archive and bundles; /var/lib/edge-agent by default.")
    ] = None,
    keep_reject_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days that images of rejected parts are to stay.")
    ] = None,
    keep_pass_hours: Annotated[
        float | None, typer.Option(min=0, max=876_000, help="Hours that images of passed parts are to stay.")
    ] = None,
    parts_per_minute: Annotated[
        float | None, typer.Option(min=0.01, max=6000, help="How many parts come; by default the shortest spacing's.")
    ] = None,
    image_mib: Annotated[float | None, typer.Option(min=0.001, max=1024, help="Size of one part's images.")] = None,
    reject_percent: Annotated[float, typer.Option(min=0, max=100, help="Share of parts that are rejected.")] = 5.0,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="No hardware: a simulated line on this machine; asks nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the default of what is not named.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json_: Json = False,
) -> None:
    """Ask the few things that matter, find the controller, write a line.toml in which every key is explained.

    Example: edge-agent init --search 192.168.10.0/24 --out line.toml

    Example: edge-agent init --simulated
    """
    import asyncio

    from edge_agent.errors import UsageError
    from edge_agent.tools import commissioning

    def answer(given: T | None, question: str, default: T) -> T:
        if given is not None or yes or simulated:
            return default if given is None else given
        asked: T = typer.prompt(question, default=default, err=True)
        return asked

    if simulated and (search or controller or output):
        raise UsageError("a simulated line has no addresses", hint="leave out --search, --controller and --output")
    wherever = ("127.0.0.1", "127.0.0.1") if simulated else ("192.168.10.10", "192.168.20.20")
    found = []
    if search is not None:
        addresses = commissioning.addresses_in(search)
        with progress_bars() as progress:
            found = asyncio.run(commissioning.find_controllers(addresses, progress, port=controller_port))
        for one in found:
            typer.echo(f"found: {one.address} ({one.version})", err=True)
        if not found:
            typer.echo(f"nothing in {search} answers as a controller on port {controller_port}", err=True)
    if state is None:
        state = Path("state" if simulated else "/var/lib/edge-agent")
    host = answer(controller, "Address of the controller", found[0].address if found else wherever[0])
    spacing = answer(spacing_ms, "Shortest time between two parts, in ms", _SIMULATED_MS if simulated else 1000)
    imaging = answer(imaging_ms, "Exposure and the controller's own work, in ms; 0 where the agent triggers", 0)
    rest = max(1, spacing - imaging - _PASS_MS)
    facts = commissioning.LineFacts(
        name=answer(name, "What is the line called", "line 1"),
        controller=host,
        controller_port=controller_port,
        own_address=answer(own_address, "This PC's address towards the controller", commissioning.own_address(host)),
        output=answer(output, "Address of the remote I/O", wherever[1]),
        min_part_spacing_ms=spacing,
        deadline_ms=answer(deadline_ms, "From the first sign of a part to PASS, in ms", rest),
        imaging_ms=imaging,
        program=answer(program, "The controller's program number", 0),
        state=state,
        module=module,
        is_simulated=simulated,
        archive=None
        if simulated
        else commissioning.archive_plan(
            state,
            reject_days=answer(keep_reject_days, "Days that images of rejected parts are to stay", _REJECT_DAYS),
            pass_hours=answer(keep_pass_hours, "Hours that images of passed parts are to stay", _PASS_HOURS),
            parts_per_minute=answer(parts_per_minute, "Parts a minute", round(60_000 / spacing, 2)),
            image_mib=answer(image_mib, "Size of one part's images, in MiB", _IMAGE_MIB),
            reject_share=reject_percent / 100,
        ),
    )
    plan = facts.archive
    if out.exists() and not (force or yes or simulated):
        force = typer.confirm(f"{out} exists. Replace it?", err=True)
    password = commissioning.write_line(out, facts, overwrite=force)
    if simulated:  # what an installation makes for a real line
        (state / "bundles").mkdir(parents=True, exist_ok=True)
    say(
        json_,
        {
            "schema_version": 1,
            "config": str(out),
            "password_file": str(password),
            "found": [f.address for f in found],
            "archive": None if plan is None else {"max_gib": plan.max_gib, "fits": plan.fits, "words": plan.words},
        },
        [
            f"written: {out}; the FTP password for the controller is in {password}",
            *([] if plan is None else [f"archive: {plan.words}"]),
            "next:",
            *(f"  {number}. {command}" for number, command in enumerate(_commands(out, facts), 1)),
            f"the page, while it runs: {_PAGE}",
        ],
    )


def _commands(out: Path, facts: LineFacts) -> list[str]:
    """What comes next, in its order; as the user of the state folder, where that is another than this one."""
    from edge_agent.files.owners import as_owner, program
    from edge_agent.settings import load_settings
    from edge_agent.settings.fit import watchdog

    is_proven = not watchdog(load_settings(out))
    is_own = as_owner(facts.state, "edge-agent") == "edge-agent"
    config = f"--config {out if is_own else out.absolute()}"
    bundle = facts.state / "bundles" / f"program-{facts.program}"
    good = "good/" if is_own else facts.state / "good"  # where that user may write
    commands = [
        *([] if facts.is_simulated else [f"cvx status {config}"]),
        f"calibrate-reference {good} --live 40 {config} --out {bundle} --program {facts.program}",
        f"doctor {config}",
        *([] if facts.is_simulated else [f"output test {config} --yes"]),
        *([] if is_proven else [f'output test {config} --watchdog --by "YOUR NAME" --yes']),
        f"run {config} --dry-run",
        f"run {config}",
    ]
    return [as_owner(facts.state, f"{'edge-agent' if is_own else program()} {command}") for command in commands]
