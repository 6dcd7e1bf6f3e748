"""What the line hangs on: controller, output, ports to listen at, the serial line. Nothing is driven but REJECT."""

from __future__ import annotations

import asyncio
import errno
import ftplib
import io
import os
import socket
import tempfile
from contextlib import nullcontext
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import DriverError
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.errors import AlreadyRunning, ConfigError, EdgeAgentError, Unavailable
from edge_agent.runtime.claim import address_to_listen_at, claimed, claimed_ports, journal_holder
from edge_agent.runtime.holders import listener_at
from edge_agent.settings import read_password
from edge_agent.settings.addresses import OwnPort, own_ports
from edge_agent.settings.fit import watchdog
from edge_agent.tools.cvx import status
from edge_agent.tools.doctor.finding import Finding, Result, Site, fail, ok, warn
from edge_agent.web.process import listening_socket
from edge_agent.wiring.images import open_images
from edge_agent.wiring.output import fail_safe, prove_output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from edge_agent.runtime.holders import Holder
    from edge_agent.settings import ControllerSettings, FtpSettings, OutputSettings, Settings

__all__ = [
    "agent",
    "controller",
    "controller_mode",
    "controller_program",
    "ftp_active",
    "ftp_passive",
    "ftp_port",
    "ftp_senders",
    "output",
    "output_watchdog",
    "page_ports",
    "serial_line",
]

_FTP_TIMEOUT_S = 5.0
_LOOPBACK = ("127.0.0.1", "::1")
"""Where a test transfer to an address for all network cards comes from."""
_PROBE_NAME = "edge-agent-doctor.txt"
_RUN_MODE = "1"
_TEST_AGAIN_DAYS = 366


async def agent(site: Site) -> Finding:
    """The running agent, asked at its desk."""
    try:
        async with DeskClient.open(desk_path(site.settings.store.journal)) as desk:
            site.agent = None if desk is None else await desk.status()
    except (EdgeAgentError, DriverError) as err:
        return warn(str(err), "run this as the agent's user: sudo -u edge-agent edge-agent doctor")
    if site.agent is None:
        return ok("no agent runs with this journal: controller, output and ports are tried directly")
    if (other := _agent_of_another(site)) is not None:
        return fail(
            f"the journal {site.settings.store.journal} is that of another line: {other}",
            "give each line.toml of this PC its own [store], images.spool and ports",
        )
    said = f"runs, {site.agent['state']}: {site.agent['health']}"
    if bypass := site.agent.get("bypass"):
        return warn(
            f"{said}; BYPASS: {bypass}", 'parts pass that nobody inspected: edge-agent bypass end --by "YOUR NAME"'
        )
    return ok(said) if site.agent["health"] == "healthy" else fail(said, "mend what stands behind the colon")


def _agent_of_another(site: Site) -> Holder | None:
    """The running agent, where it was started with another line.toml than the one that is examined."""
    holder = journal_holder(site.settings.store.journal)
    config = None if holder is None else holder.config
    try:
        return None if config is None or config.samefile(site.config) else holder
    except OSError:  # it was moved away since, or this user may not look there
        return None


async def controller(site: Site) -> Finding:
    """Asked through the agent where one runs: a second connection could throw out its own."""
    where = site.settings.controller
    try:
        facts = await status(site.settings)
    except EdgeAgentError as err:
        return fail(str(err), err.hint or _controller_fix(where))
    answers = facts["controller"]
    if not isinstance(answers, dict):
        return fail(str(facts.get("problem", "no answer")), _controller_fix(where))
    site.controller = {str(key): str(value) for key, value in answers.items()}
    return ok(f"{site.controller['version']}, asked through the {facts['via']}")


def _controller_fix(where: ControllerSettings) -> str:
    """What to do where the controller does not answer, by the way to it."""
    if where.serial is None:
        return f"look at the cable and the power; ping {where.host}; look at [controller] host and port"
    return (
        f"look at the cable and the power, and at [controller.serial]: url ({where.serial.url}), baud, parity and "
        "stop_bits as set in the controller"
    )


def controller_mode(site: Site) -> Finding:
    """In setup mode the controller images nothing."""
    mode = site.controller.get("mode")
    if mode is None:
        return fail("the controller did not say its mode", "see the check controller")
    if mode != _RUN_MODE:
        return fail("the controller is in setup mode", "switch it to run mode: edge-agent cvx send R0 --yes")
    return ok("run mode")


def controller_program(site: Site) -> Finding:
    """The program that runs must have a bundle."""
    said = site.controller.get("program")
    if said is None:
        return fail("the controller did not say its program", "see the check controller_mode")
    program, known = int(said.split(",")[-1]), sorted({entry.program for entry in site.settings.bundle})
    if program not in known:
        return fail(
            f"program {program} runs, bundles are for {known}",
            f"edge-agent cvx program {known[0]} --yes, or calibrate for program {program}",
        )
    return ok(f"program {program}")


async def output(site: Site) -> Finding:
    """REJECT, written and read back: by the agent that runs, or from here."""
    if site.agent is not None:
        if "output:" in str(site.agent["health"]):
            return fail(str(site.agent["health"]), "look at the remote I/O's power, cable and address")
        return ok("the running agent writes it and reads it back")
    try:
        with claimed(site.settings.output):
            await fail_safe(site.settings)
    except AlreadyRunning as err:
        return fail(str(err), err.hint)
    except DriverError as err:
        return fail(str(err), f"look at the device's power, cable, and at {site.settings.output.way_keys}")
    return ok("REJECT was written and read back")


async def output_watchdog(site: Site) -> Finding:
    """What rejects when this PC is dead."""
    wanted = site.settings.output
    said = f"output.watchdog_ms = {wanted.watchdog_ms}"
    if wanted.names_parts:
        return ok(f"nothing here can see it: the PLC's program has to close the gate when the heartbeat stops ({said})")
    untested = fail(
        f"{said}, and nobody can ask this remote I/O whether it is armed, nor has said that it was tested",
        "set it to drop all outputs when writes stop, then: edge-agent output test --watchdog --yes",
    )
    if wanted.armed_module is None:
        return untested if watchdog(site.settings) else _stated(wanted, said, _today())
    try:
        is_proven = await _prove(site.settings) if site.agent is None else "output:" not in str(site.agent)
    except AlreadyRunning as err:
        return fail(str(err), err.hint)
    except ConfigError as err:
        return fail(str(err), err.hint or "take another module, or leave more time between parts")
    if not is_proven:
        return fail(
            f"{wanted.armed_module} did not confirm {said}", "see drivers/modbus/PROTOCOL.md, the module's watchdog"
        )
    if watchdog(site.settings):
        return untested
    said = f"{wanted.armed_module}: {said}, output confirmed"
    return ok(said) if wanted.watchdog_tested is None else _stated(wanted, said, _today())


def _today() -> date:
    return datetime.now().astimezone().date()


def _stated(wanted: OutputSettings, said: str, today: date) -> Finding:
    """What a person has said of the watchdog, and how old that is."""
    tested = wanted.watchdog_tested
    if tested is None:
        return ok(f"the simulated remote I/O drops PASS: {said}")
    words = f"{wanted.watchdog_tested_by} saw PASS fall by itself on {tested}: {said}"
    if tested > today:
        return warn(f"{words}; that day has not come yet", "correct output.watchdog_tested, or the clock of this PC")
    if (today - tested).days > _TEST_AGAIN_DAYS:
        return warn(f"{words}, more than a year ago", "edge-agent output test --watchdog --yes, with the line stopped")
    return ok(words)


async def _prove(settings: Settings) -> bool:
    with claimed(settings.output) as claim:
        return await prove_output(settings, claim)


def ftp_port(site: Site) -> Finding:
    """The port that the controller pushes to: free, or the running agent's."""
    ftp = site.settings.images.ftp
    if ftp is None:
        return ok("images come into a folder")
    try:
        with socket.create_server((ftp.host, ftp.port), family=_family(ftp)):
            pass
    except OSError as err:
        if err.errno == errno.EADDRINUSE and site.agent is not None:
            return ok(f"{ftp.host}:{ftp.port} is the running agent's")
        if err.errno == errno.EADDRINUSE:
            return _in_use(OwnPort("images.ftp.port", ftp.host, ftp.port))
        if err.errno == errno.EACCES:
            return fail(f"{ftp.port} needs CAP_NET_BIND_SERVICE", "see edge-agent.service, or take port 2121")
        return fail(f"{ftp.host}:{ftp.port}: {err.strerror}", "images.ftp.host must be an address of this PC: ip addr")
    if site.agent is not None:
        return fail(f"{ftp.host}:{ftp.port} is free though an agent runs", "see the agent's log: its inbox is not open")
    return ok(f"{ftp.host}:{ftp.port} is free")


def _in_use(port: OwnPort) -> Finding:
    try:
        other = listener_at(address_to_listen_at(port.host, port.port), port.port)
    except (OSError, UnicodeError):
        other = None
    if other is None:
        fix = f"ss -ltnp sport = :{port.port} says by whom; stop it, or take another {port.key}"
        return fail(f"{port.host}:{port.port} is in use", fix)
    return fail(f"{port.host}:{port.port} is in use by {other}", f"stop that, or take another {port.key}")


def page_ports(site: Site) -> Finding:
    """Ports of page, metrics and OPC UA: free, or the running agent's. Without them the line works."""
    said = []
    for port in own_ports(site.settings):
        if port.key == "images.ftp.port":
            continue
        found = _page_port(port, is_running=site.agent is not None)
        if found.result is not Result.OK:
            return found
        said.append(found.evidence)
    return ok(", ".join(said) or "line.toml has no [web], no [metrics] and no [opcua]")


def _page_port(port: OwnPort, *, is_running: bool) -> Finding:
    where = f"{port.host}:{port.port}"
    try:
        # Of the agent that runs with this line.toml the name is taken, and rightly.
        with nullcontext() if is_running else claimed_ports([port]):
            listening_socket(port.host, port.port).close()
    except AlreadyRunning as err:
        return fail(str(err), err.hint)
    except Unavailable as err:
        cause = err.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
            return fail(str(err), f"{port.key.replace('port', 'host')} must be an address of this PC: ip addr")
        other = listener_at(address_to_listen_at(port.host, port.port), port.port)
        is_page = other is None or other.is_page
        return ok(f"{where} is the running agent's") if is_running and is_page else _in_use(port)
    if is_running:
        return warn(
            f"{where} is free though an agent runs", "what listens there starts, or has ended: see the agent's log"
        )
    return ok(f"{where} is free")


def ftp_senders(site: Site) -> Finding:
    """Whose images are taken: of one controller alone."""
    ftp, senders = site.settings.images.ftp, site.settings.image_senders
    if ftp is None:
        return ok("images come into a folder")
    if ftp.allowed_peers is None:
        return ok(f"images of the controller alone, {senders[0]}")
    if len(senders) > 1 or ip_network(senders[0], strict=False).num_addresses > 1:
        return warn(
            f"images are taken of {', '.join(senders)}: no image tells which controller took it",
            "name the line's own controller alone in images.ftp.allowed_peers, or leave the key out",
        )
    return ok(f"images of {senders[0]} alone")


async def ftp_passive(site: Site) -> Finding:
    """A login and a transfer, the data connection made by the sender."""
    return await _ftp(site, is_passive=True)


async def ftp_active(site: Site) -> Finding:
    """A login and a transfer, the data connection made by our server: what a controller does by default."""
    return await _ftp(site, is_passive=False)


def serial_line(site: Site) -> Finding:
    """A port by a name that stays, and the right to open it."""
    serial = site.settings.controller.serial
    ports = [port for port in (serial and serial.url, site.settings.output.device) if port and "://" not in port]
    for port in ports:
        if not Path(port).exists():
            return fail(f"{port} is not there", "look at the cable; ls -l /dev/serial/by-id")
        if not os.access(port, os.R_OK | os.W_OK):
            return fail(
                f"{port} may not be opened by this user", "usermod -a -G dialout edge-agent, then start it again"
            )
        if "/dev/tty" in port and "/by-" not in port:
            return warn(f"{port} may be another port after the next start", "name it by /dev/serial/by-id/...")
    return ok(", ".join(ports) or "none is used")


async def _ftp(site: Site, *, is_passive: bool) -> Finding:
    ftp = site.settings.images.ftp
    if ftp is None:
        return ok("images come into a folder")
    try:
        password = read_password(ftp.password_file)
    except ConfigError as err:
        return fail(str(err), err.hint)
    if site.agent is not None:
        return await asyncio.to_thread(_transfer, ftp, password, site.settings.image_senders, is_passive=is_passive)
    own = ftp.model_copy(update={"allowed_peers": (ftp.host, *_LOOPBACK)})
    with tempfile.TemporaryDirectory(prefix="edge-agent-doctor-") as spool:
        images = site.settings.images.model_copy(update={"ftp": own, "spool": Path(spool), "max_mib": 1})
        try:
            async with open_images(site.settings.model_copy(update={"images": images}), within_s=_FTP_TIMEOUT_S):
                return await asyncio.to_thread(_transfer, own, password, (ftp.host,), is_passive=is_passive)
        except TimeoutError:
            return fail(f"{ftp.host}:{ftp.port} could not be opened", "see the check ftp_port")


def _transfer(ftp: FtpSettings, password: str, senders: Sequence[str], *, is_passive: bool) -> Finding:
    """Log in and append a text, which is taken and dropped: it is no image."""
    kind = "passive" if is_passive else "active"
    try:
        with ftplib.FTP(timeout=_FTP_TIMEOUT_S) as client:  # noqa: S321 - the controller speaks nothing else
            client.connect(ftp.host, ftp.port)
            client.login(ftp.user, password)
            client.set_pasv(is_passive)
            reply = client.storbinary(f"APPE {_PROBE_NAME}", io.BytesIO(b"edge-agent doctor\r\n"))
    except EOFError:
        return warn(
            f"the running agent takes images of {', '.join(senders)} alone: the transfer was not tried",
            "stop the agent to try it, or watch the controller's own images come",
        )
    except (OSError, ftplib.Error) as err:
        fix = (
            "open images.ftp.passive_ports in the firewall" if is_passive else "let this PC connect out to port 1024 up"
        )
        return fail(f"{kind}: {err}", f"look at images.ftp and its password; {fix}")
    return ok(f"{kind}: logged in as {ftp.user}, a text was sent: {reply.splitlines()[-1][:60]}")


def _family(ftp: FtpSettings) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ftp.host else socket.AF_INET
