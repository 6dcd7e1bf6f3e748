"""The composition root: settings in, a wired agent out."""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from drivers.andon import AndonLamp
from drivers.base import LineNow
from edge_agent.bundles.line_bundles import in_use_words, load_inspectors, side_by_side
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.desk.desk import serve_desk
from edge_agent.errors import AlreadyRunning, Unavailable
from edge_agent.files.owners import person
from edge_agent.fleet_line.keeper import keep_fleet
from edge_agent.golden.clock import clock_of
from edge_agent.golden.judging import by_program
from edge_agent.opcua.hello import BundleInUse
from edge_agent.opcua.keeper import keep_opcua
from edge_agent.publishing.keeper import keep_publishing
from edge_agent.report.subject import versions
from edge_agent.runtime.background_tasks import beside
from edge_agent.runtime.bypass import Bypass
from edge_agent.runtime.claim import claimed
from edge_agent.runtime.disk import DISK, DiskWatch
from edge_agent.runtime.dry_run import DRY_RUN, RejectingOutput
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.handshake import line_now
from edge_agent.runtime.inputs import InputPlan, LineInputs
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.locking import safely_locked
from edge_agent.runtime.process import boot_id, keep_for_good, keep_memory, stop_on_signal, take_turns_sooner
from edge_agent.runtime.rejects import RejectWatch
from edge_agent.runtime.requests import ProgramRequests
from edge_agent.runtime.supervisor import CONDITIONS, Supervisor, TriggerPlan
from edge_agent.runtime.watching import watching
from edge_agent.shadow.keeper import keep_shadow
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal
from edge_agent.store.room import places_of, wanted_bytes
from edge_agent.store.starts import Started, last_start, values_of
from edge_agent.web.keeper import keep_page
from edge_agent.wiring.agent_state import AgentDesk, look_at
from edge_agent.wiring.controller import link_of
from edge_agent.wiring.images import images_of, open_images
from edge_agent.wiring.output import make_output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from pathlib import Path

    from drivers.base import CaptureSource, VerdictOutput
    from drivers.keyence.link import CvxLink
    from edge_agent.inspection.inspector import Inspector
    from edge_agent.runtime.claim import Claim
    from edge_agent.runtime.watching import Watched
    from edge_agent.settings import Settings

__all__ = ["open_line", "run_agent"]

log = structlog.get_logger(__name__)
_IMAGES_WITHIN_S = 5.0


async def run_agent(
    settings: Settings,
    *,
    claim: Claim | None = None,
    is_simulated: bool = False,
    is_dry_run: bool = False,
    written: Settings | None = None,
) -> None:
    """Run the agent until SIGTERM or SIGINT. Raises EdgeAgentError for what a person has to mend first.

    ``claim`` holds the output against other agents; simulated peers are nobody else's. A dry run judges and records
    every part, and drives nothing but REJECT. ``written`` are the settings as line.toml has them, for the journal,
    where ``settings`` lead to simulated peers.
    """
    keep_memory()
    take_turns_sooner()
    inspectors, workers = side_by_side(settings, load_inspectors(settings, within_ms=settings.line.deadline_ms))
    journal = Journal.open(settings.store.journal)
    try:
        archive = Archive(
            settings.store.archive,
            max_bytes=int(settings.store.archive_max_gib * 2**30),
            keep=settings.store.keep,
            pass_every=settings.store.keep_pass_every,
            keep_pass_days=settings.store.pass_days,
            keep_reject_days=settings.store.reject_days,
            wanted_bytes=wanted_bytes(settings),
            compresses=settings.store.keep_bmp_as == "png",
        )
        swept = archive.sweep()  # an archive that cannot be made or read is an OSError: exit code 74
        if swept:
            log.warning("archive_swept", files=swept)
        for entry in settings.bundle:
            await journal.event("BUNDLE", in_use_words(entry, inspectors[entry.program, entry.camera].bundle))
        bypass = Bypass(journal.event)
        output = make_output(settings, lambda: line_now(engine, health), claim)
        driven: VerdictOutput = output
        if is_dry_run:
            log.warning("dry_run", why=DRY_RUN)
            driven = RejectingOutput(output)
        health = Health.waiting_for(*CONDITIONS, DISK)
        disk = DiskWatch(places_of(settings), archive, health, journal.event)
        within_ms = settings.output.reject_confirm_ms
        rejects = None if within_ms is None else RejectWatch(within_ms / 1000, health)
        in_use = ((program, one.bundle.id) for (program, _), one in inspectors.items())
        clock, _ = clock_of(settings, by_program(in_use), is_simulated=is_simulated)
        engine = Engine(
            EngineOptions(
                cameras=settings.line.cameras,
                deadline_s=settings.line.deadline_ms / 1000,
                imaging_s=settings.line.imaging_ms / 1000,
                judgement=settings.line.judgement,
                trigger_number=None if settings.trigger.number == "all" else settings.trigger.number,
                triggers_itself=settings.trigger.source != "wired",
                boot_id=boot_id(),
                is_simulated=is_simulated,
                is_dry_run=is_dry_run,
            ),
            inspectors=inspectors,
            journal=journal,
            archive=archive,
            output=driven,
            health=health,
            bypass=bypass,
            rejects=rejects,
            workers=workers,
            why_locked=safely_locked(clock.why_locked),
        )
        link = link_of(settings.controller)
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

        def degraded() -> dict[str, str]:
            return {**clock.degraded(engine.program, engine.next_seq), **disk.degraded()}

        supervisor = Supervisor(
            engine=engine,
            health=health,
            link=link,
            images=images_of(settings, tells_while_storing=True),
            output=driven,
            journal=journal,
            trigger=TriggerPlan("input" if source == "plc" else source, settings.trigger.interval_ms / 1000),
            degraded=degraded,
            refresh_s=settings.output.refresh_ms / 1000,
            started=_started(written or settings, is_simulated=is_simulated, is_dry_run=is_dry_run).detail,
        )
        look = partial(look_at, engine, health, archive, clock, degraded)
        desk = AgentDesk(link, engine, health, inputs, journal, clock, degraded, lambda: archive.held)
        keep_for_good()
        async with (
            serve_desk(desk_path(settings.store.journal), desk),
            keep_page(settings, look, journal.event),
            keep_publishing(settings, look, journal.event),
            keep_opcua(settings, look, _in_use(inspectors)),
            keep_shadow(settings, journal.event),
            keep_fleet(settings, look, _in_use(inspectors)),
            bypass.kept(),
            beside(
                *_requests(settings, engine, health, link, lambda: output.wanted_program),
                *_lamp(settings, engine),
                inputs.run,
                disk.run,
            ),
        ):
            await supervisor.run(stop_on_signal())
    finally:
        journal.close()


def _in_use(inspectors: Mapping[tuple[int, int], Inspector]) -> list[BundleInUse]:
    return [
        BundleInUse(program=program, camera=camera, bundle_id=one.bundle.id)
        for (program, camera), one in inspectors.items()
    ]


def _started(settings: Settings, *, is_simulated: bool, is_dry_run: bool) -> Started:
    """What this agent starts with, beside what the journal knows of the last start."""
    run = {"simulated": is_simulated, "dry_run": is_dry_run}
    values = values_of(settings, {**versions(), "python": platform.python_version()}, run)
    last, was_started = last_start(settings.store.journal)
    is_service = "NOTIFY_SOCKET" in os.environ
    return Started(person(), is_service, settings.source, values, last, is_first=not was_started)


def _lamp(settings: Settings, engine: Engine) -> list[Callable[[], Coroutine[None, None, None]]]:
    """The andon lamp, where line.toml has one."""
    if settings.lamp is None:
        return []
    lit: dict[str, Callable[[], bool]] = {
        "fault": lambda: not engine.is_ready() or bool(engine.why_locked),
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
    receiving = settings.model_copy(update={"images": images})
    number = None if trigger.number == "all" else trigger.number
    plan = TriggerPlan("input" if trigger.source == "plc" else trigger.source, trigger.interval_ms / 1000)
    try:
        async with (
            _line_output(settings, is_needed=plan.source == "input") as output,
            open_images(receiving, within_s=_IMAGES_WITHIN_S) as source,
            watching(link_of(settings.controller), output, plan, number, settings.line.deadline_ms / 1000) as watched,
        ):
            yield source, watched
    except TimeoutError as err:
        raise Unavailable(
            "images cannot be received: the port is another program's, or the folder is not there",
            hint="edge-agent doctor says which",
        ) from err


@asynccontextmanager
async def _line_output(settings: Settings, *, is_needed: bool) -> AsyncIterator[VerdictOutput | None]:
    """The output for its input, held against other agents. Raises AlreadyRunning, ConfigError."""
    if not is_needed:
        yield None
        return
    with ExitStack() as held:
        claim = await asyncio.to_thread(held.enter_context, claimed(settings.output))
        yield make_output(settings, LineNow, claim)
