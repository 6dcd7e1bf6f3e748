"""What every command shares: options, settings, the two ways of printing, progress bars."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import typer.core

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterator, Mapping

    from edge_agent.desk.client import DeskClient
    from edge_agent.settings import Settings

__all__ = [
    "DEFAULT_CONFIG",
    "By",
    "Config",
    "ForExcel",
    "JournalFile",
    "Json",
    "Language",
    "On",
    "PaperSize",
    "PassphraseFile",
    "Since",
    "Threads",
    "Until",
    "at_desk",
    "given_options",
    "in_language",
    "journal_of",
    "name_of",
    "passphrase_of",
    "printable",
    "progress_bars",
    "say",
    "settings_of",
    "show_brackets",
    "span_of",
    "utc_of",
    "who",
]

_NAME_MAX = 100
_TAG = re.compile(r"\[(?=[a-z#/@][^\[\]]*\])")
"""What rich takes for a tag."""
DEFAULT_CONFIG = Path("/etc/edge-agent/line.toml")

Config = Annotated[Path, typer.Option("--config", "-c", help="The line's settings.", metavar="line.toml")]
Json = Annotated[bool, typer.Option("--json", help="One versioned JSON object on stdout, people's text on stderr.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does this; the user at this PC by default.")]
Language = Annotated[
    Literal["en", "de", "ja", "zh"] | None,
    typer.Option("--language", help="What the report speaks; language of [line] by default, else English."),
]
PaperSize = Annotated[Literal["A4", "letter"], typer.Option("--paper", help="What the report is printed on.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of ONNX Runtime (and of torch in calibration).")]

JournalFile = Annotated[Path | None, typer.Option("--journal", help="This file, not the one that line.toml names.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        "--since",
        metavar="TIME",
        help="2026-11-24, 22:00 (the last one), 'yesterday 22:00', 'last tuesday', '2 hours ago'; this PC's time.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--to", "--until", metavar="TIME", help="As --from, itself not included; 06:00 is the next one."),
]
On = Annotated[
    str | None,
    typer.Option("--on", "--in", metavar="DAY", help="All of: yesterday, tuesday, 24.11.2026, 'last week', november."),
]
ForExcel = Annotated[
    Literal["excel"] | None,
    typer.Option(
        "--for",
        help="excel: CSV that a double click opens: local time, semicolons, decimal commas; .xlsx needs no such word.",
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The key's passphrase, alone on the only line of a file."),
]


@contextmanager
def in_language(wanted: str | None, settings: Settings | None = None) -> Iterator[None]:
    """Write a report in that language, else in the line's, else in English. What is printed meanwhile stays English."""
    from edge_agent.wording import speaking

    with speaking(wanted or (settings.line.language if settings else None) or "en"):
        yield


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


def show_brackets(command: Any) -> None:
    """Let the help of a command, and of those below it, show ``[[bundle]]``: rich takes it for a tag and drops it."""
    if not typer.core.HAS_RICH:
        return
    for named in (command, *command.params):
        for name in ("help", "short_help", "epilog"):
            if text := getattr(named, name, None):
                setattr(named, name, _TAG.sub(r"\\[", text))
    for below in getattr(command, "commands", {}).values():
        show_brackets(below)


def settings_of(config: Path, *, drives_pass: bool = False, writes_state: bool = False) -> Settings:
    """The settings, or ConfigError, as ``load_settings`` has it. pydantic is loaded here and not before.

    ``writes_state`` is for every command that writes into the line's state folder: NotPermitted where root would.
    """
    from edge_agent.files.owners import refuse_root
    from edge_agent.settings import load_settings

    settings = load_settings(config, drives_pass=drives_pass)
    if writes_state:
        refuse_root(settings.state)
    return settings


def say(as_json: bool, facts: Mapping[str, object], lines: list[str]) -> None:
    """Lines for people; with ``--json`` those go to stderr and one object to stdout."""
    for line in lines:
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(facts, default=str))


def who(by: str | None) -> str:
    """The name for the record: as given, else that of the user, also behind sudo.

    Raises UsageError for one that reads as if it were signed with a role.
    """
    from edge_agent.files.owners import person
    from edge_agent.people.signing import plain_name

    return plain_name(by or person())


def name_of(by: str | None) -> str:
    """As ``who``, for line.toml: a name on one line. Raises UsageError."""
    from edge_agent.errors import UsageError

    name = who(by).strip()
    if not name.isprintable() or not 1 <= len(name) <= _NAME_MAX:
        raise UsageError(f"--by {by!r} is no name", hint=f"1 to {_NAME_MAX} characters on one line")
    return name


def utc_of(option: str, text: str | None, after_utc: str | None = None) -> str | None:
    """A time of a person as the journal writes it; without an offset it is this PC's. Raises UsageError.

    A time of day alone is the last one that has been, or the first one behind ``after_utc``.
    """
    from datetime import UTC, datetime

    from edge_agent.errors import UsageError
    from edge_agent.moment import MOMENT_WORDS, moment

    if text is None:
        return None
    after = None if after_utc is None else datetime.fromisoformat(after_utc)
    try:
        found = moment(text, datetime.now(UTC), after)
        return found.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no time", hint=f"for instance {MOMENT_WORDS}") from None


def span_of(since: str | None, until: str | None, on: str | None = None) -> tuple[str | None, str | None]:
    """--from and --to, or both ends of --on, as the journal writes them; None where one is left out.

    Raises UsageError.
    """
    from edge_agent.errors import UsageError
    from edge_agent.local_time import local_words

    if on is not None:
        if since is not None or until is not None:
            raise UsageError("--on is a whole day, week or month", hint="say it alone, or --from and --to without it")
        return _whole(on)
    from_utc = utc_of("--from", since)
    to_utc = utc_of("--to", until, from_utc)
    if from_utc is not None and to_utc is not None and to_utc <= from_utc:
        raise UsageError(
            f"--to is {local_words(to_utc)}, which is not after --from, {local_words(from_utc)}",
            hint="a day is its begin, and --to is not included: --on yesterday is all of yesterday",
        )
    return from_utc, to_utc


def _whole(on: str) -> tuple[str, str]:
    from datetime import UTC, datetime

    from edge_agent.errors import UsageError
    from edge_agent.moment import PERIOD_WORDS, period

    try:
        begin, end = (at.astimezone(UTC).isoformat(timespec="milliseconds") for at in period(on, datetime.now(UTC)))
    except (ValueError, OverflowError):
        raise UsageError(f"--on {on!r} is no day, week or month", hint=f"for instance {PERIOD_WORDS}") from None
    return begin, end


def journal_of(config: Path, journal: Path | None) -> Path:
    """The journal that a command is about: the file that was named, else line.toml's. Raises ConfigError."""
    return journal or settings_of(config).store.journal


def at_desk(config: Path, work: Callable[[DeskClient], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """Ask the running agent at its desk. Raises Unavailable where none runs; a refusal ends with exit code 1."""
    import asyncio

    from edge_agent.desk.client import DeskClient, DeskError, desk_path
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


def given_options(context: typer.Context, *, but: Container[str]) -> list[str]:
    """The options of the command that runs, as words: those that were typed, without the parameters named ``but``."""
    words: list[str] = []
    for option in context.command.params:
        name, source = option.name or "", context.get_parameter_source(option.name or "")
        if name in but or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return words


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr: one a stage, gone from logs and pipes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    bars: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description:<28}", markup=False),
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


def printable(text: str) -> str:
    """No control bytes of a peer on a person's terminal."""
    return text if text.isprintable() else repr(text)
