"""``edge-agent bundle``: reference bundles by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.base_cli import Json, say

__all__ = ["bundle_cli"]

bundle_cli = typer.Typer(no_args_is_help=True, help="Reference bundles.")

Folder = Annotated[Path, typer.Argument(help="The folder that calibrate-reference wrote.")]


@bundle_cli.command("show")
def bundle_show(folder: Folder, *, json_: Json = False) -> None:
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
    say(json_, facts, [f"{name}: {value}" for name, value in facts.items() if name != "schema_version"])
