"""``edge-agent bundle``: reference bundles by hand. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.base_cli import DEFAULT_CONFIG, By, Config, Json, say, settings_of, who

__all__ = ["bundle_cli"]

bundle_cli = typer.Typer(no_args_is_help=True, help="Reference bundles: what good parts look like.")

Folder = Annotated[Path, typer.Argument(help="The folder that calibrate-reference wrote.")]
Why = Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")]
_AGAIN = "it judges from the agent's next start on: systemctl restart edge-agent"


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


@bundle_cli.command("list")
def bundle_list(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Every bundle of every [[bundle]] of line.toml, verified: which is in use, since when, by whom; 65 if one is not.

    Example: edge-agent bundle list --config line.toml
    """
    from edge_agent.bundles import listed

    places = [listed(entry) for entry in settings_of(config).bundle]
    lines = []
    for place in places:
        lines.append(f"program {place.program}, camera {place.camera}: {place.path}")
        lines += [f"  {bundle}" for bundle in place.bundles] or ["  no bundle"]
        lines += [f"    {switch}" for switch in place.history]
        lines += [f"  not usable: {place.problem}"] if place.problem else []
    is_usable = not any(place.problem for place in places)
    say(json_, {"schema_version": 1, "ok": is_usable, "places": [place.to_json() for place in places]}, lines)
    raise typer.Exit(0 if is_usable else 65)


@bundle_cli.command("compare")
def bundle_compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A bundle, or a registry: then the one in use.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    *,
    json_: Json = False,
) -> None:
    """What differs between two bundles, in words: images, limit, channels, versions; 1 if anything does.

    Example: edge-agent bundle compare bundles/program-1 bundles/new
    """
    from edge_agent.inspection.bundle import Bundle
    from edge_agent.inspection.comparison import compare

    a, b = Bundle.load(first), Bundle.load(second)
    found = compare(a, b)
    facts = {
        "schema_version": 1,
        "a": {"folder": str(a.folder), "bundle_id": a.id, "created": a.created},
        "b": {"folder": str(b.folder), "bundle_id": b.id, "created": b.created},
        "differences": [{"topic": one.topic, "a": one.a, "b": one.b} for one in found],
    }
    lines = [f"A: {a.folder} {a.id[:12]} of {a.created}", f"B: {b.folder} {b.id[:12]} of {b.created}"]
    lines += [line for one in found for line in (one.topic, f"  A: {one.a}", f"  B: {one.b}")]
    say(json_, facts, lines if found else [*lines, "the same: they judge alike and were made of the same images"])
    raise typer.Exit(1 if found else 0)


@bundle_cli.command("activate")
def bundle_activate(
    folder: Folder, config: Config = DEFAULT_CONFIG, *, by: By = None, why: Why = "", json_: Json = False
) -> None:
    """Put a bundle to use in one step, after proving it on this PC; the one before stays for a rollback.

    Its program and camera say which [[bundle]] of line.toml it is for; there it is copied to.

    Example: edge-agent bundle activate new/ --config line.toml --why "new lot of zippers"
    """
    from edge_agent.bundles import entry_of, proven
    from edge_agent.inspection.bundle import Bundle
    from edge_agent.inspection.registry import activate

    settings, bundle = settings_of(config), Bundle.load(folder)
    entry = entry_of(settings, bundle.program, bundle.camera)
    switch = activate(entry.path, bundle.folder, by=who(by), why=why, prove=proven(entry, settings.inference.threads))
    facts = {"schema_version": 1, "folder": str(entry.path / switch.folder), "bundle_id": switch.bundle_id}
    say(json_, facts, [str(switch), _AGAIN])


@bundle_cli.command("rollback")
def bundle_rollback(
    config: Config = DEFAULT_CONFIG,
    *,
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: By = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Go back to the bundle that was in use before, in one step, after proving it on this PC.

    Example: edge-agent bundle rollback --config line.toml --program 1 --why "too many rejects"
    """
    from edge_agent.bundles import entry_of, proven
    from edge_agent.inspection.registry import rollback

    settings = settings_of(config)
    entry = entry_of(settings, program, camera)
    switch = rollback(entry.path, by=who(by), why=why, prove=proven(entry, settings.inference.threads))
    facts = {"schema_version": 1, "folder": str(entry.path / switch.folder), "bundle_id": switch.bundle_id}
    say(json_, facts, [str(switch), _AGAIN])
