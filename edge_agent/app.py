"""The composition root: settings in, a wired agent out. The only place that names concrete drivers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import structlog

from drivers.keyence.commands import COMMANDS
from drivers.keyence.folder import WatchedFolder
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.link import CvxLink
from drivers.keyence.names import NameRule
from drivers.keyence.session import open_session
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.modules import MODULES, Module, unfit_for, unproven
from drivers.modbus.register_output import RegisterOutput
from drivers.transport.serial_line import SerialOptions, open_serial
from drivers.transport.tcp import open_tcp
from edge_agent.agent_state import AgentDesk, challenge_clock, look_at
from edge_agent.bundles import in_use_words, load_inspectors
from edge_agent.desk import DeskClient, desk_path, serve_desk
from edge_agent.errors import AlreadyRunning, ConfigError, Unavailable
from edge_agent.inspection.decode import prove_complete
from edge_agent.publishing.keeper import keep_publishing
from edge_agent.runtime.dry_run import DRY_RUN, RejectingOutput
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.process import boot_id, stop_on_signal
from edge_agent.runtime.supervisor import CONDITIONS, Supervisor, TriggerPlan
from edge_agent.runtime.watching import watching
from edge_agent.settings import read_password
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal
from edge_agent.web.keeper import keep_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from drivers.base import CaptureSource, Dial, VerdictOutput
    from drivers.keyence.commands import Command
    from drivers.keyence.session import Session
    from edge_agent.runtime.watching import Watched
    from edge_agent.settings import ControllerSettings, ImagesSettings, OutputSettings, Settings

__all__ = [
    "controller_commands",
    "fail_safe",
    "open_controller",
    "open_images",
    "open_line",
    "prove_output",
    "run_agent",
]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S, _PROVE_OUTPUT_S, _IMAGES_WITHIN_S = 0.02, 3.0, 5.0
_DELIMITERS = {"cr": "\r", "crlf": "\r\n"}


async def run_agent(settings: Settings, *, is_simulated: bool = False, is_dry_run: bool = False) -> None:
    """Run the agent until SIGTERM or SIGINT. Raises EdgeAgentError for what a person has to mend first.

    A dry run judges and records every part, and drives nothing but REJECT.
    """
    inspectors = load_inspectors(settings)
    journal = Journal.open(settings.store.journal)
    try:
        archive = Archive(
            settings.store.archive,
            max_bytes=int(settings.store.archive_max_gib * 2**30),
            keep=settings.store.keep,
            pass_every=settings.store.keep_pass_every,
            keep_days=settings.store.keep_days,
        )
        swept = archive.sweep()  # an archive that cannot be made or read is an OSError: exit code 74
        if swept:
            log.warning("archive_swept", files=swept)
        for entry in settings.bundle:
            await journal.event("BUNDLE", in_use_words(entry, inspectors[entry.program, entry.camera].bundle))
        output: VerdictOutput = _output(settings)
        if is_dry_run:
            log.warning("dry_run", why=DRY_RUN)
            output = RejectingOutput(output)
        health = Health.waiting_for(*CONDITIONS)
        engine = Engine(
            EngineOptions(
                cameras=settings.line.cameras,
                deadline_s=settings.line.deadline_ms / 1000,
                judgement=settings.line.judgement,
                trigger_number=None if settings.trigger.number == "all" else settings.trigger.number,
                boot_id=boot_id(),
                is_simulated=is_simulated,
                is_dry_run=is_dry_run,
            ),
            inspectors=inspectors,
            journal=journal,
            archive=archive,
            output=output,
            health=health,
        )
        link = _link(settings.controller)
        clock = challenge_clock(settings)
        supervisor = Supervisor(
            engine=engine,
            health=health,
            link=link,
            images=_images(settings.images),
            output=output,
            journal=journal,
            trigger=TriggerPlan(settings.trigger.source, settings.trigger.interval_ms / 1000),
            degraded=clock.degraded,
        )
        look = partial(look_at, engine, health, archive, clock)
        async with (
            serve_desk(desk_path(settings.store.journal), AgentDesk(link, engine, health, journal, clock)),
            keep_page(settings, look, journal.event),
            keep_publishing(settings),
        ):
            await supervisor.run(stop_on_signal())
    finally:
        journal.close()


def controller_commands() -> Mapping[str, Command]:
    """Every command of the controller, by name."""
    return COMMANDS


@asynccontextmanager
async def open_controller(
    settings: ControllerSettings, on_line: Callable[[tuple[str, ...]], None]
) -> AsyncIterator[Session]:
    """A connection of our own to the controller, for a person at a terminal. Raises NotConnected.

    A second connection may throw out the first: never while an agent runs.
    """
    dial, peer = _dial(settings)
    session = await open_session(
        dial,
        peer,
        lambda fields, _: on_line(fields),
        reply_timeout_s=settings.reply_timeout_ms / 1000,
        delimiter=_DELIMITERS[settings.delimiter],
    )
    try:
        if settings.serial is not None:
            await session.find_beginning()
        yield session
    finally:
        await session.aclose()


def _dial(settings: ControllerSettings) -> tuple[Dial, str]:
    """How the controller is reached, and what its link is called in logs."""
    timeout_s, line = settings.connect_timeout_ms / 1000, settings.serial
    if line is None:
        peer = f"controller {settings.host}:{settings.port}"
        return partial(open_tcp, settings.host, settings.port, timeout_s=timeout_s), peer
    options = SerialOptions(line.baud, line.parity, line.stop_bits)
    return partial(open_serial, line.url, options, timeout_s=timeout_s), f"controller {line.url}"


@asynccontextmanager
async def open_images(images: ImagesSettings, *, within_s: float) -> AsyncIterator[CaptureSource]:
    """The source of images alone, without an agent. Raises TimeoutError if it is not open in time, ConfigError."""
    source = _images(images)
    run = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(within_s):
            while not source.is_bound:  # noqa: ASYNC110 - a driver says how it stands, not when it changes
                await asyncio.sleep(_LOOK_EVERY_S)
        yield source
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


@asynccontextmanager
async def open_line(settings: Settings, spool: Path) -> AsyncIterator[tuple[CaptureSource, Watched]]:
    """The line without an agent: images come, triggers go where the agent sends them, and the output is left alone.

    Only where its input says that a part is there it is connected, and told REJECT. Raises AlreadyRunning while an
    agent runs, Unavailable where images cannot be received, ConfigError.
    """
    async with DeskClient.open(desk_path(settings.store.journal)) as agent:
        if agent is not None:
            raise AlreadyRunning("an agent runs on this line", hint="stop it first: systemctl stop edge-agent")
    trigger, images = settings.trigger, settings.images.model_copy(update={"spool": spool})
    number = None if trigger.number == "all" else trigger.number
    plan = TriggerPlan(trigger.source, trigger.interval_ms / 1000)
    output = _output(settings) if trigger.source == "input" else None
    try:
        async with (
            open_images(images, within_s=_IMAGES_WITHIN_S) as source,
            watching(_link(settings.controller), output, plan, number, settings.line.deadline_ms / 1000) as watched,
        ):
            yield source, watched
    except TimeoutError as err:
        raise Unavailable(
            "images cannot be received: the port is another program's, or the folder is not there",
            hint="edge-agent doctor says which",
        ) from err


async def prove_output(settings: Settings) -> bool:
    """Drive the output as the agent does while it is not READY: REJECT, the module's watchdog armed and proven.

    Whether all of it was confirmed in time. Raises ConfigError for a module that does not fit the line. Never while an
    agent runs.
    """
    output = _output(settings)
    run = asyncio.create_task(output.run(lambda: False))
    try:
        async with asyncio.timeout(_PROVE_OUTPUT_S):
            while not output.is_confirmed:  # noqa: ASYNC110 - as above
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return False
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    return True


def _link(settings: ControllerSettings) -> CvxLink:
    dial, peer = _dial(settings)
    return CvxLink(
        dial,
        peer,
        result_items=settings.result_items,
        reply_timeout_s=settings.reply_timeout_ms / 1000,
        delimiter=_DELIMITERS[settings.delimiter],
        is_serial=settings.serial is not None,
    )


async def fail_safe(settings: Settings) -> None:
    """Write REJECT to the output and read it back: what is left to do when the agent is gone.

    Raises DriverError if the remote I/O does not confirm.
    """
    output = settings.output
    common: _Wire = {
        "unit": output.unit,
        "timeout_s": output.write_timeout_ms / 1000,
        "rtu": _rtu(output),
    }
    if output.kind == "modbus-registers":
        await write_reject_block(_output_host(output), output.port, first_register=output.first_register, **common)
    else:
        await write_reject(_output_host(output), output.port, first_coil=output.first_coil, **common)


class _Wire(TypedDict):
    unit: int
    timeout_s: float
    rtu: RtuLine | None


def _output_host(output: OutputSettings) -> str:
    if output.serial is not None:
        return output.serial.device
    assert output.host is not None  # noqa: S101 - settings name exactly one way to the output
    return output.host


def _rtu(output: OutputSettings) -> RtuLine | None:
    line = output.serial
    return None if line is None else RtuLine(line.baud, line.parity, line.stop_bits)


def _output(settings: Settings) -> CoilOutput | RegisterOutput:
    output = settings.output
    if output.kind == "modbus-registers":
        return RegisterOutput(
            _output_host(output),
            output.port,
            unit=output.unit,
            first_register=output.first_register,
            plc_register=output.plc_register,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            plc_timeout_s=output.plc_silence_ms / 1000,
            is_counted=output.part_numbers == "plc",
            rtu=_rtu(output),
        )
    return CoilOutput(
        _output_host(output),
        output.port,
        unit=output.unit,
        first_coil=output.first_coil,
        part_present_input=output.part_present_input,
        pass_hold_s=output.pass_hold_ms / 1000,
        refresh_s=output.refresh_ms / 1000,
        write_timeout_s=output.write_timeout_ms / 1000,
        rtu=_rtu(output),
        module=_module(settings),
        watchdog_ms=output.watchdog_ms,
    )


def _module(settings: Settings) -> Module | None:
    """The module's profile. Raises ConfigError for one that cannot carry PASS at this line's spacing of parts."""
    output = settings.output
    if output.module is None:
        return None
    module = MODULES[output.module]
    if why := unfit_for(module, settings.line.min_part_spacing_ms, output.write_timeout_ms):
        raise ConfigError(why, hint='see drivers/modbus/PROTOCOL.md, "The module\'s watchdog"')
    if module.arming and output.watchdog_ms < module.least_ms:
        raise ConfigError(f"{module.name}: output.watchdog_ms must be at least {module.least_ms}")
    if why := unproven(module):
        log.warning("watchdog_not_proven", module=module.name, why=why)
    return module


def _images(images: ImagesSettings) -> CaptureSource:
    max_bytes = images.max_mib * 2**20
    names = NameRule.of(images.names, images.image_type)
    if images.ftp is not None:
        return FtpInbox(
            host=images.ftp.host,
            port=images.ftp.port,
            user=images.ftp.user,
            password=read_password(images.ftp.password_file),
            allowed_peers=images.ftp.allowed_peers,
            passive_ports=images.ftp.passive_ports,
            names=names,
            replies_when_proven=images.ftp.reply_when == "proven",
            spool=images.spool,
            max_bytes=max_bytes,
            prove=prove_complete,
        )
    if images.folder is None:
        raise AssertionError("settings name exactly one source of images")
    return WatchedFolder(
        path=images.folder.path,
        spool=images.spool,
        rescan_s=images.folder.rescan_ms / 1000,
        settle_s=images.folder.settle_ms / 1000,
        names=names,
        max_bytes=max_bytes,
        prove=prove_complete,
    )
