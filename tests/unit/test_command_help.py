"""What all commands have in common: help as it is written, one default for line.toml, a reader that goes away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.commands.main import cli, command_line
from edge_agent.commands.shared import DEFAULT_CONFIG
from tests.command_line import edge_agent_here

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


def as_written() -> dict[tuple[str, ...], Any]:
    """Every command and group with its texts as the source has them."""
    import typer

    return dict(commands(typer.main.get_command(cli)))


ALL = as_written()


def words(text: str) -> str:
    """Without the frames and line ends of a help page."""
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())


@pytest.mark.parametrize("names", ALL, ids=lambda names: " ".join(names) or "edge-agent")
def test_help_shows_every_text_as_it_is_written(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    command = ALL[names]

    ran = edge_agent_here(*names, "--help")

    shown = words(ran.out)
    assert (ran.code, ran.err) == (0, "")
    for text in (command.help, command.epilog, *(param.help for param in command.params if not param.hidden)):
        assert words(text or "") in shown
    for below in getattr(command, "commands", {}):
        assert below in shown.split()


def test_the_help_of_bundle_names_the_table_in_double_brackets() -> None:
    assert "[[bundle]]" in edge_agent_here("bundle", "list", "--help").out


def test_all_commands_read_the_same_line_toml_when_none_is_named() -> None:
    found = {
        " ".join(names): param.default
        for names, command in commands(command_line())
        for param in command.params
        if param.name == "config"
    }

    # A replay takes bundles and journal from the command line where no line.toml is named.
    assert found.pop("replay") is None
    assert len(found) > 25
    assert set(found.values()) == {DEFAULT_CONFIG}


@pytest.mark.parametrize(
    "command", [["version"], ["config", "schema"], ["simulate", "--list-faults"], ["--help"]], ids=" ".join
)
def test_a_reader_that_went_away_ends_a_command_without_a_word(command: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "edge_agent", *command], stdout=writes, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writes)

    assert (ran.returncode, ran.stderr) == (141, b"")


def test_a_reader_of_both_that_went_away_is_no_bug_either() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "edge_agent", "version", "--json"], stdout=writes, stderr=writes, check=False
        )
    finally:
        os.close(writes)

    assert ran.returncode == 141


def test_the_module_runs_from_any_folder(tmp_path: Path) -> None:
    where = {"PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-m", "edge_agent", "version"],
        cwd=tmp_path,
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("edge-agent ")
