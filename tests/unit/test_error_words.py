"""What the command line says of an error, to a terminal that may be worked by what is written on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.command_line import edge_agent_here

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("args", [("ask", "{name}", "lines"), ("journal", "verify", "--config", "{name}")])
def test_a_files_name_does_not_work_the_terminal(tmp_path: Path, args: tuple[str, ...]) -> None:
    name = str(tmp_path / "evil\x1b]0;title\x07\x9b2J\r.toml")
    ran = edge_agent_here(*(one.format(name=name) for one in args))
    assert ran.code != 0
    assert "evil" in ran.err
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(ran.err)
