"""``edge-agent fleet``: a server for several lines, and a line that joins it. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.commands.shared import DEFAULT_CONFIG, By, Config, Json, say, settings_of, who
from edge_agent.commands.signing import As, PasswordFile, password_of, person_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from sqlalchemy import Connection

    _DoneT = TypeVar("_DoneT")

__all__ = ["fleet_cli"]

fleet_cli = typer.Typer(
    no_args_is_help=True, help="Several lines on one page, and bundles that go to them in stages: for one server."
)
_FOLDER = Path("/var/lib/edge-agent-fleet")

Folder = Annotated[Path, typer.Option("--folder", help="The fleet's folder: database, bundles, keys, users.")]
Why = Annotated[str, typer.Option("--why", help="Why, for whoever reads the record later.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The promotion, as fleet promotions lists it.")]
LineName = Annotated[str, typer.Argument(metavar="LINE", help="The name that the fleet knows the line by.")]


@fleet_cli.command("serve")
def fleet_serve(
    folder: Folder = _FOLDER,
    *,
    host: Annotated[str, typer.Option(help="The address to listen on; another than 127.0.0.1 needs a certificate.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its TCP port.")] = 8490,
    name: Annotated[list[str] | None, typer.Option("--name", help="A name that browsers may call it by.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Its own certificate, PEM, with those above it.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's private key, PEM, not encrypted.")] = None,
    keep_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Days that rows of parts are kept; counts stay for good.")
    ] = 30,
) -> None:
    """Serve the fleet until stopped: lines tell it how they stand, browsers see all of them on one page.

    Example: edge-agent fleet serve --folder fleet --host 10.0.0.5 --certificate fleet.pem --key fleet.key
    """
    import asyncio

    from edge_agent.logs import configure_logs

    _at_server(folder)
    from edge_agent.fleet.serving import FleetOptions, serve_fleet

    configure_logs("info", "auto")
    asyncio.run(serve_fleet(FleetOptions(folder, host, port, tuple(name or ()), certificate, key, keep_days)))


@fleet_cli.command("invite")
def fleet_invite(
    line: LineName,
    folder: Folder = _FOLDER,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Make an invitation: good once, within a day, for a line of that name.

    Example: edge-agent fleet invite "Line 7" --folder fleet
    """
    signer = _signer(folder, by, user, password_file)

    def work(connection: Connection) -> str:
        from edge_agent.fleet.lines import invite

        return invite(connection, line, signer)

    token = _in_fleet(folder, work)
    lines = [
        f"on the line PC of {line}, within a day, once:",
        f"  edge-agent fleet join {token} --config line.toml",
    ]
    say(json_, {"schema_version": 1, "line": line, "invitation": token}, lines)


@fleet_cli.command("lines")
def fleet_lines(folder: Folder = _FOLDER, *, json_: Json = False) -> None:
    """All lines that have joined, since when, and what they follow; 1 if there is none.

    Example: edge-agent fleet lines --folder fleet
    """

    def work(connection: Connection) -> list[dict[str, object]]:
        from edge_agent.fleet.lines import lines
        from edge_agent.fleet.wall import saved_states

        said = saved_states(connection)
        return [
            {**one._asdict(), "follows": told.follow if (told := said.get(one.line_id)) else None}
            for one in lines(connection)
        ]

    found = _in_fleet(folder, work)
    words = [
        f"{one['name']}: joined {one['joined_utc']}, "
        + ("off" if one["is_off"] else f"follows {one['follows']}" if one["follows"] else "has said nothing yet")
        for one in found
    ]
    say(json_, {"schema_version": 1, "lines": found}, words or ["no line has joined"])
    raise typer.Exit(0 if found else 1)


@fleet_cli.command("forget")
def fleet_forget(
    line: LineName,
    folder: Folder = _FOLDER,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Take nothing from a line any more: its secret is worth nothing from now on. What it told stays.

    Example: edge-agent fleet forget "Line 7" --folder fleet
    """
    _signer(folder, by, user, password_file)

    def work(connection: Connection) -> None:
        from edge_agent.fleet.lines import forget

        forget(connection, line)

    _in_fleet(folder, work)
    say(json_, {"schema_version": 1, "line": line}, [f"{line} is off; a new invitation brings it back"])


@fleet_cli.command("promote")
def fleet_promote(
    bundle: Annotated[Path, typer.Argument(help="The signed bundle's folder, as calibrate-reference wrote it.")],
    folder: Folder = _FOLDER,
    *,
    first: Annotated[str, typer.Option("--first", metavar="LINE", help="The line that tries it first.")],
    by_itself: Annotated[
        bool, typer.Option("--by-itself", help="Go on to the next stage as soon as one has passed.")
    ] = False,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Offer a bundle: in shadow on one line, then in use there, then on all lines that follow; stopped if it is worse.

    Example: edge-agent fleet promote new/ --folder fleet --first "Line 7" --why "new lot of zippers"
    """
    signer = _signer(folder, by, user, password_file)
    _at_server(folder)
    from edge_agent.fleet.bringing import bring_in

    held = bring_in(folder, bundle)

    def work(connection: Connection) -> int:
        from edge_agent.fleet.promoting import Wish, begin

        wish = Wish(held.id, held.part, held.program, held.camera, first, by_itself)
        return begin(connection, wish, by=signer, why=why)

    number = _in_fleet(folder, work)
    facts = {"schema_version": 1, "promotion": number, "bundle_id": held.id}
    say(json_, facts, [f"promotion {number}: bundle {held.id[:12]} is offered to {first}, in shadow"])


@fleet_cli.command("advance")
def fleet_advance(
    number: Number,
    folder: Folder = _FOLDER,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Let a promotion go on to its next stage, once the one before has passed; the last stage is ended by it.

    Example: edge-agent fleet advance 3 --folder fleet --why "looked at the ten rejects"
    """
    signer = _signer(folder, by, user, password_file)

    def work(connection: Connection) -> str:
        from edge_agent.fleet.promoting import advance

        return advance(connection, number, by=signer, why=why)

    stage = _in_fleet(folder, work)
    say(json_, {"schema_version": 1, "promotion": number, "stage": stage}, [f"promotion {number}: stage {stage}"])


@fleet_cli.command("stop")
def fleet_stop(
    number: Number,
    folder: Folder = _FOLDER,
    *,
    by: By = None,
    user: As = None,
    password_file: PasswordFile = None,
    why: Why = "",
    json_: Json = False,
) -> None:
    """Withdraw a promotion, also one that is done: shadows end, and lines that took it go back to the bundle before.

    Example: edge-agent fleet stop 3 --folder fleet --why "too many rejects"
    """
    signer = _signer(folder, by, user, password_file)

    def work(connection: Connection) -> None:
        from edge_agent.fleet.promoting import stop

        stop(connection, number, by=signer, why=why)

    _in_fleet(folder, work)
    say(json_, {"schema_version": 1, "promotion": number}, [f"promotion {number} is withdrawn"])


@fleet_cli.command("promotions")
def fleet_promotions(folder: Folder = _FOLDER, *, json_: Json = False) -> None:
    """All promotions, the newest first: stage, whether it passed, and what was found; 1 if there is none.

    Example: edge-agent fleet promotions --folder fleet
    """

    def work(connection: Connection) -> list[dict[str, object]]:
        from edge_agent.fleet.promoting import promotions

        return [one._asdict() for one in promotions(connection)]

    found = _in_fleet(folder, work)
    words = [
        f"{one['promotion_id']}: bundle {str(one['bundle_id'])[:12]}, stage {one['stage']}, "
        f"{one['status']}: {one['words']}"
        for one in found
    ]
    say(json_, {"schema_version": 1, "promotions": found}, words or ["no bundle was promoted"])
    raise typer.Exit(0 if found else 1)


@fleet_cli.command("user")
def fleet_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The engineer, by the name that stands in the records.")],
    folder: Folder = _FOLDER,
    *,
    new_password_file: Annotated[
        Path | None, typer.Option("--new-password-file", metavar="FILE", help="The new password, alone on one line.")
    ] = None,
    user: As = None,
    password_file: PasswordFile = None,
    json_: Json = False,
) -> None:
    """Add an engineer of the fleet, or give one another password: once there is one, they alone sign with --as.

    Example: edge-agent fleet user "A. Weber" --folder fleet
    """
    from edge_agent.files.owners import refuse_root
    from edge_agent.people.roles import Role
    from edge_agent.people.users import changing_users

    refuse_root([folder])
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    with changing_users(_users_file(folder)) as changing:
        if changing.users.users:
            _signer(folder, None, user, password_file)
        password = password_of(new_password_file, f"New password of {name}", confirm=True)
        known = changing.users.find(name)
        changing.write(
            changing.users.with_added(name, Role.ENGINEER, password)
            if known is None
            else changing.users.with_password(name, password)
        )
    say(json_, {"schema_version": 1, "user": name}, [f"{name} signs for this fleet's promotions"])


@fleet_cli.command("backup")
def fleet_backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write; with --keep the folder, whose file is named by time.")
    ],
    folder: Folder = _FOLDER,
    *,
    keep: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Write into a folder, and keep the newest N there.")
    ] = None,
    json_: Json = False,
) -> None:
    """Copy the fleet into one file while it serves: database, bundles, users, keys. It is a tar for an empty folder.

    Example: edge-agent fleet backup /mnt/backup --keep 14 --folder fleet
    """
    _at_server(folder)
    from edge_agent.fleet.backup import back_up, back_up_nightly

    made = back_up(folder, file) if keep is None else back_up_nightly(folder, file, keep)
    lines = [f"{made.file}: {made.size / (1 << 20):.1f} MiB", *(f"removed: {one}" for one in made.removed)]
    if not made.has_database:
        lines.append("not in it: the database, which PostgreSQL holds: pg_dump")
    facts = {"schema_version": 1, "file": str(made.file), "bytes": made.size, "has_database": made.has_database}
    say(json_, facts | {"removed": [str(one) for one in made.removed]}, lines)


@fleet_cli.command("join")
def fleet_join(
    invitation: Annotated[str, typer.Argument(metavar="INVITATION", help="As fleet invite printed it at the server.")],
    config: Config = DEFAULT_CONFIG,
    *,
    json_: Json = False,
) -> None:
    """On a line PC: change an invitation for this line's own secret, in a file beside the journal.

    Example: edge-agent fleet join INVITATION --config line.toml
    """
    from edge_agent.errors import UsageError
    from edge_agent.fleet_line.messages import Enrolled, Enrolment
    from edge_agent.fleet_line.secret import secret_file, write_secret
    from edge_agent.fleet_line.server import FleetServer

    settings = settings_of(config, writes_state=True)
    if settings.fleet is None:
        raise UsageError(f"{config} has no [fleet]", hint='[fleet]\nurl = "https://..."')
    if len(invitation) < 16:
        raise UsageError("this is no invitation", hint="edge-agent fleet invite LINE, at the server")
    answer = FleetServer(settings.fleet).post("/line/enrol", Enrolment(invitation=invitation), Enrolled)
    path = secret_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_secret(path, answer.secret)
    lines = [f"this line is {answer.line} there; its secret: {path}", "a running agent tells it how it stands now"]
    say(json_, {"schema_version": 1, "line": answer.line, "secret_file": str(path)}, lines)


def _users_file(folder: Path) -> Path:
    return folder / "users"


def _signer(folder: Path, by: str | None, user: str | None, password_file: Path | None) -> str:
    """Who signs at the server, in words. Raises NotPermitted, UsageError, ConfigError."""
    from edge_agent.errors import NotPermitted, UsageError
    from edge_agent.people.roles import Action
    from edge_agent.people.signing import sign
    from edge_agent.people.users import read_users

    users = read_users(_users_file(folder))
    if user is not None and by is not None:
        raise UsageError("--as and --by are two signatures", hint="a user signs with --as alone")
    if user is not None:
        return sign(person_of(users, user, password_file), Action.ACTIVATE).words
    if users.users:
        raise NotPermitted(
            "this fleet has users, and one of them has to sign for this", hint="--as NAME; the password is asked for"
        )
    return who(by)


def _at_server(folder: Path) -> None:
    """Raises Unavailable without the extra, NotPermitted for root in the folder of the service's user."""
    from importlib.util import find_spec

    from edge_agent.errors import Unavailable
    from edge_agent.files.owners import refuse_root

    try:
        is_there = find_spec("sqlalchemy") is not None
    except ValueError:
        is_there = False
    if not is_there:
        raise Unavailable("the fleet's server needs SQLAlchemy", hint="pip install 'edge-agent[fleet]'")
    refuse_root([folder])


def _in_fleet(folder: Path, work: Callable[[Connection], _DoneT]) -> _DoneT:
    """Do it in one transaction of the fleet's database. Raises Unavailable, ConfigError, DataError, NotPermitted."""
    _at_server(folder)
    from sqlalchemy.exc import SQLAlchemyError

    from edge_agent.errors import Unavailable
    from edge_agent.fleet.database import open_database

    engine = open_database(folder)
    try:
        with engine.begin() as connection:
            return work(connection)
    except SQLAlchemyError as err:
        why = str(getattr(err, "orig", None) or err).splitlines()[0]
        raise Unavailable(
            f"the fleet's database does not take it now, and nothing was changed: {why}",
            hint="is its disk full, or the server at work on it? Try again",
        ) from err
    finally:
        engine.dispose()
