"""What every command shares: options, settings, the two ways of printing, progress bars."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from edge_agent.desk import DeskClient
    from edge_agent.settings import Settings

__all__ = [
    "DEFAULT_CONFIG",
    "By",
    "Config",
    "Json",
    "PaperSize",
    "PassphraseFile",
    "Threads",
    "at_desk",
    "name_of",
    "passphrase_of",
    "progress_bars",
    "say",
    "settings_of",
    "utc_of",
    "who",
]

_NAME_MAX = 100
DEFAULT_CONFIG = Path("/etc/edge-agent/line.toml")

Config = Annotated[Path, typer.Option("--config", "-c", help="The line's settings.", metavar="line.toml")]
Json = Annotated[bool, typer.Option("--json", help="One versioned JSON object on stdout, people's text on stderr.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does this; the user at this PC by default.")]
PaperSize = Annotated[Literal["A4", "letter"], typer.Option("--paper", help="What the report is printed on.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of ONNX Runtime (and of torch in calibration).")]


PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The key's passphrase, alone on the only line of a file."),
]


def passphrase_of(file: Path | None, *, confirm: bool = False) -> bytes:
    """The passphrase of a key: from a file, else asked for at the terminal. Raises UsageError, ConfigError."""
    import sys

    from edge_agent.errors import UsageError
    from edge_agent.settings import read_password

    if file is not None:
        return read_password(file).encode()
    if not sys.stdin.isatty():
        raise UsageError("the key has a passphrase, and there is no terminal to ask", hint="--passphrase-file FILE")
    asked: str = typer.prompt("Passphrase of the key", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked.encode()


def settings_of(config: Path, *, drives_pass: bool = False) -> Settings:
    """The settings, or ConfigError, as ``load_settings`` has it. pydantic is loaded here and not before."""
    from edge_agent.settings import load_settings

    return load_settings(config, drives_pass=drives_pass)


def say(as_json: bool, facts: Mapping[str, object], lines: list[str]) -> None:
    """Lines for people; with ``--json`` those go to stderr and one object to stdout."""
    for line in lines:
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(facts, default=str))


def who(by: str | None) -> str:
    """The name for the record: as given, else that of the user, also behind sudo."""
    import getpass
    import os

    return by or os.environ.get("SUDO_USER") or getpass.getuser()


def name_of(by: str | None) -> str:
    """As ``who``, for line.toml: a name on one line. Raises UsageError."""
    from edge_agent.errors import UsageError

    name = who(by).strip()
    if not name.isprintable() or not 1 <= len(name) <= _NAME_MAX:
        raise UsageError(f"--by {by!r} is no name", hint=f"1 to {_NAME_MAX} characters on one line")
    return name


def utc_of(option: str, text: str | None) -> str | None:
    """A time of a person as the journal writes it; without an offset it is this PC's. Raises UsageError."""
    from datetime import UTC, datetime

    from edge_agent.errors import UsageError

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no time", hint="for instance 2026-11-24 or 2026-11-24T06:00") from None


def at_desk(config: Path, work: Callable[[DeskClient], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """Ask the running agent at its desk. Raises Unavailable where none runs; a refusal ends with exit code 1."""
    import asyncio

    from edge_agent.desk import DeskClient, DeskError, desk_path
    from edge_agent.errors import EdgeAgentError, Unavailable

    settings = settings_of(config)

    async def ask() -> dict[str, object]:
        async with DeskClient.open(desk_path(settings.store.journal)) as desk:
            if desk is None:
                raise Unavailable("no agent runs with this journal", hint="this is asked of the running agent alone")
            return await work(desk)

    try:
        return asyncio.run(ask())
    except DeskError as err:
        refused = EdgeAgentError(str(err))
        refused.exit_code = 1
        raise refused from err


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr: one a stage, gone from logs and pipes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    bars: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done, total=total)

        yield show
