"""The composition root: settings in, a wired agent out. The only place that names concrete drivers."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog

from drivers.andon import AndonLamp
from drivers.keyence.commands import COMMANDS
from drivers.keyence.folder import WatchedFolder
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.link import CvxLink
from drivers.keyence.names import NameRule
from drivers.keyence.session import open_session
from drivers.transport.serial_line import SerialOptions, open_serial
from drivers.transport.tcp import open_tcp
from edge_agent.desk import desk_path, serve_desk
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.decode import prove_complete
from edge_agent.inspection.inspector import Inspector
from edge_agent.output import make_output
from edge_agent.runtime.beside import beside
from edge_agent.runtime.bypass import Bypass
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.handshake import line_now
from edge_agent.runtime.inputs import InputPlan, LineInputs
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.rejects import RejectWatch
from edge_agent.runtime.requests import ProgramRequests
from edge_agent.runtime.supervisor import CONDITIONS, Supervisor, TriggerPlan
from edge_agent.settings import read_password
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal
from edge_agent.web.keeper import Looked, keep_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from drivers.base import CaptureSource, Dial
    from drivers.keyence.commands import Command
    from drivers.keyence.session import Session
    from drivers.timing import Deadline
    from edge_agent.settings import ControllerSettings, ImagesSettings, Settings

__all__ = [
    "controller_commands",
    "load_inspectors",
    "load_replay",
    "open_controller",
    "open_images",
    "run_agent",
]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.02
_DELIMITERS = {"cr": "\r", "crlf": "\r\n"}


def load_inspectors(settings: Settings) -> dict[tuple[int, int], Inspector]:
    """Load, verify and warm up every [[bundle]], by (program, camera).

    Raises BundleRejected: a line never gets READY on a bundle that is missing, altered or made for another place.
    """
    inspectors = {}
    for entry in settings.bundle:
        bundle = Bundle.load(entry.path)
        if (bundle.program, bundle.camera) != (entry.program, entry.camera):
            raise BundleRejected(
                f"{entry.path} was calibrated for program {bundle.program}, camera {bundle.camera}; "
                f"line.toml names it for program {entry.program}, camera {entry.camera}",
                hint="correct the [[bundle]] entry, or calibrate again with --program and --camera",
            )
        inspector = Inspector(bundle, threads=settings.inference.threads)
        took_ms = inspector.warm_up()
        log.info("bundle_loaded", path=str(entry.path), bundle_id=bundle.id, warm_up_ms=round(took_ms, 1))
        inspectors[entry.program, entry.camera] = inspector
    return inspectors


async def run_agent(settings: Settings, *, is_simulated: bool = False) -> None:
    """Run the agent until SIGTERM or SIGINT. Raises EdgeAgentError for what a person has to mend first."""
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
        bypass = Bypass(journal.event)
        output = make_output(settings, lambda: line_now(engine, health))
        health = Health.waiting_for(*CONDITIONS)
        within_ms = settings.output.reject_confirm_ms
        rejects = None if within_ms is None else RejectWatch(within_ms / 1000, health)
        engine = Engine(
            EngineOptions(
                cameras=settings.line.cameras,
                deadline_s=settings.line.deadline_ms / 1000,
                judgement=settings.line.judgement,
                trigger_number=None if settings.trigger.number == "all" else settings.trigger.number,
                boot_id=_boot_id(),
                is_simulated=is_simulated,
            ),
            inspectors=inspectors,
            journal=journal,
            archive=archive,
            output=output,
            health=health,
            bypass=bypass,
            rejects=rejects,
        )
        link = _link(settings.controller)
        inputs = LineInputs(
            InputPlan(
                settings.output.mode_input, settings.output.acknowledge_input, settings.output.reject_confirm_input
            ),
            read=output.read_inputs,
            health=health,
            rejects=rejects,
            note=journal.event,
            count=lambda: output.reject_count if settings.output.reject_confirm_input is None else None,
        )
        source = settings.trigger.source
        supervisor = Supervisor(
            engine=engine,
            health=health,
            link=link,
            images=_images(settings.images),
            output=output,
            journal=journal,
            trigger=TriggerPlan("input" if source == "plc" else source, settings.trigger.interval_ms / 1000),
        )
        look = partial(_look, engine, health, archive)
        async with (
            serve_desk(desk_path(settings.store.journal), _Desk(link, engine, health, inputs)),
            keep_page(settings, look, journal.event),
            bypass.kept(),
            beside(
                *_requests(settings, engine, health, link, lambda: output.wanted_program),
                *_lamp(settings, engine),
                inputs.run,
            ),
        ):
            await supervisor.run(_stop_on_signal())
    finally:
        journal.close()


def _lamp(settings: Settings, engine: Engine) -> list[Callable[[], Coroutine[None, None, None]]]:
    """The andon lamp, where line.toml has one."""
    if settings.lamp is None:
        return []
    lit: dict[str, Callable[[], bool]] = {
        "fault": lambda: not engine.is_ready(),
        "bypass": lambda: engine.bypass.is_active,
        "off": lambda: False,
    }
    return [AndonLamp(settings.lamp.device, rts=lit[settings.lamp.rts], dtr=lit[settings.lamp.dtr]).run]


def _requests(
    settings: Settings, engine: Engine, health: Health, link: CvxLink, wanted: Callable[[], int | None]
) -> list[Callable[[], Coroutine[None, None, None]]]:
    """What follows the program that a PLC wants, where line.toml says that it may."""
    if settings.output.program_request == "ignored":
        return []
    programs = {entry.program for entry in settings.bundle}
    follows = ProgramRequests(
        settings.output.program_request,
        wanted=wanted,
        current=lambda: engine.program,
        known=frozenset(programs),
        is_idle=lambda: engine.is_idle,
        switch=lambda program: link.command("PW", "1", f"{program:03d}"),
        health=health,
    )
    return [follows.run]


def _look(engine: Engine, health: Health, archive: Archive) -> Looked:
    """What the operator's page is told."""
    return Looked(
        state=str(engine.state),
        conditions={**dict.fromkeys(CONDITIONS, ""), **health.reasons},
        is_simulated=engine.is_simulated,
        archive_lost=archive.lost,
        archive_pruned=archive.pruned,
        bypass=engine.bypass.words,
    )


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the agent tells and does at its desk: the link's commands, and how the line stands."""

    link: CvxLink
    engine: Engine
    health: Health
    inputs: LineInputs

    def status(self) -> dict[str, object]:
        return {
            "state": str(self.engine.state),
            "health": str(self.health),
            "bypass": self.engine.bypass.status(),
            "link": asdict(self.link.status()),
        }

    async def bypass(self, *, begins: bool, by: str, why: str, for_s: float) -> Mapping[str, object]:
        if begins:
            await self.engine.bypass.begin(by, why, for_s)
        else:
            await self.engine.bypass.end(by)
        return self.status()

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        return await self.link.command(name, *args, by=by)

    async def acknowledge(self, by: str) -> Mapping[str, object]:
        return {**self.status(), "acknowledged_part": await self.inputs.acknowledge(by)}

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        return self.link.listen(on_line)


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


def load_replay(
    settings: Settings | None, bundle: Path | None, journal: Path | None, threads: int
) -> tuple[dict[tuple[int, int], Inspector], Path | None]:
    """The inspectors, warm, and the journal that a replay uses; what is named on the command line goes first.

    Raises UsageError, BundleRejected: also where this machine computes other values than the one that calibrated.
    """
    if settings is None and bundle is None:
        raise UsageError("nothing to judge with", hint="name line.toml with --config, or a bundle with --bundle")
    if journal is None and settings is not None and settings.store.journal.exists():
        journal = settings.store.journal
    if bundle is not None:
        inspector = Inspector(Bundle.load(bundle), threads=threads)
        inspector.warm_up()
        return {(inspector.bundle.program, inspector.bundle.camera): inspector}, journal
    return load_inspectors(cast("Settings", settings)), journal


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


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _boot_id() -> str:
    """Names the boot that monotonic times belong to; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
