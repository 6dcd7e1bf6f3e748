"""Reads line.toml. What is wrong is said all at once, one line a problem, each with file and line."""

from __future__ import annotations

import codecs
import grp
import hashlib
import os
import pwd
import stat
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge_agent.errors import ConfigError
from edge_agent.files.owners import user_name
from edge_agent.settings.fit import watchdog
from edge_agent.settings.lines import LineIndex
from edge_agent.settings.models import Settings, SourceFile
from edge_agent.settings.problems import problems_of
from edge_agent.settings.syntax import broken_lines
from edge_agent.settings.words import hint_of, key_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_settings", "read_password", "settings_json_schema", "unfinished_note"]

_MOST_BYTES = 1 << 20
_MOST_PASSWORD_BYTES = 4096
_SAVE_AS = "save the file as UTF-8: an editor asks for the encoding where it asks for the name"
_WHICH_FILE = "--config names the file, as /etc/edge-agent/line.toml; edge-agent init writes a first one"
_WATCHDOG_HINT = (
    'stand at the gate, then: edge-agent output test --config {} --watchdog --by "YOUR NAME" --yes; it writes what was '
    "seen into [output]. Of a test made before, write it yourself: watchdog_tested = 2026-11-29 (the day) and "
    'watchdog_tested_by = "NAME"'
)


def load_settings(path: Path, *, drives_pass: bool = False, folder: Path | None = None) -> Settings:
    """The settings in ``path``; its relative paths start at the folder the file is in. Raises ConfigError.

    ``folder``: they start there instead, of a file that is not at its place yet.
    ``drives_pass``: PASS will be energised for parts, so it must be known that it falls when this PC is dead.
    """
    content = _read(path, _MOST_BYTES)
    text = _decode(path, content)
    if not text.strip():
        raise ConfigError(f"{path}: the file is empty", hint=_WHICH_FILE)
    if "\r" in text and "\n" not in text:
        raise ConfigError(
            f"{path}:1: expected lines that end with LF, or CR LF (got CR alone)",
            hint="save the file with the line ends of Linux, or of Windows",
        )
    document = _parse(path, text)
    try:
        settings = Settings.model_validate(document, context={"folder": folder or path.absolute().parent})
    except ValidationError as err:
        index = LineIndex(text)
        problems = list(problems_of(err, document))
        found = sorted((index.line(one.at), key_of(one.loc), one.what) for one in problems)
        said = "\n".join(f"{path}:{line}: {key}: {what}" for line, key, what in found)
        raise ConfigError(said, hint=hint_of((one.meant for one in problems), document)) from None
    for loc, what in watchdog(settings) if drives_pass else ():
        line = LineIndex(text).line(loc)
        raise ConfigError(f"{path}:{line}: {'.'.join(map(str, loc))}: {what}", hint=_WATCHDOG_HINT.format(path))
    return settings.read_from(_source(path, content))


def read_password(path: Path, *, what: str = "the password that is set in the controller") -> str:
    """The first and only line of a secret file, without its end of line. Raises ConfigError."""
    text = _decode(path, _read(path, _MOST_PASSWORD_BYTES))
    password = text.removesuffix("\n").removesuffix("\r")
    hint = f"write {what} into this file, alone on one line"
    if not password.strip():
        raise ConfigError(f"{path}: the password file is empty", hint=hint)
    if not password.isprintable():
        raise ConfigError(f"{path}: the password file has more than one line, or control characters", hint=hint)
    return password


def unfinished_note(path: Path) -> Path:
    """Where a restore that was broken off has noted what is left to do; line.toml itself is not there meanwhile."""
    return path.with_name(f".{path.name}.restoring")


def settings_json_schema() -> dict[str, Any]:
    """The JSON Schema of line.toml."""
    return Settings.model_json_schema()


def _source(path: Path, content: bytes) -> SourceFile:
    try:
        found = path.stat()
        saved = datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="seconds")
        owner = user_name(found.st_uid)
    except OSError:  # it went after it was read: what was read counts
        saved = owner = ""
    return SourceFile(str(path.absolute()), hashlib.sha256(content).hexdigest(), saved, owner)


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        # Not blocking: opening a pipe by mistake must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        is_here = os.path.isfile("line.toml")  # noqa: PTH113
        hint = "there is a line.toml in this folder: say --config line.toml" if is_here else _WHICH_FILE
        if unfinished_note(path).exists():
            hint = f"a restore was broken off: edge-agent restore --finish --config {path}"
        raise ConfigError(f"{path}: there is no such file", hint=hint) from None
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: cannot be opened: {getattr(err, 'strerror', None) or err}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ConfigError(f"{path}: expected a file (got {kind})", hint=_WHICH_FILE)
        if status.st_mode & stat.S_IWOTH:
            raise ConfigError(
                f"{path}: everyone on this PC may write it, so anyone may change what passes", hint=f"chmod o-w {path}"
            )
        if status.st_mode & stat.S_IWGRP and not _is_private_group(status):
            raise ConfigError(
                f"{path}: its group ({_group_of(status)}) may write it, so others may change what passes",
                hint=f"chmod g-w {path}",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise ConfigError(f"{path}: expected at most {most_bytes} bytes: is it the right file?")
    return content


def _group_of(status: os.stat_result) -> str:
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return str(status.st_gid)


def _is_private_group(status: os.stat_result) -> bool:
    """Whether the group is its owner's own, with nobody else in it: many systems give each user one, and umask 002."""
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid and set(group.gr_mem) <= {owner.pw_name}


def _decode(path: Path, content: bytes) -> str:
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise ConfigError(f"{path}:1: expected UTF-8 text (got UTF-16)", hint=_SAVE_AS)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise ConfigError(
            f"{path}:{line}: expected UTF-8 text (got the byte 0x{content[err.start]:02x})",
            hint=_SAVE_AS,
        ) from None
    # Some editors put a byte order mark in front; it means nothing in UTF-8.
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        broken = broken_lines(text)
        hint = hint_of((line.loc for line in broken), {})
        raise ConfigError("\n".join(f"{path}:{line}" for line in broken), hint=hint) from None
