"""The command line without a process of its own: what it printed, and its exit code."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from edge_agent.commands.main import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def _refuse_to_end_the_tests(code: int) -> None:
    raise AssertionError(f"os._exit({code}) would end all tests, and with 0 as if they had passed")


def edge_agent_here(*args: str) -> Ran:
    """Run a command that starts no agent and touches no signal."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["edge-agent", *args]),
        patch.object(os, "_exit", _refuse_to_end_the_tests),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Ran(code, out.getvalue(), err.getvalue())
