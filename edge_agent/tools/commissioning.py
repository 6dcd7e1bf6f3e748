"""The first hour of a line: find its controller, write its line.toml. Reads from the network, changes nothing there."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import secrets
import socket
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import DriverError
from edge_agent.errors import ConfigError, UsageError
from edge_agent.settings import ControllerSettings, load_settings
from edge_agent.store.fs import FileSystem
from edge_agent.store.plan import ArchivePlan
from edge_agent.store.room import existing
from edge_agent.wiring.controller import open_controller
from edge_agent.wiring.output import first_coil_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "FoundController",
    "LineFacts",
    "addresses_in",
    "archive_plan",
    "find_controllers",
    "own_address",
    "write_line",
]

_MOST_ADDRESSES = 1024
_AT_ONCE = 64
_CONNECT_MS, _REPLY_MS = 300, 1000
_PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class FoundController:
    """One that answered the version command on its command port."""

    address: str
    version: str


_HOLD_MS, _WATCHDOG_MS, _WRITE_TIMEOUT_MS, _REFRESH_MS = 300, 500, 150, 100
"""As line.example.toml has them."""
_LEAST_WATCHDOG_MS = 100


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What cannot be guessed of a line. ``state`` is the folder of journal, archive, spool and bundles.

    ``is_simulated``: controller and remote I/O are simulated ones, on this machine, and each command brings its own.
    """

    name: str
    controller: str
    own_address: str
    output: str
    deadline_ms: int
    min_part_spacing_ms: int
    program: int
    state: Path
    controller_port: int = 8500
    imaging_ms: int = 0
    module: str | None = None
    is_simulated: bool = False
    archive: ArchivePlan | None = None
    """What the archive is to hold; None leaves the example's size."""


def archive_plan(
    state: Path, *, reject_days: int, pass_hours: float, parts_per_minute: float, image_mib: float, reject_share: float
) -> ArchivePlan:
    """What that needs, and what the disk of the state's folder has for it."""
    total_bytes, free_bytes = FileSystem().disk_bytes(existing(state.absolute()))
    return ArchivePlan(reject_days, pass_hours, parts_per_minute, image_mib, reject_share, total_bytes, free_bytes)


def addresses_in(text: str) -> list[str]:
    """The addresses of ``192.168.10.0/24`` or of ``192.168.10.10,192.168.10.11``. Raises UsageError."""
    try:
        networks = [ipaddress.ip_network(item.strip(), strict=False) for item in text.split(",")]
    except ValueError as err:
        raise UsageError(f"{text}: {err}", hint="write 192.168.10.0/24, or addresses with commas") from None
    if sum(network.num_addresses for network in networks) > _MOST_ADDRESSES:
        raise UsageError(f"{text} is more than {_MOST_ADDRESSES} addresses", hint="name the camera's own subnet")
    return [str(host) for network in networks for host in network.hosts()]


async def find_controllers(
    addresses: Sequence[str], progress: Callable[[str, int, int], None], *, port: int = 8500
) -> list[FoundController]:
    """Who among these answers ``VI``, which reads and changes nothing. In the order of the addresses.

    While an agent runs on the controller this may throw out its connection: not for a line that judges parts.
    """
    gate, done = asyncio.Semaphore(_AT_ONCE), 0

    async def ask(address: str) -> FoundController | None:
        nonlocal done
        async with gate:
            version = await _version(address, port)
        done += 1
        progress("look for controllers", done, len(addresses))
        return FoundController(address, version) if version else None

    return [found for found in await asyncio.gather(*map(ask, addresses)) if found]


async def _version(address: str, port: int) -> str:
    """What it says of itself; empty where nothing there speaks the controller's language."""
    settings = ControllerSettings(host=address, port=port, connect_timeout_ms=_CONNECT_MS, reply_timeout_ms=_REPLY_MS)
    try:
        async with open_controller(settings, lambda _fields: None) as session:
            return " ".join(await session.command("VI"))
    except DriverError:
        return ""


def own_address(peer: str) -> str:
    """The address that this PC has towards a peer; the loopback address where there is no way. Sends nothing."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        try:
            wire.connect((peer, 9))
        except OSError:
            return "127.0.0.1"
        address: str = wire.getsockname()[0]
        return address


def write_line(path: Path, facts: LineFacts, *, overwrite: bool = False) -> Path:
    """Write line.toml with every key explained, and a new password beside it where there is none; gives the latter.

    Raises UsageError where it is there already, ConfigError where the facts do not fit; nothing is written then.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already", hint="name another file with --out, or say --force")
    password = path.absolute().parent / "ftp_password"
    text = _filled(facts, password)
    descriptor, name = tempfile.mkstemp(prefix=".line-", suffix=".toml", dir=path.absolute().parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o640)
            _give_to_group(file.fileno(), path)
            file.flush()
            os.fsync(file.fileno())
        try:
            load_settings(part)
        except ConfigError as err:
            raise ConfigError(str(err).replace(name, str(path)), hint=err.hint) from None
        if not password.exists():
            with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as file:
                file.write(secrets.token_urlsafe(_PASSWORD_BYTES) + "\n")
                _give_to_group(file.fileno(), path)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return password


def _give_to_group(descriptor: int, path: Path) -> None:
    """Written by root into /etc/edge-agent, it is for the group of that folder: the agent has to read it."""
    if os.geteuid() == 0:
        os.fchown(descriptor, -1, path.absolute().parent.stat().st_gid)


def _filled(facts: LineFacts, password: Path) -> str:
    hold_ms, watchdog_ms, refresh_ms = _output_times(facts)
    values: dict[tuple[str, str], object] = {
        ("line", "name"): facts.name,
        ("line", "deadline_ms"): facts.deadline_ms,
        ("line", "min_part_spacing_ms"): facts.min_part_spacing_ms,
        ("line", "imaging_ms"): facts.imaging_ms,
        ("controller", "kind"): "simulated" if facts.is_simulated else "cv-x",
        ("controller", "host"): facts.controller,
        ("controller", "port"): facts.controller_port,
        ("images", "spool"): str(facts.state / "spool"),
        ("images.ftp", "host"): facts.own_address,
        ("images.ftp", "password_file"): str(password),
        ("output", "host"): facts.output,
        ("output", "pass_hold_ms"): hold_ms,
        ("output", "refresh_ms"): refresh_ms,
        ("output", "watchdog_ms"): watchdog_ms,
        ("bundle", "program"): facts.program,
        ("bundle", "path"): str(facts.state / "bundles" / f"program-{facts.program}"),
        ("store", "journal"): str(facts.state / "journal.sqlite3"),
        ("store", "archive"): str(facts.state / "archive"),
    }
    if facts.archive is not None:
        values["store", "archive_max_gib"] = facts.archive.max_gib
        values["store", "keep_reject_days"] = facts.archive.reject_days
    if facts.module is not None:
        values["output", "module"] = facts.module
        values["output", "first_coil"] = first_coil_of(facts.module)
    table, lines = "", []
    for line in files("edge_agent.settings").joinpath("line.example.toml").read_text("utf-8").splitlines():
        if header := re.match(r"#?\[+([a-z.]+)\]+$", line):
            table = header[1]
        key = re.match(r"#?([a-z_]+) = ", line)
        # A JSON text, number or list of texts is the same in TOML.
        new = values.pop((table, key[1]), None) if key else None
        lines.append(line if key is None or new is None else f"{key[1]} = {json.dumps(new)}")
    assert not values, f"the example has no {sorted(values)}"  # noqa: S101 - a test writes every one of them
    return "\n".join(lines) + "\n"


def _output_times(facts: LineFacts) -> tuple[int, int, int]:
    """How long PASS stands, the module's watchdog and the refresh, in ms: the usual ones, or what the spacing leaves.

    On a line that is too fast for any, they are written all the same and the file's check says why they do not do.
    """
    spacing_ms = facts.min_part_spacing_ms
    hold_ms = max(1, min(_HOLD_MS, spacing_ms - facts.imaging_ms - facts.deadline_ms))
    watchdog_ms = max(_LEAST_WATCHDOG_MS, min(_WATCHDOG_MS, spacing_ms - hold_ms - _WRITE_TIMEOUT_MS))
    return hold_ms, watchdog_ms, min(_REFRESH_MS, watchdog_ms // 3)
