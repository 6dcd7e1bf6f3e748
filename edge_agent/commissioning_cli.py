"""``edge-agent init``: the first line.toml of a line. Parse, ask, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from edge_agent.base_cli import Json, progress_bars, say

__all__ = ["commissioning_cli"]

T = TypeVar("T", int, str)

commissioning_cli = typer.Typer()

_PASS_MS = 300
"""How long PASS stands in the written file: what the deadline leaves of the spacing."""


@commissioning_cli.command()
def init(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("line.toml"),
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
    deadline_ms: Annotated[int | None, typer.Option(min=1, help="From the first sign of a part to PASS.")] = None,
    program: Annotated[int | None, typer.Option(min=0, max=999, help="The controller's program number.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of journal, archive and bundles.")] = Path("/var/lib/edge-agent"),
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the default of what is not named.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json_: Json = False,
) -> None:
    """Ask the few things that matter, find the controller, write a line.toml in which every key is explained.

    Example: edge-agent init --search 192.168.10.0/24 --out line.toml
    """
    import asyncio

    from edge_agent import commissioning

    def answer(given: T | None, question: str, default: T) -> T:
        if given is not None or yes:
            return default if given is None else given
        asked: T = typer.prompt(question, default=default, err=True)
        return asked

    found = []
    if search is not None:
        addresses = commissioning.addresses_in(search)
        with progress_bars() as progress:
            found = asyncio.run(commissioning.find_controllers(addresses, progress, port=controller_port))
        for one in found:
            typer.echo(f"found: {one.address} ({one.version})", err=True)
        if not found:
            typer.echo(f"nothing in {search} answers as a controller on port {controller_port}", err=True)
    host = answer(controller, "Address of the controller", found[0].address if found else "192.168.10.10")
    spacing = answer(spacing_ms, "Shortest time between two parts, in ms", 1000)
    facts = commissioning.LineFacts(
        name=answer(name, "What is the line called", "line 1"),
        controller=host,
        controller_port=controller_port,
        own_address=answer(own_address, "This PC's address towards the controller", commissioning.own_address(host)),
        output=answer(output, "Address of the remote I/O", "192.168.20.20"),
        min_part_spacing_ms=spacing,
        deadline_ms=answer(deadline_ms, "From the first sign of a part to PASS, in ms", max(1, spacing - _PASS_MS)),
        program=answer(program, "The controller's program number", 0),
        state=state,
    )
    if out.exists() and not (force or yes):
        force = typer.confirm(f"{out} exists. Replace it?", err=True)
    password = commissioning.write_line(out, facts, overwrite=force)
    config, bundle = f"--config {out}", state / "bundles" / f"program-{facts.program}"
    say(
        json_,
        {"schema_version": 1, "config": str(out), "password_file": str(password), "found": [f.address for f in found]},
        [
            f"written: {out}; the FTP password for the controller is in {password}",
            "next:",
            f"  1. edge-agent cvx status {config}",
            f"  2. edge-agent calibrate-reference good/ --live 40 {config} --out {bundle} --program {facts.program}",
            f"  3. edge-agent doctor {config}",
            f"  4. edge-agent run {config} --dry-run",
            f"  5. edge-agent run {config}",
        ],
    )
