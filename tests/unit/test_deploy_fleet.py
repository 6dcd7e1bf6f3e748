"""The units of the fleet's server: they verify, are closed, and start what there is; its backup is a fleet again."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.errors import ConfigError, DataError, UsageError
from edge_agent.fleet.database import open_database
from edge_agent.fleet.lines import invite, lines
from edge_agent.fleet.serving import wall_key
from edge_agent.wiring.free_ports import free_port
from tests.command_line import edge_agent_here
from tests.fleet import AnyLine, Fleet
from tests.other_user import SERVICE, folder_for_all, give, owners

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "edge-agent-fleet.service"
BACKUP = DEPLOY / "edge-agent-fleet-backup.service"
FOLDER = "/var/lib/edge-agent-fleet"
pytestmark = pytest.mark.timeout(120)


def service_of(path: Path) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)  # a unit may name a key twice
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser["Service"]


def command_of(path: Path, folder: Path) -> list[str]:
    """What the unit starts, without its program, for another folder."""
    words = service_of(path)["ExecStart"].split()[1:]
    return [str(folder) if word == FOLDER else word for word in words]


@pytest.mark.parametrize("names", [(UNIT.name,), (BACKUP.name, "edge-agent-fleet-backup.timer")])
def test_the_units_verify_and_their_exposure_stays_low(tmp_path: Path, names: tuple[str, ...]) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in names:
        text = (DEPLOY / name).read_text().replace("/opt/edge-agent-fleet/bin/edge-agent", "/bin/true")
        (tmp_path / name).write_text(text)
    copies = [str(tmp_path / name) for name in names]

    verified = subprocess.run([analyze, "verify", *copies], capture_output=True, text=True, check=False)
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", copies[0]],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposure.returncode == 0, exposure.stdout


def test_the_unit_starts_again_without_end_but_not_on_errors_that_a_restart_keeps() -> None:
    service = service_of(UNIT)

    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == ("notify", "main", "always")
    kept = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert kept == {UsageError.exit_code, ConfigError.exit_code}
    assert DataError.exit_code not in kept, "a database that is away comes back"


@pytest.mark.parametrize("unit", [UNIT, BACKUP])
def test_the_user_and_the_folder_that_a_unit_names_are_made(unit: Path) -> None:
    service = service_of(unit)
    user = (DEPLOY / "edge-agent-fleet.sysusers").read_text().splitlines()[-1].split()

    assert user[:2] == ["u", service["User"]]
    assert f"/var/lib/{service['StateDirectory'].split()[0]}" == FOLDER
    assert (service["CapabilityBoundingSet"], service["NoNewPrivileges"]) == ("", "yes")


def test_what_the_unit_starts_tells_systemd_that_it_serves_and_that_it_ends(tmp_path: Path) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(60)
    words = [
        f"--port={free_port()}" if word == "$FLEET_OPTIONS" else word for word in command_of(UNIT, tmp_path / "fleet")
    ]
    with closing(told):
        server = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", *words], env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        )
        try:
            heard = [told.recv(100).decode() for _ in range(2)]
            server.terminate()
            while heard[-1] != "STOPPING=1":
                heard.append(told.recv(100).decode())
            assert server.wait(30) == 0
        finally:
            server.kill()
            server.wait()

    assert heard[:2] == ["READY=1", "WATCHDOG=1"]


def test_the_nightly_copy_of_the_unit_is_a_fleet_again(tmp_path: Path) -> None:
    """Taken while the server writes, unpacked into an empty folder, served."""
    fleet, into = Fleet(tmp_path / "fleet"), tmp_path / "backups"
    into.mkdir()
    for name in ("fleet-20200101T000000Z.tar", "fleet-99990101T000000Z.tar", "fleet-notes.tar"):
        (into / name).write_bytes(b"")
    (fleet.folder / "bundles" / "b").mkdir(parents=True)
    (fleet.folder / "bundles" / "b" / "manifest.json").write_text("{}")
    (fleet.folder / "bundles" / ".incoming-x").mkdir()
    values = {"${BACKUP_FOLDER}": str(into), "${BACKUP_KEEP}": "1"}
    words = [values.get(word, word) for word in command_of(BACKUP, fleet.folder)]
    with fleet.running():
        line = AnyLine(tmp_path / "line", fleet, "Line 7")
        line.join()
        line.tell(state="FAULT")
        ran = edge_agent_here(*words, "--json")
        assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    file = Path(said["file"])
    assert sorted(one.name for one in into.iterdir()) == [file.name, "fleet-99990101T000000Z.tar", "fleet-notes.tar"]
    assert (said["has_database"], file.stat().st_mode & 0o777) == (True, 0o600)

    copy = Fleet(tmp_path / "copy", port=fleet.port)
    with tarfile.open(file) as tar:
        tar.extractall(copy.folder, filter="data")
    assert [one.name for one in (copy.folder / "bundles").iterdir()] == ["b"]
    assert wall_key(copy.folder) == wall_key(fleet.folder)
    with copy.running():
        assert copy.lines()["Line 7"]["state"] == "FAULT"
        assert line.refused() == 0, "the line's secret is good there, and it notices nothing"


def test_what_is_no_fleet_or_cannot_be_read_leaves_no_backup(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = edge_agent_here("fleet", "backup", str(tmp_path / "b.tar"), "--folder", str(tmp_path / "empty"))
    assert (ran.code, "holds no fleet" in ran.err) == (65, True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "fleet.sqlite3").write_bytes(b"no database at all, " * 500)
    ran = edge_agent_here("fleet", "backup", str(tmp_path / "b.tar"), "--folder", str(tmp_path / "broken"))
    assert (ran.code, "cannot be copied" in ran.err) == (65, True)
    ran = edge_agent_here(
        "fleet", "backup", str(tmp_path / "none"), "--keep", "3", "--folder", str(tmp_path / "broken")
    )
    assert (ran.code, "is the share mounted?" in ran.err) == (64, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken", "empty"]


def test_of_a_fleet_on_postgresql_everything_else_is_kept_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "database-url").write_text("postgresql+psycopg://fleet@db.plant.example/fleet")
    ran = edge_agent_here("fleet", "backup", str(tmp_path / "b.tar"), "--folder", str(tmp_path / "fleet"))
    assert (ran.code, "pg_dump" in ran.out) == (0, True)
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert tar.getnames() == ["database-url"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_nothing_in_the_folder_of_the_services_user() -> None:
    with folder_for_all() as folder:
        at = folder / "fleet"
        engine = open_database(at)
        with engine.begin() as connection:
            invite(connection, "Line 7", "a test")
            assert lines(connection) == []
        engine.dispose()
        give(at, SERVICE)
        commands = (
            ("serve",),
            ("invite", "Line 8"),
            ("lines",),
            ("promote", str(folder), "--first", "Line 7"),
            ("user", "A. Weber"),
            ("backup", str(folder / "b.tar")),
        )
        for words in commands:
            ran = edge_agent_here("fleet", *words, "--folder", str(at))
            assert (ran.code, f"-u '#{SERVICE}' " in ran.err) == (77, True), words
        assert owners(at) == {SERVICE}
        with closing(sqlite3.connect(at / "fleet.sqlite3")) as database:
            assert database.execute("SELECT count(*) FROM invitation").fetchone() == (1,)
