"""The journal's tables, and how an older journal becomes a newer one.

A migration is never edited once it was released; a change is a new one at the end. ``user_version`` counts them.

Floats stand in columns without a type on purpose: a REAL column turns -0.0 into 0.0, and a replay compares bits.
Rows are written once. Triggers refuse to change or delete them, so that a record cannot be mended by accident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.store.chain import seal_all

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["APPLICATION_ID", "READABLE_VERSIONS", "SCHEMA_VERSION", "migrate", "refuse_foreign"]

APPLICATION_ID = 0x45_41_4A_31
"""``EAJ1``: marks the file as a journal of this program (``file`` and SQLite's own tools show it)."""

_VERSION_1 = """
CREATE TABLE part (
  part_seq INTEGER PRIMARY KEY CHECK (part_seq >= 1),
  controller_count INTEGER,
  session TEXT NOT NULL,
  program INTEGER,
  verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REJECT', 'FAULT')),
  reason TEXT NOT NULL CHECK (reason <> '' AND (verdict <> 'PASS' OR reason = 'OK')),
  detail TEXT NOT NULL,
  score CHECK (typeof(score) IN ('real', 'null')),
  score_limit CHECK (typeof(score_limit) IN ('real', 'null')),
  bundle_id TEXT,
  controller_judgement TEXT CHECK (controller_judgement IN ('OK', 'NG')),
  simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
  first_sign_mono_s NOT NULL CHECK (typeof(first_sign_mono_s) = 'real'),
  decided_mono_s NOT NULL CHECK (typeof(decided_mono_s) = 'real'),
  deadline_mono_s NOT NULL CHECK (typeof(deadline_mono_s) = 'real'),
  boot_id TEXT NOT NULL,
  decided_utc TEXT NOT NULL
);
CREATE TABLE camera (
  part_seq INTEGER NOT NULL REFERENCES part (part_seq),
  camera INTEGER NOT NULL,
  outcome TEXT CHECK (outcome IN ('OK', 'REVIEW', 'NG')),
  reason TEXT,
  detail TEXT NOT NULL,
  score CHECK (typeof(score) IN ('real', 'null')),
  score_limit CHECK (typeof(score_limit) IN ('real', 'null')),
  bundle_id TEXT,
  image_sha256 TEXT NOT NULL,
  image_name TEXT NOT NULL,
  align_quality CHECK (typeof(align_quality) IN ('real', 'null')),
  align_shift_x_px CHECK (typeof(align_shift_x_px) IN ('real', 'null')),
  align_shift_y_px CHECK (typeof(align_shift_y_px) IN ('real', 'null')),
  align_angle_deg CHECK (typeof(align_angle_deg) IN ('real', 'null')),
  align_gain CHECK (typeof(align_gain) IN ('real', 'null')),
  align_offset CHECK (typeof(align_offset) IN ('real', 'null')),
  timings_ms TEXT NOT NULL,
  PRIMARY KEY (part_seq, camera)
) WITHOUT ROWID;
CREATE INDEX camera_by_image ON camera (image_sha256);
CREATE TABLE publication (
  part_seq INTEGER PRIMARY KEY REFERENCES part (part_seq),
  published TEXT NOT NULL CHECK (published IN ('PUBLISHED', 'LATE', 'FAILED', 'WITHHELD')),
  at_mono_s NOT NULL CHECK (typeof(at_mono_s) = 'real'),
  detail TEXT NOT NULL
);
CREATE TABLE event (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind <> ''),
  detail TEXT NOT NULL,
  at_mono_s NOT NULL CHECK (typeof(at_mono_s) = 'real'),
  at_utc TEXT NOT NULL
);
CREATE TABLE probe (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), proofs INTEGER NOT NULL);
INSERT INTO probe VALUES (1, 0);
"""

_WRITTEN_ONCE = "".join(
    f"CREATE TRIGGER {table}_is_not_{done} BEFORE {what} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;\n"
    for table in ("part", "camera", "publication", "event")
    for what, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
)

_VERSION_2 = """
ALTER TABLE camera ADD COLUMN align_scale CHECK (typeof(align_scale) IN ('real', 'null'));
ALTER TABLE camera ADD COLUMN shares TEXT NOT NULL DEFAULT '{}';
CREATE TABLE chain (
  link INTEGER PRIMARY KEY CHECK (link >= 1),
  kind TEXT NOT NULL CHECK (kind IN ('part', 'publication', 'event')),
  row_id INTEGER NOT NULL,
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64)
);
CREATE TABLE origin (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  predecessor TEXT NOT NULL,
  last_part_seq INTEGER NOT NULL,
  sha256 TEXT NOT NULL
);
"""
"""``origin`` is what the file before this one ended with: its name, its highest part_seq, its newest link."""

_MEASUREMENTS = """
CREATE TABLE measurement (
  part_seq INTEGER NOT NULL REFERENCES part (part_seq),
  name TEXT NOT NULL CHECK (name <> ''),
  value CHECK (typeof(value) IN ('real', 'text', 'null')),
  PRIMARY KEY (part_seq, name)
) WITHOUT ROWID;
"""
"""What the controller's own tools said of a part, by name. Sealed with the part, where there is any."""

_SEALED_ONCE = "".join(
    f"CREATE TRIGGER chain_is_not_{done} BEFORE {what} ON chain "
    "BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;\n"
    for what, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
)
_MEASURED_ONCE = _SEALED_ONCE.replace("chain", "measurement")

_CONDITION = "ALTER TABLE camera ADD COLUMN condition TEXT NOT NULL DEFAULT '{}';"
"""How far light and focus of an image were from the good parts' own. Sealed with the part, where there is any."""

_ONLY_OK_PASSES, _OK_OR_BYPASS_PASSES = "OR reason = 'OK')", "OR reason IN ('OK', 'BYPASS'))"


def _let_bypass_pass(connection: sqlite3.Connection) -> None:
    """SQLite's own way of loosening a CHECK: it changes no row, so it takes no longer on a large journal."""
    # Raised by one below: other connections then read the schema again (https://www.sqlite.org/lang_altertable.html).
    number = connection.execute("PRAGMA schema_version").fetchone()[0]
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'part'",
        (_ONLY_OK_PASSES, _OK_OR_BYPASS_PASSES),
    )
    connection.execute(f"PRAGMA schema_version = {number + 1}")
    connection.execute("PRAGMA writable_schema = OFF")


def _nothing_more(_connection: sqlite3.Connection) -> None:
    return


def _begin_chain(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO origin VALUES (1, '', 0, '')")
    seal_all(connection)


_MIGRATIONS = (
    (_VERSION_1 + _WRITTEN_ONCE, _nothing_more),
    (_VERSION_2 + _SEALED_ONCE, _begin_chain),
    ("", _let_bypass_pass),
    (_MEASUREMENTS + _MEASURED_ONCE, _nothing_more),
    (_CONDITION, _nothing_more),
)

SCHEMA_VERSION = len(_MIGRATIONS)
READABLE_VERSIONS = frozenset({2, 3, 4, SCHEMA_VERSION})
"""Of one shape to a reader: a journal that was rotated away by an older agent needs no migration."""


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> int:
    """Return the journal's schema version, 0 for an empty file.

    Raises DataError for a database of something else, or of a newer agent; sqlite3.DatabaseError for no database.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or version or application):
        raise DataError(
            f"{path} is a database of something else, not a journal",
            hint="name another file as store.journal in line.toml",
        )
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path} was written by a newer edge-agent (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="install the newer edge-agent again, or name another file as store.journal",
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the journal from ``version`` to SCHEMA_VERSION; each step happens wholly or not at all."""
    for number in range(version, SCHEMA_VERSION):
        tables, rows = _MIGRATIONS[number]
        # Within the script: it would end a transaction that was begun before it.
        connection.executescript(f"BEGIN IMMEDIATE;{tables}")
        rows(connection)
        for statement in (f"PRAGMA user_version={number + 1}", f"PRAGMA application_id={APPLICATION_ID}", "COMMIT"):
            connection.execute(statement)  # a second script would commit what came before it
