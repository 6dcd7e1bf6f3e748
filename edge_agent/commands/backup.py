"""``edge-agent backup`` and ``restore``: a line in one file, and back. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, By, Config, Json, printable, progress_bars, say, settings_of, who

if TYPE_CHECKING:
    from edge_agent.tools.backup.making import Made
    from edge_agent.tools.backup.restoring import Restored

__all__ = ["backup_cli"]

backup_cli = typer.Typer()
_OLD_PC = (
    "The old PC must be off, or its agent disabled (systemctl disable --now edge-agent), before this one starts: two "
    "PCs that drive one output cannot see each other."
)

_USERS = (
    "  users are as they were then: edge-agent users list; switch off again who has left since, and give another "
    "password again where one was lost"
)
_FLEET = (
    "  the fleet {url} is told nothing before this line joins it again, under its name: there edge-agent fleet invite "
    "LINE, here edge-agent fleet join INVITATION --config {config}. From then on the old PC is refused there"
)


@backup_cli.command()
def backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write; with --keep the folder, whose file is named by line and time.")
    ],
    config: Config = DEFAULT_CONFIG,
    *,
    keep: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Write into a folder, and keep this line's newest N there.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing: prove FILE, with the chain of its journal and its bundles.")
    ] = False,
    json_: Json = False,
) -> None:
    """Copy the line into one file while it runs: line.toml, bundles, users, journal. No images, no passwords.

    Example: edge-agent backup /mnt/backup/line.backup.tar

    Example: edge-agent backup --verify /mnt/backup/line.backup.tar
    """
    from edge_agent.errors import UsageError

    if verify:
        if keep is not None:
            raise UsageError("--verify writes nothing, and --keep removes files", hint="say one of both")
        _verify(file, json_=json_)
        return
    if keep is None and file.is_dir():
        raise UsageError(
            f"{file} is a folder", hint="name a file; or say --keep 14: a file by its time, the newest 14 stay"
        )
    if keep is not None and not file.is_dir():
        raise UsageError(
            f"{file} is no folder", hint="--keep writes into a folder that is there: is the share mounted?"
        )
    from edge_agent.runtime.process import stand_back
    from edge_agent.tools.backup.making import make_backup, make_nightly

    settings = settings_of(config)
    stand_back(None)  # the line goes first
    with progress_bars() as progress:
        if keep is None:
            made = make_backup(settings, config, file, progress)
        else:
            made = make_nightly(settings, config, file, keep, progress)
    say(json_, made.to_json(), _made_words(made))


@backup_cli.command()
def restore(
    file: Annotated[Path | None, typer.Argument(help="The file that backup wrote.")] = None,
    config: Config = DEFAULT_CONFIG,
    *,
    root: Annotated[
        Path | None, typer.Option(help="Put every path below this folder, as DESTDIR of install.sh.")
    ] = None,
    over: Annotated[
        bool, typer.Option("--over", help="Where a line is already: put it away beside, under a name with the time.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Do the rest of a restore that was broken off.")] = False,
    by: By = None,
    json_: Json = False,
) -> None:
    """Bring a line back out of a backup, proven before anything is written; never while an agent runs there.

    Example: edge-agent restore /mnt/backup/line.backup.tar
    """
    from edge_agent.errors import UsageError
    from edge_agent.runtime.claim import claimed_restore
    from edge_agent.tools.backup.placing import under
    from edge_agent.tools.backup.restoring import restore as bring_back
    from edge_agent.tools.backup.switching import finish as do_the_rest

    if finish != (file is None):
        raise UsageError("a FILE, or --finish", hint="edge-agent restore FILE; --finish is for one that was broken off")
    if file is None:
        with claimed_restore(under(root, config)):
            was_broken_off = do_the_rest(under(root, config))
        words = "the restore is finished: see edge-agent doctor" if was_broken_off else "no restore was broken off"
        say(json_, {"schema_version": 1, "was_broken_off": was_broken_off}, [words])
        return
    restored = bring_back(file, config, root=root, over=over, by=who(by))
    say(json_, restored.to_json(), _restored_words(restored))


def _verify(file: Path, *, json_: bool) -> None:
    from edge_agent.tools.backup.proving import verify

    proof = verify(file)
    contents = proof.contents
    words = f"{len(proof.problems)} problem(s)" if proof.problems else "whole"
    line = (
        f"{file}: {words}; line {printable(contents.line)}, {contents.made_utc}, edge-agent "
        f"{printable(contents.edge_agent)}, up to part {contents.last_part_seq}, head {contents.head or 'none'}"
    )
    say(json_, proof.to_json(), [*map(printable, proof.problems), line])
    raise typer.Exit(1 if proof.problems else 0)


def _made_words(made: Made) -> list[str]:
    contents = made.contents
    lines = [
        f"{made.file}: {_mib(made.size)}, {len(contents.members)} files, up to part {contents.last_part_seq}",
        f"sha256 {made.sha256}; journal head {contents.head or 'none, there is no journal yet'}",
        *(f"removed: {path}" for path in made.removed),
    ]
    if contents.left_out:
        lines.append("not in it, keep these apart (passwords, keys, certificates):")
        lines += [f"  {key} = {path}" for key, path in contents.left_out.items()]
    lines.append(
        f"not in it: the images, {_mib(contents.archive_bytes)}. To copy them: "
        f"rsync -a {contents.archive}/ OTHER-PC:{contents.archive}/"
    )
    return lines


def _restored_words(restored: Restored) -> list[str]:
    contents, config = restored.contents, restored.config
    archive = printable(contents.archive)
    lines = [f"restored: line {printable(contents.line)} as it was at {contents.made_utc}, {config}"]
    lines += [f"put away: {path}" for path in restored.put_away]
    lines.append("still to do by hand:")
    lines += [
        f"  {printable(key)}: write {printable(path)} (owner root, group edge-agent, mode 0640)"
        for key, path in restored.by_hand.items()
    ]
    lines += [
        "  /opt/edge-agent/setup/install.sh writes this line's peers into the unit",
        *([_USERS] if restored.has_users else []),
        *([_FLEET.format(config=config, url=printable(restored.joins))] if restored.joins else []),
        "  nginx and the firewall, where the old PC had them; a key that signs bundles stays with its owner",
        f"  the images, where they are wanted: rsync -a OLD-PC:{archive}/ {printable(str(restored.archive))}/",
        f"  edge-agent doctor --config {config} proves that this PC computes what the calibrating one did",
        _OLD_PC,
    ]
    return lines


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
