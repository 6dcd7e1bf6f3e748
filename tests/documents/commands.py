"""docs/reference/commands.md and exit-codes.md: every command with its options, by the program that takes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer

from edge_agent import errors
from edge_agent.commands.main import cli
from tests.documents.words import code, table, text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands_page", "exit_codes_page"]

_COMMANDS = """\
# Commands

Made by `make reference` from the program itself; a test holds that they agree. Every command has `--help`. With
`--json`, most commands print one JSON object with a version on stdout, and the text for people on stderr.
[Exit codes](exit-codes.md)."""
_EXIT_CODES = """\
# Exit codes

Made by `make reference` from the program itself; a test holds that they agree. All commands end with the same codes.
From 64 to 78 they are those of BSD's `sysexits.h`, which systemd shows by name. An error is one line on stderr that
begins with `error:`, mostly followed by a line `hint:` that says what to do."""
_WITHOUT_CLASS = {
    0: "All went well.",
    1: "The command ran, and the answer is no: a check failed, a verdict differs, nothing was found, a peer refused.",
    70: "The lines above the message are for a report of the fault.",
    74: "A file could not be read or written; the message names it.",
    130: "Ctrl-C ended it. Of a replay with `--out` what was judged is kept, and the same command goes on.",
    141: "The program that should read the output has ended, as `head` does after its last line.",
}
"""What the codes mean that no class of error has."""


def commands_page() -> str:
    """All commands: first a table of them, then each with its arguments and options."""
    every = dict(_commands(typer.main.get_command(cli), "edge-agent"))
    rows = [
        (f"[`{name}`](#{_anchor(name)})", text(_first(command)))
        for name, command in every.items()
        if not _below(command)
    ]
    lines = [_COMMANDS, "", *table(("command", "what it does"), rows)]
    for name, command in every.items():
        if name != "edge-agent":
            lines += ["", *_command(name, command)]
    return "\n".join([*lines, ""])


def exit_codes_page() -> str:
    """All codes that the help of the program names, with the errors that end with them."""
    told = cli.info.epilog or ""
    rows = []
    for number, words in re.findall(r"(\d+) (.+?)(?:, (?=\d)|\.$)", told.partition(": ")[2]):
        kinds = [kind for kind in _errors(errors.EdgeAgentError) if kind.exit_code == int(number)]
        means = " ".join(" ".join((kind.__doc__ or "").split()) for kind in kinds if kind is not errors.EdgeAgentError)
        rows.append((number, text(words), text(means or _WITHOUT_CLASS[int(number)])))
    return "\n".join([_EXIT_CODES, "", *table(("code", "in short", "what it means"), rows), ""])


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, one in sorted(_below(command).items()):
        if not one.hidden:
            yield from _commands(one, f"{name} {below}")


def _below(command: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def _errors(kind: type[errors.EdgeAgentError]) -> Iterator[type[errors.EdgeAgentError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _errors(below)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _first(command: Any) -> str:
    return str(command.help or "").strip().split("\n\n")[0]


def _command(name: str, command: Any) -> list[str]:
    lines = [f"## {name}", ""]
    for paragraph in str(command.help or "").strip().split("\n\n"):
        examples = re.match(r"\s*Examples?:\s*(.*)", paragraph, re.DOTALL)
        if examples:
            lines += ["```", *(line.strip() for line in examples[1].splitlines() if line.strip()), "```", ""]
        else:
            lines += [text(paragraph), ""]
    if _below(command):
        rows = [(f"[`{name} {below}`](#{_anchor(f'{name} {below}')})", text(_first(one)))
                for below, one in sorted(_below(command).items()) if not one.hidden]  # fmt: skip
        return [*lines, *table(("command", "what it does"), rows)]
    rows = [_parameter(one) for one in command.params if not one.hidden and one.name != "help"]
    return [*lines, *table(("argument or option", "what it is", "left out"), rows)] if rows else lines[:-1]


def _parameter(one: Any) -> tuple[str, str, str]:
    is_option = one.opts[0].startswith("-")
    value = "" if getattr(one, "is_flag", False) else _value(one)
    names = [*one.opts, *one.secondary_opts] if is_option else [_value(one)]
    shown = ", ".join(code(f"{name} {value}" if is_option and value else name) for name in names)
    what = " ".join(filter(None, (text(one.help or ""), "May be given several times." if one.multiple else "")))
    return shown, what + _bounds(one), _left_out(one)


def _value(one: Any) -> str:
    """What stands for the value in a usage line."""
    kind = one.type_descriptor.annotation
    if one.metavar:
        return str(one.metavar)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if not one.opts[0].startswith("-"):
        return str(one.name).upper()
    inner = next(iter(get_args(kind)), kind) if get_origin(kind) is list else kind
    return {int: "N", float: "NUMBER", Path: "PATH"}.get(inner, "TEXT")


def _bounds(one: Any) -> str:
    least, most = getattr(one, "min", None), getattr(one, "max", None)
    said = {(False, True): f"At most {most}.", (True, False): f"At least {least}.", (True, True): f"{least} to {most}."}
    found = said.get((least is not None, most is not None), "")
    return f" {found}" if found else ""


def _left_out(one: Any) -> str:
    if one.required:
        return "**required**"
    if one.default is None or one.default is False or one.default in ("", ()):
        return "-"
    return code(str(one.default))
