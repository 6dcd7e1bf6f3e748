"""The fleet's tables, in SQLite or PostgreSQL. Everything that is confirmed to a line is on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from edge_agent.errors import ConfigError, DataError
from edge_agent.files.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

__all__ = [
    "SQLITE_FILE",
    "URL_FILE",
    "act",
    "events",
    "forgotten",
    "invitation",
    "line",
    "open_database",
    "part",
    "promotion",
    "promotion_line",
    "review",
    "state",
    "tally",
]

SQLITE_FILE, URL_FILE = "fleet.sqlite3", "database-url"
"""In a fleet's folder: the database, or where it is."""
_VERSION = 1
_BUSY_MS = 10_000
_MOST_URL_BYTES = 4096
_tables = MetaData()

_about = Table("fleet_about", _tables, Column("version", Integer, primary_key=True, autoincrement=False))
line = Table(
    "line",
    _tables,
    Column("line_id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("joined_utc", String(32), nullable=False),
    Column("is_off", Boolean, nullable=False, default=False),
)
invitation = Table(
    "invitation",
    _tables,
    Column("token_sha256", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("by", String(120), nullable=False),
    Column("until_s", Float, nullable=False),
    Column("used_utc", String(32)),
)
part = Table(
    "part",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("journal", String(32), primary_key=True),
    Column("part_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("decided_utc", String(40), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("published", String(32)),
    Column("bundle_id", String(64), nullable=False),
    Column("program", Integer),
    Column("score", Float),
    Column("score_limit", Float),
    Column("got_s", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)
events = Table(
    "event",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("journal", String(32), primary_key=True),
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at_utc", String(40), nullable=False),
    Column("got_s", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)
forgotten = Table(
    "forgotten",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("journal", String(32), primary_key=True),
    Column("what", String(8), primary_key=True),
    Column("to_number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Up to which number of a journal rows were had and went with time: one that comes again is known all the same."""
tally = Table(
    "tally",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("bundle_id", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
review = Table(
    "review",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("journal", String(32), primary_key=True),
    Column("part_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("says", String(32), nullable=False),
    Column("bundle_id", String(64), nullable=False),
    Column("hour", Integer, nullable=False),
    sqlite_with_rowid=False,
)
state = Table(
    "state",
    _tables,
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("said", Text, nullable=False),
    Column("got_s", Float, nullable=False),
)
promotion = Table(
    "promotion",
    _tables,
    Column("promotion_id", Integer, primary_key=True),
    Column("bundle_id", String(64), nullable=False),
    Column("part", String(200), nullable=False),
    Column("program", Integer, nullable=False),
    Column("camera", Integer, nullable=False),
    Column("first_line", ForeignKey("line.line_id"), nullable=False),
    Column("stage", String(8), nullable=False),
    Column("status", String(8), nullable=False),
    Column("words", Text, nullable=False),
    Column("by_itself", Boolean, nullable=False),
    Column("by", String(120), nullable=False),
    Column("why", String(400), nullable=False),
    Column("begun_utc", String(32), nullable=False),
)
promotion_line = Table(
    "promotion_line",
    _tables,
    Column("promotion_id", ForeignKey("promotion.promotion_id"), primary_key=True),
    Column("line_id", ForeignKey("line.line_id"), primary_key=True),
    Column("stage", String(8), primary_key=True),
    Column("bundle_before", String(64), nullable=False),
    Column("next_look", Integer, nullable=False),
    Column("words", Text, nullable=False),
)
act = Table(
    "act",
    _tables,
    Column("act_id", Integer, primary_key=True),
    Column("promotion_id", ForeignKey("promotion.promotion_id")),
    Column("what", String(16), nullable=False),
    Column("by", String(120), nullable=False),
    Column("why", String(400), nullable=False),
    Column("at_utc", String(32), nullable=False),
)
_indexes = (
    Index("tally_of_bundle", tally.c.line_id, tally.c.bundle_id, tally.c.hour),
    Index("review_of_bundle", review.c.line_id, review.c.bundle_id, review.c.hour),
)


def open_database(folder: Path) -> Engine:
    """The database of a fleet's folder: the one that its file ``database-url`` names, else SQLite in the folder.

    Raises ConfigError for a url that is none, DataError where the database cannot be used or is of another version.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    url = _url_in(folder / URL_FILE) or f"sqlite:///{(folder / SQLITE_FILE).resolve()}"
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError, ValueError) as err:
        raise ConfigError(
            f"{folder / URL_FILE}: {err}", hint="postgresql+psycopg://USER:PASSWORD@HOST/NAME on its only line"
        ) from err
    if engine.dialect.name == "sqlite":
        _durable(engine)
    try:
        with engine.begin() as connection:
            _tables.create_all(connection)
            for index in _indexes:  # a database of before has the tables without them
                index.create(connection, checkfirst=True)
            found = connection.execute(select(_about.c.version)).scalar()
            if found is None:
                connection.execute(_about.insert().values(version=_VERSION))
    except SQLAlchemyError as err:
        raise DataError(f"the fleet's database cannot be used: {_words(err)}") from err
    if found not in (None, _VERSION):
        raise DataError(f"the fleet's database is of version {found}, this edge-agent reads {_VERSION}")
    return engine


def _url_in(path: Path) -> str:
    try:
        mode, url = path.stat().st_mode, read_bounded(path, _MOST_URL_BYTES).decode().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path} cannot be read: {err}") from err
    if mode & 0o007:
        raise ConfigError(f"{path}: everyone on this PC may read the database's password", hint=f"chmod 0600 {path}")
    return url


def _durable(engine: Engine) -> None:
    """SQLite as a store: what is committed survives a power cut, and a writer waits for another one's end."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own transactions know no savepoint before the first write
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def began(connection: Any) -> None:
        mode = "" if connection.get_execution_options().get("reads") else " IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN{mode}")


def _words(err: SQLAlchemyError) -> str:
    return str(getattr(err, "orig", None) or err).splitlines()[0][:300]
