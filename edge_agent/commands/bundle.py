"""``edge-agent bundle``: reference bundles by hand. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    By,
    Config,
    Json,
    PassphraseFile,
    passphrase_of,
    say,
    settings_of,
    who,
)
from edge_agent.commands.signing import As, PasswordFile, signed_by

if TYPE_CHECKING:
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.bundle.registry import Switch
    from edge_agent.people.signing import Signed
    from edge_agent.settings import BundleSettings, Settings
    from edge_agent.shadow.comparison import Comparison

__all__ = ["bundle_cli"]

bundle_cli = typer.Typer(no_args_is_help=True, help="Reference bundles: what good parts look like.")

Folder = Annotated[Path, typer.Argument(help="The folder that calibrate-reference wrote.")]
Why = Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")]
_LONGEST_REASON = 120
"""Of the 200 characters that the record of a switch holds: the rest names what is loosened."""
_AGAIN = "it judges from the agent's next start on: systemctl restart edge-agent"


@bundle_cli.command("show")
def bundle_show(folder: Folder, *, json_: Json = False) -> None:
    """Verify a reference bundle and say what it is; 65 if it is incomplete or altered.

    Example: edge-agent bundle show bundles/zipper
    """
    from edge_agent.bundles.line_bundles import signed_words
    from edge_agent.inspection.bundle.provenance import provenance
    from edge_agent.inspection.bundle.reference_bundle import Bundle

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
        "signed": signed_words(bundle),
    }
    say(json_, facts, [f"{name}: {value}" for name, value in facts.items() if name != "schema_version"])


@bundle_cli.command("list")
def bundle_list(config: Config = DEFAULT_CONFIG, *, json_: Json = False) -> None:
    """Every bundle of every [[bundle]], verified: which is in use, since when, by whom, who signed; 65 if one is not.

    Example: edge-agent bundle list --config line.toml
    """
    from edge_agent.bundles.line_bundles import listed

    settings = settings_of(config)
    places = [listed(settings, entry) for entry in settings.bundle]
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
    from edge_agent.inspection.bundle.comparison import compare
    from edge_agent.inspection.bundle.reference_bundle import Bundle

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
    folder: Folder,
    config: Config = DEFAULT_CONFIG,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Put a bundle to use in one step, after proving it on this PC; the one before stays for a rollback.

    Its program and camera say which [[bundle]] of line.toml it is for; there it is copied to. Where it was watched
    beside the line (shadow begin), what was found is said, with a warning where known defects would pass. A bundle
    that learned from the line (learn run) says what it does worse than the one before, and wants --why for it.

    Example: edge-agent bundle activate new/ --config line.toml --why "new lot of zippers"
    """
    from edge_agent.bundles.line_bundles import entry_of, load_bundle, proven
    from edge_agent.files.owners import refuse_root
    from edge_agent.inspection.bundle.registry import activate
    from edge_agent.people.roles import Action

    settings = settings_of(config, writes_state=True)
    signed = signed_by(settings, Action.ACTIVATE, by=by, user=user, password_file=password_file, why=why)
    bundle = load_bundle(settings, folder)
    entry = entry_of(settings, bundle.program, bundle.camera)
    refuse_root([entry.path])
    shadow = _shadow_of(settings, bundle.id)
    because = _reason_of(settings, bundle, entry, why)
    switch = activate(entry.path, bundle.folder, by=signed.words, why=because, prove=proven(settings, entry))
    _say_chosen(settings, entry, switch, json_, shadow)


@bundle_cli.command("rollback")
def bundle_rollback(
    config: Config = DEFAULT_CONFIG,
    *,
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Go back to the bundle that was in use before, in one step, after proving it on this PC.

    Example: edge-agent bundle rollback --config line.toml --program 1 --why "too many rejects"
    """
    from edge_agent.bundles.line_bundles import entry_of, proven
    from edge_agent.files.owners import refuse_root
    from edge_agent.inspection.bundle.registry import rollback
    from edge_agent.people.roles import Action

    settings = settings_of(config, writes_state=True)
    signed = signed_by(settings, Action.ACTIVATE, by=by, user=user, password_file=password_file, why=why)
    entry = entry_of(settings, program, camera)
    refuse_root([entry.path])
    switch = rollback(entry.path, by=signed.words, why=why, prove=proven(settings, entry))
    _say_chosen(settings, entry, switch, json_)


def _reason_of(settings: Settings, bundle: Bundle, entry: BundleSettings, why: str) -> str:
    """The reason as the record keeps it, with what is loosened by a bundle that learned; that is said as well.

    Raises UsageError where something is, and nobody says why it may be.
    """
    from edge_agent.errors import BundleRejected
    from edge_agent.inspection.bundle.learned import check_reason, learned_of
    from edge_agent.inspection.bundle.manifest import read_manifest
    from edge_agent.inspection.bundle.registry import bundle_in_use
    from edge_agent.tools.learn.since import said_since

    try:
        in_use = read_manifest(bundle_in_use(entry.path)[0]).text("id")
    except BundleRejected:  # none judges, or a damaged one: there is nothing that could be loosened
        in_use = None
    learned, since = learned_of(bundle.manifest), []
    if learned is not None:
        without = frozenset(image["sha256"] for image in bundle.manifest.get("left_out_images", ()))
        place = {"program": bundle.program, "camera": bundle.camera}
        since = said_since(settings.store.journal, learned, **place, without=without)
    loosened = check_reason(bundle.manifest, in_use, why, since)
    if not loosened:
        return why
    for one in loosened:
        typer.echo(f"worse than before: {one}", err=True)
    names = "; ".join(one.partition(":")[0] for one in loosened)
    return f"{why.strip()[:_LONGEST_REASON]} (although {len(loosened)} worse: {names})"


def _shadow_of(settings: Settings, bundle_id: str) -> Comparison | None:
    """What this bundle found beside the line, said at once: whoever activates it reads it before anything else.

    A file of shadows that cannot be read holds nobody up: it is said, and is no comparison.
    """
    from edge_agent.errors import DataError
    from edge_agent.shadow.comparison import newest_comparison

    try:
        found = newest_comparison(settings.store.journal, bundle_id)
    except DataError as err:
        typer.echo(f"what this bundle found beside the line cannot be read: {err}", err=True)
        return None
    lines = (
        ["this bundle was not watched beside the line (edge-agent shadow begin)"] if found is None else found.lines()
    )
    for line in lines:
        typer.echo(line, err=True)
    return found


def _say_chosen(
    settings: Settings, entry: BundleSettings, switch: Switch, json_: bool, shadow: Comparison | None = None
) -> None:
    import asyncio

    from edge_agent.bundles.line_bundles import chosen

    why_not = asyncio.run(chosen(settings, entry, switch))
    facts: dict[str, object] = {
        "schema_version": 1,
        "folder": str(entry.path / switch.folder),
        "bundle_id": switch.bundle_id,
    }
    if shadow is not None:
        facts["shadow"] = shadow.to_json()
    say(json_, facts, [*filter(None, [str(switch), _AGAIN, _samples_asked(settings), why_not])])


def _samples_asked(settings: Settings) -> str:
    from edge_agent.golden.plan import Plan

    return Plan.of(settings).of_new_bundle


@bundle_cli.command("relimit")
def bundle_relimit(
    config: Config = DEFAULT_CONFIG,
    *,
    to: Annotated[float, typer.Option("--to", metavar="LIMIT", help="The new limit: scores from it on are rejected.")],
    program: Annotated[int | None, typer.Option(help="Of which [[bundle]]; needed where there are several.")] = None,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who signs for it: it stands in the bundle. With users, --as."),
    ] = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")],
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Look at parts from then on; known defects count all the same.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking at the terminal.")] = False,
    although_known_defects_pass: Annotated[
        bool, typer.Option("--although-known-defects-pass", help="The named defects shall pass by this limit.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="KEYFILE", help="Sign the new bundle with this key (bundle keygen).")
    ] = None,
    passphrase_file: PassphraseFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Only write the new bundle here; it is signed and activated later.")
    ] = None,
    json_: Json = False,
) -> None:
    """Move the limit, with a signature in words: says first what it would do, asks, then activates a new bundle.

    The bundle in use is not changed, and a running agent judges on by it until its next start. 1 where nothing was
    done because nobody said yes.

    Example: edge-agent bundle relimit --program 1 --to 1.8 --by "A. Weber" --why "dust on the fixture"
    """
    import asyncio
    import sys
    from dataclasses import replace

    from drivers.base import DriverError
    from edge_agent.bundles.limits import move_limit
    from edge_agent.bundles.prospect import NEXT_START, LimitWish, foresee
    from edge_agent.commands.shared import utc_of
    from edge_agent.desk.noted import noted
    from edge_agent.errors import EdgeAgentError, UsageError
    from edge_agent.files.owners import refuse_root
    from edge_agent.inspection.bundle.limit_changes import LIMIT_EVENT
    from edge_agent.people.roles import Action

    settings = settings_of(config, writes_state=True)
    refuse_root([entry.path for entry in settings.bundle])
    if by is None and user is None:
        raise UsageError("whoever moves a limit signs for it", hint='--by "YOUR NAME"; with users: --as NAME')

    def sign_for_it() -> Signed:
        return signed_by(settings, Action.LIMIT, by=by, user=user, password_file=password_file, why=why)

    # Whoever only looks what the limit would do signs nothing.
    signed = sign_for_it() if yes else None
    wish = LimitWish(
        program,
        camera,
        to,
        by or "",
        why,
        although_known_defects_pass=although_known_defects_pass,
        since_utc=utc_of("--since", since),
    )
    prospect = foresee(settings, wish)
    lines = prospect.lines()
    facts = {"schema_version": 1, **prospect.to_json(), "done": False}
    may_ask = sys.stdin.isatty() and (not prospect.refusal or although_known_defects_pass)
    if may_ask and not yes:
        yes = typer.confirm("\n".join([*lines, f"Make {to:.6g} the limit?"]), err=True)
        lines = []
    if not yes and (not prospect.refusal or although_known_defects_pass):
        say(json_, facts, [*lines, "nothing was changed; the same command with --yes does it"])
        raise typer.Exit(1)
    for line in lines:  # before anything is refused: whoever decides sees what it rests on
        typer.echo(line, err=True)
    wish = replace(wish, by=(signed or sign_for_it()).words)
    signing = None
    if key is not None:
        from edge_agent.bundles.signing import SigningKey

        signing = SigningKey.read(key, lambda: passphrase_of(passphrase_file))
    moved = move_limit(settings, wish, key=signing, out=out, prospect=prospect)
    facts |= {"done": True, "new_bundle_id": moved.bundle_id, "folder": str(moved.folder), "active": moved.is_active}
    if not moved.is_active:
        then = f"edge-agent bundle activate {moved.folder} --config {config}"
        say(json_, facts, [f"written, not in use: {moved.folder} {moved.bundle_id[:12]}", f"then: {then}"])
        return
    try:
        facts["recorded_via"] = asyncio.run(noted(settings, LIMIT_EVENT, moved.detail))
    except (EdgeAgentError, DriverError, OSError) as err:
        what = (
            f"the limit is moved and bundle {moved.bundle_id[:12]} is activated, but the journal does not say so: {err}"
        )
        raise EdgeAgentError(what, hint="the agent's next start writes it, with who and why") from err
    lines = [f"{moved.folder} {moved.bundle_id[:12]}: {moved.change}", NEXT_START, _samples_asked(settings)]
    say(json_, facts, [*filter(None, lines)])


@bundle_cli.command("keygen")
def bundle_keygen(
    keyfile: Annotated[Path, typer.Argument(help="Where the private key is to lie; the public one gets .pub.")],
    *,
    name: Annotated[str, typer.Option(help="Whose key it is, for people who read line.toml.")] = "",
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Protect it with a passphrase, asked for.")] = False,
    passphrase_file: PassphraseFile = None,
    json_: Json = False,
) -> None:
    """Make a key pair to sign bundles with: a private key, mode 0600, and the line for line.toml.

    Example: edge-agent bundle keygen ~/bundle-key --name "Ada Lovelace" --passphrase
    """
    from edge_agent.bundles.signing import make_key, public_key_file

    secret = passphrase_of(passphrase_file, confirm=True) if passphrase or passphrase_file else None
    public = make_key(keyfile, name or who(None), secret)
    lines = [
        f"{keyfile}: the private key. Whoever has it can sign for you: keep it off the line's PC",
        f"{public_key_file(keyfile)}: the public key, for line.toml:",
        "[signatures]",
        f'trusted_keys = ["{public}"]',
    ]
    facts = {"schema_version": 1, "private_key": str(keyfile), "public_key": str(public)}
    say(json_, facts, lines)


@bundle_cli.command("sign")
def bundle_sign(
    folder: Folder,
    *,
    key: Annotated[Path, typer.Option(metavar="KEYFILE", help="The private key that bundle keygen made.")],
    passphrase_file: PassphraseFile = None,
    by: By = None,
    json_: Json = False,
) -> None:
    """Sign a bundle, after proving it whole: a line that trusts this key may judge by it.

    Example: edge-agent bundle sign bundles/zipper --key ~/bundle-key --by "Ada Lovelace"
    """
    from edge_agent.bundles.signing import SigningKey, sign_bundle
    from edge_agent.files.owners import refuse_root

    refuse_root([folder], of_people=False)
    signing = SigningKey.read(key, lambda: passphrase_of(passphrase_file))
    signature = sign_bundle(folder, signing, who(by))
    facts = {"schema_version": 1, "folder": str(folder), "key": signature.key.key, "by": signature.by}
    say(json_, {**facts, "at_utc": signature.at_utc}, [f"{folder}: {signature}"])


@bundle_cli.command("verify")
def bundle_verify(
    folder: Folder,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="PUBLIC", help="Trust this public key, or .pub file; may be repeated. Else line.toml's."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json_: Json = False,
) -> None:
    """Say whether a trusted key signed a bundle, and nothing was changed since; 65 if not.

    Example: edge-agent bundle verify bundles/zipper --key bundle-key.pub
    """
    from edge_agent.bundles.line_bundles import signed_words
    from edge_agent.bundles.signing import read_public_keys
    from edge_agent.errors import UsageError
    from edge_agent.inspection.bundle.reference_bundle import Bundle

    trusted = read_public_keys(key) if key else settings_of(config).trusted_keys
    if not trusted:
        hint = "edge-agent bundle show says who signed; --key, or [signatures] in line.toml, whom to trust"
        raise UsageError(f"{config} trusts no key, so there is nothing to verify by", hint=hint)
    bundle = Bundle.load(folder, trusted=trusted)
    words = signed_words(bundle, trusted)
    say(json_, {"schema_version": 1, "bundle_id": bundle.id, "signed": words}, [f"{folder}: {bundle.id[:12]} {words}"])
