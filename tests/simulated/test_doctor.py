"""edge-agent doctor: every check made to fail for real, by real files, ports and peers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.simulated.wago import SimulatedWago
from drivers.timing import monotonic_s
from edge_agent.settings import load_settings
from edge_agent.settings.models import FolderSettings, RtuSettings, SerialSettings
from edge_agent.store.journal import Journal
from edge_agent.tools.doctor import CHECKS, Finding, Result, Site, examine
from edge_agent.tools.doctor.places import speed_of
from tests import changed_output
from tests.security.web_site import part_row, reject_row, written
from tests.simulated.line import edge_agent, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.simulated.line import Line

HEALTHY_MACHINE = {
    "proc/meminfo": "MemAvailable: 8000000 kB\nSwapTotal: 1000000 kB\nSwapFree: 1000000 kB",
    "proc/mounts": "/dev/sda1 / ext4 rw 0 0",
    "proc/sys/fs/inotify/max_queued_events": "16384",
    "proc/sys/fs/inotify/max_user_watches": "65536",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "etc/localtime": "TZif",
}
PEERS = ("controller", "controller_mode", "controller_program", "output", "ftp_port", "ftp_passive", "ftp_active")


def machine(folder: Path, **changed: str) -> Path:
    for name, text in (HEALTHY_MACHINE | {key.replace("__", "/"): text for key, text in changed.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def look(site: Site, *ids: str) -> list[Finding]:
    """What these checks find, in the order of the checks."""
    chosen = [check for check in CHECKS if check.id in ids]
    assert len(chosen) == len(ids)
    found = await examine(site, lambda _stage, _done, _total: None, chosen)
    return [finding for _, finding in found.findings]


async def failing(site: Site, name: str, result: Result = Result.FAIL) -> str:
    """The evidence of a check that has to find something, and something to do about it."""
    (found,) = await look(site, name)
    assert (found.result, bool(found.fix), "\n" in found.fix) == (result, True, False), found
    return found.evidence


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A line whose peers are not there."""
    (tmp_path / "ftp.password").write_text("secret secret")
    (tmp_path / "ftp.password").chmod(0o600)
    path = tmp_path / "line.toml"
    with ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        controller, ftp, output = (one.getsockname()[1] for one in free)
    path.write_text(
        f"""schema_version = 1
[line]
deadline_ms = 700
min_part_spacing_ms = 1000
[controller]
port = {controller}
connect_timeout_ms = 200
[images]
spool = "spool"
[images.ftp]
port = {ftp}
password_file = "ftp.password"
[output]
host = "127.0.0.1"
port = {output}
[[bundle]]
program = 1
path = "bundle"
[store]
journal = "state/journal.sqlite3"
archive = "archive"
"""
    )
    path.chmod(0o640)
    return path


@pytest.fixture
def site(config: Path, tmp_path: Path) -> Site:
    return Site(config, load_settings(config), machine(tmp_path / "machine"))


@asynccontextmanager
async def examined(at: Line) -> AsyncIterator[Site]:
    yield Site(at.config, load_settings(at.config), machine(at.folder / "machine"))


def with_output(site: Site, **changed: object) -> None:
    site.settings = changed_output.with_output(site.settings, **changed)


# --- the machine ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "text", "result"),
    [
        ("memory", "proc/meminfo", "MemAvailable: 200000 kB", Result.FAIL),
        ("memory", "proc/meminfo", "MemAvailable: 800000 kB", Result.WARN),
        ("memory", "proc/meminfo", "", Result.WARN),
        ("swap", "proc/meminfo", "SwapTotal: 1000000 kB\nSwapFree: 1000 kB", Result.WARN),
        ("cpu_governor", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave", Result.WARN),
        ("file_system", "proc/mounts", "server:/x / nfs4 rw 0 0", Result.FAIL),
        ("file_system", "proc/mounts", "none / tmpfs rw 0 0", Result.WARN),
    ],
)
async def test_a_machine_that_is_not_fit_is_found_out(
    site: Site, name: str, file: str, text: str, result: Result
) -> None:
    assert (await look(site, name))[0].result is Result.OK

    (site.root / file).write_text(text)

    assert await failing(site, name, result)


async def test_too_small_limits_of_notifications_are_named_where_a_folder_is_watched(
    site: Site, tmp_path: Path
) -> None:
    folder = FolderSettings(path=tmp_path / "drop")
    images = site.settings.images.model_copy(update={"ftp": None, "folder": folder})
    site.settings = site.settings.model_copy(update={"images": images})
    assert (await look(site, "inotify"))[0].result is Result.OK

    (site.root / "proc/sys/fs/inotify/max_queued_events").write_text("128")

    assert "max_queued_events = 128" in await failing(site, "inotify", Result.WARN)


async def test_more_threads_than_cores_fail(site: Site) -> None:
    inference = site.settings.inference.model_copy(update={"threads": 64})
    site.settings = site.settings.model_copy(update={"inference": inference})

    assert "inference.threads = 64" in await failing(site, "cpu_count")


async def test_a_clock_that_no_server_sets_and_no_service_manager_are_warned_of(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("timedatectl", "systemctl"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho no | sed s/no/${ANSWER}/\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)

    monkeypatch.setenv("ANSWER", "no")
    assert await failing(site, "clock_synchronised", Result.WARN) == "not synchronised"
    monkeypatch.setenv("ANSWER", "infinity")
    assert "watches no edge-agent" in await failing(site, "systemd_watchdog", Result.WARN)
    monkeypatch.setenv("ANSWER", "yes")
    assert {found.result for found in await look(site, "clock_synchronised", "systemd_watchdog")} == {Result.OK}


async def test_a_missing_time_zone_is_warned_of(site: Site) -> None:
    (site.root / "etc/localtime").unlink()

    assert "UTC" in await failing(site, "time_zone", Result.WARN)


# --- files and folders ----------------------------------------------------------------------------------


async def test_files_that_others_may_write_or_read_fail(site: Site, tmp_path: Path) -> None:
    site.config.parent.chmod(0o777)
    assert "everyone may put another line.toml there" in await failing(site, "config_permissions")
    site.config.parent.chmod(0o700)
    site.config.chmod(0o660)
    (tmp_path / "ftp.password").chmod(0o644)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive").chmod(0o777)

    assert "0660" in await failing(site, "config_permissions")
    assert "0644: everyone here may read it" in await failing(site, "secret_permissions")
    assert "0777" in await failing(site, "state_permissions")


async def test_a_password_file_that_is_not_there_fails(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ftp.password").unlink()

    assert "No such file" in await failing(site, "secret_permissions")
    assert "there is no such file" in await failing(site, "ftp_passive")


async def test_an_archive_that_is_a_file_takes_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("no folder")

    assert "Not a directory" in await failing(site, "archive_writable")


async def test_a_disk_that_is_full_or_slow_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(site.config.parent)
    full = os.statvfs_result((*real[:2], 1000 * 2**18, 10 * 2**18, 10 * 2**18, *real[5:]))
    assert [speed_of(took).result for took in ([1.0] * 3, [1.0, 20.0, 30.0], [150.0] * 3)] == list(Result)

    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _folder: full)
        found = await failing(site, "disk_space")

    assert "GiB free" in found


async def test_an_archive_that_may_grow_larger_than_its_disk_is_said_with_numbers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(site.config.parent)
    day = site.settings.store.archive / "2026-11-24"
    day.mkdir(parents=True)
    with (day / "part_000000000001_CAM1_PASS_00000000.bmp").open("wb") as image:
        image.truncate(2**30)

    def disk(free_gib: int) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 100 * 2**18, free_gib * 2**18, free_gib * 2**18, *real[5:]))

    found = {}
    for free_gib in (90, 21, 20, 1, 0):
        with monkeypatch.context() as patch:
            patch.setattr(os, "statvfs", lambda _folder, free_gib=free_gib: disk(free_gib))
            (found[free_gib],) = await look(site, "archive_limit")
            (space,) = await look(site, "disk_space")

    assert {free_gib: finding.result for free_gib, finding in found.items()} == {
        90: Result.OK, 21: Result.OK, 20: Result.WARN, 1: Result.FAIL, 0: Result.FAIL,
    }  # fmt: skip
    assert (space.result, "FAULT" in space.evidence) == (Result.FAIL, True)
    assert found[20].evidence.startswith("store.archive_max_gib allows 20.0 GiB, the disk of ")
    assert found[20].evidence.endswith("19.0 GiB: 20.0 GiB free and 1.0 GiB of images, less 2.0 GiB that stay free")
    assert "archive_max_gib = 19.00" in found[20].fix


async def test_how_far_back_images_are_there_is_said_and_compared_with_what_is_asked_for(site: Site) -> None:
    def days_ago(days: float) -> str:
        return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")

    def asking(**days: int) -> Site:
        store = site.settings.store.model_copy(update=days)
        return replace(site, settings=site.settings.model_copy(update={"store": store}), held=None)

    (empty,) = await look(site, "archive_reach")
    rows = [reject_row(seq, decided_utc=days_ago(40 - seq)) for seq in range(1, 37)]
    await written(site.settings.store.journal, [*rows, part_row(37, decided_utc=days_ago(0.25))])
    day = site.settings.store.archive / "2026-11-24"
    day.mkdir(parents=True)
    for seq in (28, 30, 36):
        with (day / f"part_{seq:012d}_CAM1_REJECT_00000000.bmp").open("wb") as image:
            image.truncate(2**30)
    (day / "part_000000000037_CAM1_PASS_00000000.bmp").write_bytes(b"image")
    found = {days: (await look(asking(keep_reject_days=days), "archive_reach"))[0] for days in (10, 12, 24)}
    (by_both,) = await look(asking(keep_days=24), "archive_reach")

    assert (empty.result, "holds no passes, no rejects" in empty.evidence) == (Result.OK, True)
    assert "holds 6.0 hours of passes, 12 days of rejects (3.0 GiB)" in found[10].evidence
    assert {days: finding.result for days, finding in found.items()} == {
        10: Result.OK, 12: Result.OK, 24: Result.WARN,
    }  # fmt: skip
    assert "keep_reject_days asks for 24 days" in found[24].evidence
    assert "24 days of these images are about 6.0 GiB" in found[24].fix
    assert by_both.result is Result.WARN


async def test_a_damaged_journal_and_a_clock_put_back_fail(site: Site) -> None:
    path = site.settings.store.journal
    journal = Journal.open(path)
    await journal.event("START", "for the test")
    journal.close()
    assert {found.result for found in await look(site, "journal_integrity", "clock_steady")} == {Result.OK}

    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER event_is_not_changed")
        database.execute("UPDATE event SET at_utc = '2999-01-01T00:00:00+00:00'")
        database.commit()
    assert "in the future" in await failing(site, "clock_steady")

    path.write_bytes(b"not a database at all" * 400)
    assert await failing(site, "journal_integrity")


# --- the bundle -----------------------------------------------------------------------------------------


async def test_an_altered_bundle_a_foreign_one_and_a_slow_one_fail(
    site: Site, tmp_path: Path, thumbnail_bundle: Path
) -> None:
    assert "cannot be read" in await failing(site, "bundle_verified")
    shutil.copytree(thumbnail_bundle, tmp_path / "bundle")
    found = await look(site, "bundle_verified", "bundle_warm", "inference_time", "libraries")
    assert [one.result for one in found] == [Result.OK] * 4

    site.warm_ms = [650.0]
    assert "650 ms a part" in await failing(site, "inference_time", Result.WARN)
    site.warm_ms = [700.0]
    assert "line.deadline_ms = 700" in await failing(site, "inference_time")
    entry, bundle = site.bundles[0]
    site.bundles = [(entry, replace(bundle, manifest={**bundle.manifest, "versions": {"numpy": "1.0"}}))]
    assert "numpy 1.0 then" in await failing(site, "libraries", Result.WARN)
    golden = bundle.golden_npz
    site.bundles = [(entry, replace(bundle, golden_npz=golden[:100]))]
    assert "golden.npz" in await failing(site, "bundle_warm")

    site.settings = site.settings.model_copy(update={"bundle": (entry.model_copy(update={"program": 9}),)})
    assert "calibrated for program 1" in await failing(site, "bundle_verified")
    (tmp_path / "bundle" / "bank.npz").write_bytes(b"altered")
    assert "was altered" in await failing(site, "bundle_verified")
    assert "not every bundle" in await failing(site, "bundle_warm")


# --- the peers ------------------------------------------------------------------------------------------


async def test_peers_that_are_not_there_fail(site: Site) -> None:
    assert await failing(site, "controller")
    assert await failing(site, "controller_mode")
    assert await failing(site, "controller_program")
    assert "no connection to the remote I/O" in await failing(site, "output")
    assert "nor has said that it was tested" in await failing(site, "output_watchdog")


async def test_what_a_person_said_of_the_watchdog_is_shown_and_grows_old(site: Site) -> None:
    today = datetime.now().astimezone().date()
    with_output(site, watchdog_tested=today, watchdog_tested_by="Ada Lovelace")
    (found,) = await look(site, "output_watchdog")
    assert found.result is Result.OK
    assert found.evidence.startswith(f"Ada Lovelace saw PASS fall by itself on {today}: output.watchdog_ms = 500")
    with_output(site, watchdog_tested=today - timedelta(days=400))
    assert "more than a year ago" in await failing(site, "output_watchdog", Result.WARN)
    with_output(site, watchdog_tested=today + timedelta(days=2))
    assert "has not come yet" in await failing(site, "output_watchdog", Result.WARN)
    with_output(site, watchdog_tested=None)
    site.settings = site.settings.model_copy(
        update={"controller": site.settings.controller.model_copy(update={"kind": "simulated"})}
    )
    (found,) = await look(site, "output_watchdog")
    assert found.result is Result.OK


async def test_a_module_that_cannot_be_proven_needs_the_statement_too(site: Site) -> None:
    peer = SimulatedRemoteIo()
    await peer.start()
    try:
        with_output(site, module="beckhoff-ek9000", port=peer.port)
        assert "nor has said that it was tested" in await failing(site, "output_watchdog")
        with_output(site, watchdog_tested=datetime.now().astimezone().date(), watchdog_tested_by="Ada Lovelace")
        (found,) = await look(site, "output_watchdog")
        assert found.result is Result.OK
    finally:
        await peer.stop()


async def test_what_to_do_about_a_serial_controller_names_its_line_and_no_address(site: Site) -> None:
    serial = SerialSettings(url="/dev/serial/by-id/none")
    controller = site.settings.controller.model_copy(update={"serial": serial})
    site.settings = site.settings.model_copy(update={"controller": controller})

    (found,) = await look(site, "controller")

    assert found.result is Result.FAIL
    assert "/dev/serial/by-id/none cannot be opened" in found.evidence
    assert "[controller.serial]" in found.fix
    assert "ping" not in found.fix


async def test_a_port_that_another_program_has_and_an_address_that_is_not_ours_fail(site: Site) -> None:
    ftp = site.settings.images.ftp
    assert ftp is not None
    with closing(socket.create_server((ftp.host, ftp.port))):
        assert "is in use" in await failing(site, "ftp_port")
        assert "could not be opened" in await failing(site, "ftp_active")
    images = site.settings.images
    elsewhere = images.model_copy(update={"ftp": ftp.model_copy(update={"host": "192.0.2.1"})})
    site.settings = site.settings.model_copy(update={"images": elsewhere})
    assert "192.0.2.1" in await failing(site, "ftp_port")


@pytest.mark.parametrize(
    ("peers", "result", "said"),
    [
        (None, Result.OK, "the controller alone"),
        (("192.168.10.10",), Result.OK, "192.168.10.10 alone"),
        (("192.168.10.10", "192.168.11.10"), Result.WARN, "no image tells which controller took it"),
        (("192.168.10.0/24",), Result.WARN, "no image tells which controller took it"),
    ],
)
async def test_more_senders_of_images_than_one_are_pointed_out(
    site: Site, peers: tuple[str, ...] | None, result: Result, said: str
) -> None:
    ftp = site.settings.images.ftp
    assert ftp is not None
    images = site.settings.images.model_copy(update={"ftp": ftp.model_copy(update={"allowed_peers": peers})})
    site.settings = site.settings.model_copy(update={"images": images})

    (found,) = await look(site, "ftp_senders")

    assert (found.result, said in found.evidence, bool(found.fix)) == (result, True, result is Result.WARN)


def own_address() -> str:
    """An address of this PC that is not loopback; skips where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def with_controller(site: Site, **values: object) -> None:
    controller = site.settings.controller.model_copy(update=values)
    site.settings = site.settings.model_copy(update={"controller": controller})


async def test_a_controller_or_an_output_that_is_this_pc_is_found_out(site: Site) -> None:
    (found,) = await look(site, "addresses")
    assert found.result is Result.OK, "a line on loopback is a simulated one"
    own = own_address()
    with_output(site, host=own)
    assert f"output.host is {own}, which is this PC" in await failing(site, "addresses", Result.WARN)
    with_controller(site, host=own)
    assert f"controller.host is {own}, which is this PC" in await failing(site, "addresses")


async def test_a_controller_whose_name_is_not_among_the_senders_is_found_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(host: str, *_: object, **__: object) -> list[object]:
        assert host in ("cvx3", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7" if host == "cvx3" else host, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    with_controller(site, host="cvx3")
    ftp = site.settings.images.ftp
    assert ftp is not None
    for peers, result in [(("192.0.2.8",), Result.FAIL), (("192.0.2.0/29",), Result.OK), (None, Result.OK)]:
        images = site.settings.images.model_copy(update={"ftp": ftp.model_copy(update={"allowed_peers": peers})})
        site.settings = site.settings.model_copy(update={"images": images})

        (found,) = await look(site, "addresses")

        assert (found.result, "no image is taken" in found.evidence) == (result, result is Result.FAIL), found


async def test_registers_as_a_manual_numbers_them_are_pointed_out(site: Site) -> None:
    with_output(site, kind="modbus-registers", first_register=40001, plc_register=40009)

    assert "register 0 on the wire" in await failing(site, "addresses", Result.WARN)


async def test_what_goes_over_a_serial_port_is_told_by_its_port_and_not_by_a_host(site: Site) -> None:
    controller = site.settings.controller.model_copy(update={"serial": SerialSettings(url="/dev/no-controller")})
    site.settings = site.settings.model_copy(update={"controller": controller})
    with_output(site, serial=RtuSettings(device="/dev/no-output"))
    told = await look(site, "controller", "output")

    for found, port in zip(told, ("/dev/no-controller", "/dev/no-output"), strict=True):
        assert found.result is Result.FAIL
        assert port in found.evidence
        assert "host" not in found.evidence + found.fix
        assert "ping" not in found.fix


async def test_a_serial_port_that_is_not_there_or_may_change_its_name_is_found_out(site: Site) -> None:
    with_output(site, serial=RtuSettings(device="/dev/serial/by-id/none"))
    assert "is not there" in await failing(site, "serial_line")
    with_output(site, serial=RtuSettings(device="/dev/tty"))
    assert "another port" in await failing(site, "serial_line", Result.WARN)


async def test_a_watchdog_that_counts_too_slowly_or_does_not_answer_fails_and_an_armed_one_is_proven(
    site: Site,
) -> None:
    with_output(site, module="icp-et7000")
    assert "shortest watchdog is 5000 ms" in await failing(site, "output_watchdog")
    wago = SimulatedWago(is_alternative=False)
    await wago.start()
    try:
        with_output(site, module="wago-750", port=wago.port, first_coil=512)
        (found,) = await look(site, "output_watchdog")
        assert found.result is Result.OK
        assert wago.state == 1
    finally:
        await wago.stop()
    assert "did not confirm" in await failing(site, "output_watchdog")


async def test_a_line_without_an_agent_is_found_fit_and_its_upload_is_tried_in_both_modes(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at, examined(at) as site:
        assert [found.result for found in await look(site, *PEERS)] == [Result.OK] * len(PEERS)
        assert not any(at.remote_io.coils[:4][i] for i in (0, 2))
        assert [path.name for path in at.folder.glob("spool*")] == []

        entry = site.settings.bundle[0].model_copy(update={"program": 5})
        site.settings = site.settings.model_copy(update={"bundle": (entry,)})
        assert "bundles are for [5]" in await failing(site, "controller_program")
        site.controller["mode"] = "0"
        assert "setup mode" in await failing(site, "controller_mode")


async def test_a_running_agent_is_asked_and_not_disturbed(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at, examined(at) as site:
        found = await look(site, "agent", *PEERS)

        assert [one.result for one in found] == [Result.OK] * len(found), found
        assert "through the agent" in found[1].evidence
        await at.until_ready()
        await at.remote_io.stop()
        end = monotonic_s() + 10
        while {one.result for one in await look(site, "agent", "output")} != {Result.FAIL}:
            assert monotonic_s() < end, "the agent never said that its output is gone"
        assert at.rows() == []


def test_the_command_says_it_as_json_and_exits_1_where_a_check_fails(config: Path) -> None:
    ran = edge_agent("doctor", "--config", str(config), "--json")

    facts = json.loads(ran.stdout)
    assert (ran.returncode, facts["ok"], facts["ready"]) == (1, False, False)
    assert len(facts["checks"]) == len({check["id"] for check in facts["checks"]}) >= 25
    assert [check["id"] for check in facts["checks"] if check["result"] == "fail" and not check["fix"]] == []
    assert edge_agent("doctor", "--config", "nowhere.toml").returncode == 78
