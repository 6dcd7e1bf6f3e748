"""Root and the service's user on one state folder: nothing of root is left there, and a refused permission says so."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING, Any

import pytest
import typer

from edge_agent.commands.main import cli
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor import owners as owners_module
from edge_agent.tools.doctor.owners import agent_reads, agent_user, state_owners
from tests.command_line import edge_agent_here
from tests.other_user import SERVICE, edge_agent_as, folder_for_all, give, owners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")]

_TOML = """\
schema_version = 1
[line]
deadline_ms = 500
min_part_spacing_ms = 2000
[controller]
kind = "simulated"
[images]
spool = "state/spool"
[images.ftp]
password_file = "ftp_password"
[output]
host = "127.0.0.1"
watchdog_tested = 2026-11-29
watchdog_tested_by = "a test"
[[bundle]]
program = 1
path = "state/bundles/program-1"
[webhook]
url = "https://127.0.0.1:1/results"
[store]
journal = "state/journal.sqlite3"
archive = "state/archive"
"""

WRITES = {
    "run": ["--dry-run"],
    "challenge show": ["{line}/samples"],
    "msa images": ["{line}/good", "--study", "{line}/msa.jsonl"],
    "msa line": ["{line}/parts.csv", "--study", "{line}/msa.jsonl"],
    "output test": ["--yes"],
    "bundle activate": ["{line}/state/new"],
    "bundle rollback": [],
    "bundle sign": ["{line}/state/new", "--key", "{line}/key"],
    "calibrate-reference": ["{line}/good", "--out", "{line}/state/bundles/new"],
    "bundle relimit": ["--to", "1.8", "--by", "Ada", "--why", "a try"],
    "learn run": ["--good", "{line}/good", "--out", "{line}/state/learned"],
    "shadow begin": ["{line}/state/new"],
    "shadow end": [],
    "journal rotate": [],
    "journal export": ["{line}/store", "--format", "store"],
    "results again": [],
    "results put-away": ["--receiver", "webhook"],
    "users add": ["Ada", "--role", "engineer"],
    "users role": ["Ada", "quality"],
    "users password": ["Ada"],
    "users disable": ["Ada"],
    "users enable": ["Ada"],
    "fleet join": ["{line}-an-invitation"],
}
"""Every command that writes into the state folder, with what it needs to get that far."""
READS = {
    "journal query": [],
    "journal timings": [],
    "journal changes": [],
    "journal verify": [],
    "results list": [],
    "reviews": [],
    "shadow status": [],
    "challenge history": [],
    "doctor": [],
    "users list": [],
}
"""Those that only look into it: root may, and leaves nothing."""
ELSEWHERE = {
    *("bundle show", "bundle list", "bundle compare", "bundle keygen", "bundle verify"),
    *("bypass begin", "bypass end", "bypass status", "output acknowledge", "status"),  # the running agent does it
    *("output fail-safe", "config check", "config schema", "config unit", "version"),
    *("cvx status", "cvx trigger", "cvx program", "cvx send", "cvx listen", "cvx commands"),
    *(
        "evaluate",
        "replay",
        "demo",
        "simulate",
        "init",
        "ask",
        "backup",
        "shadow report",
        "learn report",
        "learn propose",
    ),
    *("report shift", "report part"),
    *("fleet serve", "fleet invite", "fleet lines", "fleet forget", "fleet promote", "fleet advance", "fleet stop"),
    *("fleet promotions", "fleet user", "fleet backup"),  # at the server, where no line is
    "restore",  # root does it, and gives each file to its user: tests/simulated/test_backup.py
}
"""Those that write where the person says, or nothing."""


@pytest.fixture
def line() -> Iterator[Path]:
    """A line.toml of root's, and a state folder of the service's user with a journal of one part in it."""
    with folder_for_all() as folder:
        (folder / "line.toml").write_text(_TOML)
        (folder / "ftp_password").write_text("secret-enough\n")
        (folder / "samples").mkdir()
        (folder / "good").mkdir()
        state = folder / "state"
        (state / "bundles").mkdir(parents=True)
        state.chmod(0o750)
        Journal.open(state / "journal.sqlite3").close()
        give(state, SERVICE)
        yield folder


def _words(name: str, options: list[str], line: Path) -> list[str]:
    """The whole command line."""
    config = [] if name in ("bundle sign", "calibrate-reference") else ["--config", "{line}/line.toml"]
    return [*name.split(), *(option.format(line=line) for option in (*options, *config))]


def _leaves(command: Any, name: str = "") -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for word, one in inner.items():
        yield from _leaves(one, f"{name} {word}".strip())


def test_every_command_is_known_to_write_into_the_state_folder_or_not() -> None:
    """A command that is new here has to say which."""
    assert set(_leaves(typer.main.get_command(cli))) == {*WRITES, *READS, *ELSEWHERE}


@pytest.mark.parametrize("name", WRITES)
def test_a_command_that_writes_is_refused_for_root_before_it_opens_anything(line: Path, name: str) -> None:
    before = sorted(line.rglob("*"))

    ran = edge_agent_here(*_words(name, WRITES[name], line))

    assert ran.code == 77, ran.err
    assert f"belongs to the user {SERVICE}" in ran.err
    assert f"-u '#{SERVICE}' " in ran.err
    assert name in ran.err, "the hint is the command to type"
    assert sorted(line.rglob("*")) == before
    assert owners(line / "state") == {SERVICE}


@pytest.mark.parametrize("name", READS)
def test_a_command_that_reads_leaves_nothing_of_root(line: Path, name: str) -> None:
    ran = edge_agent_here(*_words(name, READS[name], line))

    assert ran.code in (0, 1), ran.err
    assert owners(line / "state") == {SERVICE}


def test_root_may_write_where_the_state_is_roots(line: Path) -> None:
    give(line / "state", 0)

    ran = edge_agent_here("journal", "rotate", "--config", str(line / "line.toml"))

    assert ran.code == 65, "there is no part to close it with"
    assert "holds no part yet" in ran.err


def test_the_user_itself_writes(line: Path) -> None:
    ran = edge_agent_as(SERVICE, "journal", "rotate", "--config", str(line / "line.toml"))

    assert ran.returncode == 65, ran.stderr
    assert "holds no part yet" in ran.stderr
    assert owners(line / "state") == {SERVICE}


@pytest.mark.parametrize("name", ["journal.sqlite3", "journal.sqlite3.lock"])
def test_a_file_of_root_in_the_way_of_the_service_is_said_in_its_own_words(line: Path, name: str) -> None:
    """Of a lock that may only be read SQLite takes none, without a word: a second agent would not be held off."""
    path = line / "state" / name
    path.touch()
    os.chown(path, 0, 0)
    path.chmod(0o644)

    ran = edge_agent_as(SERVICE, "output", "test", "--yes", "--config", str(line / "line.toml"))

    assert ran.returncode == 77, ran.stderr
    assert f"{path} belongs to the user root, mode 0644" in ran.stderr
    assert f"chown -hR '#{SERVICE}': {line / 'state'}" in ran.stderr
    assert "disk" not in ran.stderr
    assert "damaged" not in ran.stderr


def test_another_user_is_told_as_whom_to_type_it(line: Path) -> None:
    (line / "state").chmod(0o755)

    ran = edge_agent_as(1234, "journal", "rotate", "--config", str(line / "line.toml"))

    assert ran.returncode == 77, ran.stderr
    assert f"-u '#{SERVICE}' " in ran.stderr


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_journal_that_may_not_be_read_is_not_called_damaged(line: Path, mode: int) -> None:
    (line / "state").chmod(mode)
    (line / "state/journal.sqlite3").chmod(0o600)

    ran = edge_agent_as(1234, "journal", "query", "--config", str(line / "line.toml"))

    assert ran.returncode == 77, ran.stderr
    assert "damaged" not in ran.stderr
    assert f"belongs to the user {SERVICE}, mode 0" in ran.stderr
    assert stat.S_IMODE((line / "state").stat().st_mode) == mode


def _site(line: Path) -> Site:
    """As on a PC where no unit is installed: the agent's user is whose the state folder is."""
    return Site(line / "line.toml", load_settings(line / "line.toml"), line / "no machine")


def test_the_doctor_names_what_is_not_the_agents_and_gives_it_back(line: Path) -> None:
    assert state_owners(_site(line)).result is Result.OK
    (line / "state/archive/2026-11-29").mkdir(parents=True)
    left = line / "state/archive/2026-11-29/part.bmp"
    left.touch()

    found = state_owners(_site(line))

    assert found.result is Result.FAIL
    assert f"{line}/state/archive belongs to root, not to {SERVICE}" in found.evidence
    assert "2 more" in found.evidence
    assert f"sudo chown -hR '#{SERVICE}': {line}/state" in found.fix

    give(line / "state", SERVICE)
    assert state_owners(_site(line)).result is Result.OK


def test_the_doctor_says_where_it_did_not_look_at_all_of_a_large_archive(
    line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the newest" not in state_owners(_site(line)).evidence
    monkeypatch.setattr(owners_module, "_LOOKED_AT_MOST", 1)

    assert "the newest 1 files and folders were looked at" in state_owners(_site(line)).evidence


def test_the_doctor_tries_what_the_agents_user_can_read(line: Path) -> None:
    for path in (line / "line.toml", line / "ftp_password"):
        path.chmod(0o640)

    by_nobody = agent_reads(_site(line))
    os.chown(line / "line.toml", 0, SERVICE)
    without_password = agent_reads(_site(line))
    os.chown(line / "ftp_password", 0, SERVICE)
    both = agent_reads(_site(line))

    assert (by_nobody.result, without_password.result, both.result) == (Result.FAIL, Result.FAIL, Result.OK)
    assert f"{line}/line.toml cannot be read by {SERVICE}" in by_nobody.evidence
    assert f"{line}/ftp_password cannot be read" in without_password.evidence
    assert "chmod 0640" in without_password.fix


def test_the_agents_user_is_the_one_of_the_unit_that_names_this_line(line: Path) -> None:
    root = line / "machine"
    unit = root / "etc/systemd/system/edge-agent.service"
    unit.parent.mkdir(parents=True)
    site = Site(line / "line.toml", load_settings(line / "line.toml"), root)
    text = "[Service]\nUser=daemon\nExecStart=/opt/edge-agent/bin/edge-agent run --config {}\nRestart=always\n"

    unit.write_text(text.format(line / "line.toml"))
    of_this_line = agent_user(site)
    unit.write_text(text.format("/etc/edge-agent/line.toml"))
    of_another = agent_user(site)

    assert (of_this_line, of_another) == (pwd.getpwnam("daemon").pw_uid, SERVICE)


def test_init_prints_the_commands_as_they_have_to_be_typed(line: Path) -> None:
    (line / "etc").mkdir()
    at = ["--out", str(line / "etc/line.toml"), "--state", str(line / "state")]

    ran = edge_agent_here("init", "--yes", *at, "--program", "1")

    assert ran.code == 0, ran.err
    commands = [words.split(". ", 1)[1] for words in ran.out.splitlines() if words.startswith("  ")]
    assert len(commands) == 7
    assert all(f" -u '#{SERVICE}' " in command for command in commands)
    assert "edge-agent cvx status " in commands[0]
    assert f" {line}/state/good --live 40 --config {line}/etc/line.toml " in commands[1]
    assert f" --out {line}/state/bundles/program-1 " in commands[1]
