"""The secret by which the server knows this line: a file of mode 0600 beside the journal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import ConfigError
from edge_agent.files.bounded import read_bounded

if TYPE_CHECKING:
    from edge_agent.settings import Settings

__all__ = ["NotJoined", "read_secret", "secret_file", "write_secret"]

_MOST_BYTES = 4096


class NotJoined(ConfigError):
    """This line has not joined a fleet."""


def secret_file(settings: Settings) -> Path:
    """Where it lies."""
    return settings.store.journal.with_name(settings.store.journal.name + ".fleet-secret")


def read_secret(path: Path) -> str:
    """The secret. Raises NotJoined where there is none, ConfigError for one that others may read or that is none."""
    try:
        mode = path.stat().st_mode
        secret = read_bounded(path, _MOST_BYTES).decode("ascii").strip()
    except FileNotFoundError:
        raise NotJoined("this line has not joined the fleet", hint="edge-agent fleet join INVITATION") from None
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: the fleet's secret cannot be read: {err}") from err
    if mode & 0o077:
        raise ConfigError(f"{path}: others on this PC may read the fleet's secret", hint=f"chmod 0600 {path}")
    if not 32 <= len(secret) <= 200 or not secret.isprintable() or " " in secret:
        raise ConfigError(f"{path}: this is no secret of a fleet", hint="edge-agent fleet join with a new invitation")
    return secret


def write_secret(path: Path, secret: str) -> None:
    """Put it there, or replace it, in one step. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
