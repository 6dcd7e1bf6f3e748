"""edge-agent init: a controller is found without being touched, and the file that is written passes its check."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.controller import SimulatedController
from edge_agent.errors import UsageError
from edge_agent.settings import load_settings, read_password
from edge_agent.tools.commissioning import LineFacts, addresses_in, find_controllers, own_address, write_line
from tests.simulated.line import edge_agent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["", "cv-x", "192.168.10.0/33", "10.0.0.0/8", "1.2.3.4,"])
def test_what_is_no_small_net_is_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        addresses_in(text)
    assert caught.value.hint


def test_addresses_are_those_of_hosts() -> None:
    assert addresses_in("192.168.10.8/30, 10.0.0.1") == ["192.168.10.9", "192.168.10.10", "10.0.0.1"]


async def test_a_controller_is_found_among_silent_and_foreign_peers_and_nothing_is_changed() -> None:
    controller = SimulatedController(host="127.0.0.3")
    await controller.start()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-something\r\n")
        await reader.read(100)
        writer.close()

    foreign = await asyncio.start_server(babble, "127.0.0.4", controller.port)
    seen: list[tuple[int, int]] = []
    try:
        found = await find_controllers(
            ["127.0.0.2", "127.0.0.3", "127.0.0.4"],
            lambda _stage, done, total: seen.append((done, total)),
            port=controller.port,
        )
    finally:
        foreign.close()
        await foreign.wait_closed()
        await controller.stop()

    assert [one.address for one in found] == ["127.0.0.3"]
    assert found[0].version
    assert seen[-1] == (3, 3)


def test_the_own_address_is_the_one_towards_the_controller() -> None:
    assert own_address("127.0.0.9") == "127.0.0.1"


def test_every_answer_stands_in_the_file_and_the_file_passes_its_check(tmp_path: Path) -> None:
    facts = (
        "--name",
        'line "7"',
        "--controller",
        "192.168.3.4",
        "--controller-port",
        "8501",
        "--output",
        "192.168.5.6",
    )
    times = ("--spacing-ms", "900", "--imaging-ms", "60", "--deadline-ms", "550")
    others = ("--program", "12", "--own-address", "192.168.3.1", "--keep-reject-days", "2", "--keep-pass-hours", "0.5")
    others += ("--parts-per-minute", "6", "--image-mib", "0.5", "--reject-percent", "10")
    ran = edge_agent("init", "--yes", "--json", *facts, *times, *others, "--state", "state", cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["config"] == "line.toml"
    settings, ftp = load_settings(tmp_path / "line.toml"), load_settings(tmp_path / "line.toml").images.ftp
    assert ftp is not None
    line = settings.line
    assert (line.name, line.deadline_ms, line.min_part_spacing_ms, line.imaging_ms) == ('line "7"', 550, 900, 60)
    assert settings.output.pass_hold_ms == 290
    assert (settings.store.archive_max_gib, settings.store.keep_reject_days) == (1.0, 2)
    assert "2 days of rejects" in json.loads(ran.stdout)["archive"]["words"]
    assert (settings.controller.host, settings.controller.port) == ("192.168.3.4", 8501)
    assert (ftp.host, settings.image_senders) == ("192.168.3.1", ("192.168.3.4",))
    assert (settings.output.host, settings.bundle[0].program) == ("192.168.5.6", 12)
    assert settings.store.journal == tmp_path / "state" / "journal.sqlite3"
    assert len(read_password(ftp.password_file)) >= 16
    assert stat.S_IMODE(ftp.password_file.stat().st_mode) & 0o007 == 0
    assert "# From the first sign of a part to PASS on the wire." in (tmp_path / "line.toml").read_text()
    unproven = edge_agent("config", "check", "--config", "line.toml", cwd=tmp_path)
    assert unproven.returncode == 78
    assert "output.module: nothing proves that the remote I/O drops PASS when this PC is dead" in unproven.stderr
    assert "edge-agent output test --config line.toml --watchdog" in unproven.stderr
    assert 'edge-agent output test --config line.toml --watchdog --by "YOUR NAME" --yes' in ran.stderr


def test_a_remote_io_that_the_agent_proves_by_itself_is_named_and_nobody_has_to_test_it(tmp_path: Path) -> None:
    ran = edge_agent("init", "--yes", "--module", "wago-750", "--spacing-ms", "1500", cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    output = load_settings(tmp_path / "line.toml").output
    assert (output.module, output.first_coil) == ("wago-750", 512)
    assert "--watchdog" not in ran.stdout
    assert edge_agent("config", "check", "--config", "line.toml", cwd=tmp_path).returncode == 0


def test_a_family_that_nobody_knows_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    ran = edge_agent("init", "--yes", "--module", "wago", cwd=tmp_path)

    assert ran.returncode == 78
    assert "output.module: expected one of" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_simulated_line_is_written_without_a_question_and_stays_on_this_machine(tmp_path: Path) -> None:
    ran = edge_agent("init", "--simulated", cwd=tmp_path)
    refused = edge_agent("init", "--simulated", "--force", "--output", "192.168.5.6", cwd=tmp_path)
    again = edge_agent("init", "--simulated", cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    settings = load_settings(tmp_path / "line.toml")
    assert settings.controller.kind == "simulated"
    assert settings.bundle[0].path.parent.is_dir()  # the next command writes there
    assert (
        edge_agent("config", "check", "--config", "line.toml", cwd=tmp_path).returncode == 0
    )  # the simulated remote I/O drops PASS
    assert "cvx status" not in ran.stdout  # no controller is there between the commands
    assert (refused.returncode, again.returncode) == (64, 64)
    assert "--output" in refused.stderr


def test_a_file_that_is_there_stays_and_so_does_the_password(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text("mine")
    (tmp_path / "ftp_password").write_text("the controller's already\n")

    refused = edge_agent("init", "--yes", cwd=tmp_path)
    kept = (tmp_path / "line.toml").read_text()
    forced = edge_agent("init", "--yes", "--force", cwd=tmp_path)

    assert (refused.returncode, kept) == (64, "mine")
    assert "--force" in refused.stderr
    assert forced.returncode == 0
    assert (tmp_path / "ftp_password").read_text() == "the controller's already\n"


def test_times_that_do_not_fit_are_said_and_nothing_is_written(tmp_path: Path) -> None:
    ran = edge_agent("init", "--yes", "--spacing-ms", "400", cwd=tmp_path)

    assert ran.returncode == 78
    assert "line.toml:" in ran.stderr
    assert "output.watchdog_ms" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to a group")
def test_what_root_writes_is_for_the_group_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, -1, 1)
    facts = LineFacts("line 1", "192.168.10.10", "192.168.10.1", "192.168.20.20", 700, 1000, 0, tmp_path)

    password = write_line(tmp_path / "line.toml", facts)

    found = [(path.stat().st_gid, path.stat().st_mode & 0o777) for path in (tmp_path / "line.toml", password)]
    assert found == [(1, 0o640), (1, 0o640)]
