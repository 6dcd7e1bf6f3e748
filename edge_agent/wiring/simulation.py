"""Simulated peers: what `simulate`, `demo` and `run --simulated` start."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, assert_never

import structlog

from drivers.simulated.camera import defect_catalogue
from drivers.simulated.catalogue import CATALOGUE, PlannedFaults
from drivers.simulated.command_port import ConnectionPolicy
from drivers.simulated.controller import FtpTarget, SimulatedController
from drivers.simulated.line import PartSource, RecordedParts, RenderedParts, ShownPart, SimulatedLine, TruePart
from drivers.simulated.mischief import Mischief
from drivers.simulated.parts import REAL_TIMING
from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.simulated.tag_plc import SimulatedLogixPlc
from drivers.simulated.wago import SimulatedWago
from drivers.simulated.word_plc import SimulatedHostLinkPlc, SimulatedS7Plc, SimulatedSlmpPlc
from edge_agent.errors import UsageError
from edge_agent.inspection.containers.image_files import readable_images
from edge_agent.settings import (
    EthernetIpSettings,
    HostLinkSettings,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    S7Settings,
    SlmpSettings,
    read_password,
)
from edge_agent.settings.addresses import address_of
from edge_agent.wiring.free_ports import LOOPBACK, free_port
from edge_agent.wiring.shown_parts import PreparedParts, camera_of, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from edge_agent.settings import AnyOutput, Settings

__all__ = ["DemoLine", "SimulationOptions", "fault_names", "run_simulation", "simulated_peers"]

log = structlog.get_logger(__name__)
_COILS = 4
_LEAST_SPACINGS = 1.1
"""A belt brings parts no faster than line.toml says, and a machine that does other things is not exact."""
_SAY_WAITING_S = 10.0
_LISTEN_TRIES, _LISTEN_AGAIN_S = 300, 0.1
_ONE_IN = 5
"""Of the parts that `simulate` renders, one in five is defective."""
_GOOD_SEED = 1
"""Parts to calibrate from are others than those that are judged afterwards, whose seed is 0."""
_BESIDE = "SHAPE1"
"""The image type that a capture gives beside the one that is judged."""
_TRIGGERS: dict[str, Literal["wired", "input", "plc", "agent"]] = {
    "wired": "wired",
    "input": "input",
    "plc": "plc",
    "interval": "agent",
}
_WAGO_OUTPUTS_FROM = 512
_CHUTE_BEHIND_MS = 5000
_CHUTE_S = 0.1
"""How long the sensor at the chute sees a part."""


@dataclass(frozen=True, slots=True)
class DemoLine:
    """A simulated line: where its peers listen, and its parts one after the other."""

    controller_port: int
    output_port: int
    _line: SimulatedLine

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        parts: list[ShownPart],
        *,
        spacing_s: float,
        program: int,
        ftp_port: int,
        ftp_password: str,
        watchdog_s: float,
    ) -> AsyncIterator[Self]:
        """Start controller and remote I/O on ports of their own choice; stop them at the end."""
        controller = SimulatedController(
            program=program, ftp=FtpTarget(LOOPBACK, ftp_port, user="cvx", password=ftp_password)
        )
        remote_io = SimulatedRemoteIo(watchdog_s=watchdog_s)
        line = SimulatedLine(PreparedParts(parts), controller, remote_io, spacing_s=spacing_s)
        async with _started(controller, remote_io):
            yield cls(controller.port, remote_io.port, line)

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when READY is energised. Raises TimeoutError."""
        await self._line.wait_ready(timeout_s)

    def run(self, parts: int) -> AsyncIterator[TruePart]:
        """Each part with what the gate did, when the next one is due."""
        return self._line.run(parts)


@contextmanager
def simulated_peers(
    settings: Settings, config: Path, *, images: Path | None = None, flags: Sequence[str] = ()
) -> Iterator[Settings]:
    """Start the simulated peers as a process of their own; yields the settings that lead to them.

    Every address becomes the loopback interface: a simulated run drives no real output. ``flags`` are more
    options of `edge-agent simulate`.
    """
    ports = {"controller": free_port(), "output": free_port(), "ftp": free_port()}
    simulated = _on_loopback(settings, ports)
    command = [sys.executable, "-m", "edge_agent", "simulate", "--ports", json.dumps(ports)]
    command += ["--config", str(config), *(["--images", str(images)] if images else []), *flags]
    # A session of its own: Ctrl-C is for the agent, which says REJECT to the peers before they go.
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.DEVNULL, start_new_session=True
    ) as peers:
        _until_listening(ports["controller"], peers)
        log.warning("simulated_run", why="asked for: no real controller, no real output")
        try:
            yield simulated
        finally:
            peers.terminate()


def _until_listening(port: int, peers: subprocess.Popen[bytes]) -> None:
    """Return when the controller listens, which starts last, or when nobody will: whoever connects then says so."""
    for _ in range(_LISTEN_TRIES):
        with socket.socket() as sock:
            if sock.connect_ex((LOOPBACK, port)) == 0 or peers.poll() is not None:
                return
        time.sleep(_LISTEN_AGAIN_S)


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What a person asks of `simulate`. ``faults`` are names of the catalogue; see ``fault_names``.

    ``spacing_s``: time between two parts; None: a tenth above the shortest that line.toml allows.
    ``connections``: what a second client of the command port does: replace, refuse or many. ``has_serial_line``: the
    controller is there on a pseudo terminal as well. ``is_good_only``: the parts are good ones, others than those that
    are rendered without it. ``must_be_ready``: they come when an agent is READY first; a dry run and the collecting of
    good parts never are.
    """

    spacing_s: float | None = None
    images: Path | None = None
    ports: dict[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    connections: str = "replace"
    has_serial_line: bool = False
    is_good_only: bool = False
    must_be_ready: bool = True


def fault_names() -> dict[str, str]:
    """Every fault that a simulated line can have, with what it does."""
    return dict(CATALOGUE)


def run_simulation(settings: Settings, options: SimulationOptions) -> None:
    """Run the simulated peers until stopped, at the ports of line.toml on the loopback interface.

    Raises UsageError for a fault that is none.
    """
    try:
        faults = PlannedFaults.of(options.faults)
    except ValueError as err:
        raise UsageError(str(err), hint="edge-agent simulate --list-faults") from err
    if (others := _not_on_loopback(settings)) and not options.ports:
        log.warning(
            "not_at_these_addresses",
            named=others,
            what=f"the simulated peers are at {LOOPBACK}: an agent with this line.toml does not find them",
            hint=f"edge-agent run --simulated brings peers of its own; for these write {LOOPBACK} into these keys",
        )
    settings = _on_loopback(settings, options.ports)
    asyncio.run(_simulate(settings, _source(options), options, faults))


def _not_on_loopback(settings: Settings) -> list[str]:
    """What line.toml names that the simulated peers are not at, or do not send to."""
    ftp, output, controller = settings.images.ftp, settings.output, settings.controller
    named = {
        "controller.host": None if controller.serial else controller.host,
        "output.host": None if output.device else output.host,
        "images.ftp.host": ftp and ftp.host,
    }
    found = []
    for key, host in named.items():
        at = None if host is None else address_of(str(host))
        if host is not None and not (at is not None and (at.is_loopback or at.is_unspecified)):
            found.append(f"{key} = {host}")
    return found


def _on_loopback(settings: Settings, ports: dict[str, int]) -> Settings:
    ftp = settings.images.ftp
    if ftp is not None:
        ftp = ftp.model_copy(update={"host": LOOPBACK, "port": ports.get("ftp", ftp.port), "allowed_peers": None})
    controller = {"host": LOOPBACK, "port": ports.get("controller", settings.controller.port), "serial": None}
    within_ms = settings.output.reject_confirm_ms
    # The simulated chute lies behind the place of the next part.
    chute = {"reject_confirm_ms": None if within_ms is None else within_ms + _CHUTE_BEHIND_MS}
    output = settings.output.on_loopback(LOOPBACK, ports.get("output", settings.output.port))
    return settings.model_copy(
        update={
            "controller": settings.controller.model_copy(update=controller),
            "output": output.model_copy(update=chute),
            "lamp": None,
            "images": settings.images.model_copy(update={"ftp": ftp}),
        }
    )


def _source(options: SimulationOptions) -> PartSource:
    """What the simulated camera sees: the images of a folder over and over, or rendered zipper cursors."""
    folder = options.images
    if folder is None and options.is_good_only:
        return RenderedParts(camera_of(1600, 0), seed=_GOOD_SEED)
    if folder is None:
        defects = [defect if index == 0 else None for defect in defect_catalogue(20, 0) for index in range(_ONE_IN)]
        return RenderedParts(camera_of(1600, 0), defects=defects[::-1])
    lies = readable_images(folder, hint="name a folder of BMP, PNG or JPEG files", what="images to show")
    for note in lies.notes:
        log.warning("images_passed_over", what=note)
    return RecordedParts(lies.images)


async def _simulate(settings: Settings, source: PartSource, options: SimulationOptions, faults: PlannedFaults) -> None:
    controller, remote_io = _peers(settings, options, faults)
    first = await asyncio.to_thread(source.part, 1)
    controller.put_part(first.image, extension=first.extension, judgement=first.judgement)
    line = SimulatedLine(
        source,
        controller,
        remote_io,
        spacing_s=options.spacing_s or _LEAST_SPACINGS * settings.line.min_part_spacing_ms / 1000,
        trigger=_TRIGGERS[settings.trigger.source],
        first_coil=_first_output(settings.output),
        part_present_input=settings.output.part_present_input or 0,
        on_part=partial(_leave, settings.output.reject_confirm_input, remote_io),
    )
    if settings.output.mode_input is not None:
        remote_io.set_input(settings.output.mode_input, True)
    async with _started(controller, remote_io):
        serial = await controller.wire.open_line() if options.has_serial_line else None
        where = {
            "controller": f"{controller.wire.host}:{controller.port}",
            "serial": serial,
            "remote_io": f"{remote_io.host}:{remote_io.port}",
        }
        log.info("simulated_peers_up", **where, faults=list(options.faults) or None, stop="Ctrl-C")
        mischief = Mischief(remote_io, faults)
        controller.on_imaged = mischief.on_imaged
        belt = asyncio.create_task(_belt(line, must_be_ready=options.must_be_ready))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, belt.cancel)
        try:
            await asyncio.gather(belt, return_exceptions=True)
        finally:
            await mischief.aclose()


async def _belt(line: SimulatedLine, *, must_be_ready: bool) -> None:
    """The belt starts when the line is READY first, and then brings parts for ever."""
    while must_be_ready:
        try:
            await line.wait_ready(_SAY_WAITING_S)
            break
        except TimeoutError:
            log.info("belt_waits", for_what="READY of an agent on this line", without_one="--without-ready")
    async for _ in line.run(sys.maxsize):
        pass


def _leave(chute_input: int | None, remote_io: SimulatedRemoteIo, part: TruePart) -> None:
    """A part leaves, by the gate or by the chute, whose sensor sees it."""
    _say(part)
    if chute_input is not None and not part.is_let_through:
        remote_io.set_input(chute_input, True)
        asyncio.get_running_loop().call_later(_CHUTE_S, remote_io.set_input, chute_input, False)


def _say(part: TruePart) -> None:
    log.info(
        "part_left", count=part.count, truth=words(part), gate="let through" if part.is_let_through else "held back"
    )


@asynccontextmanager
async def _started(controller: SimulatedController, remote_io: SimulatedRemoteIo) -> AsyncIterator[None]:
    await remote_io.start()
    try:
        await controller.start()
        try:
            yield
        finally:
            await controller.stop()
    finally:
        await remote_io.stop()


def _peers(
    settings: Settings, options: SimulationOptions, faults: PlannedFaults
) -> tuple[SimulatedController, SimulatedRemoteIo]:
    ftp, folder = settings.images.ftp, settings.images.folder
    controller = SimulatedController(
        host=LOOPBACK,
        port=settings.controller.port,
        program=settings.bundle[0].program,
        result_items=settings.controller.result_items,
        ftp=FtpTarget(LOOPBACK, ftp.port, user=ftp.user, password=read_password(ftp.password_file)) if ftp else None,
        image_to=folder.path if folder else "ftp",
        image_types=(kind, _BESIDE) if (kind := settings.images.image_type) else (),
        delimiter={"cr": "\r", "crlf": "\r\n"}[settings.controller.delimiter],
        timing=REAL_TIMING,
        policy=ConnectionPolicy(options.connections.upper()),
        faults=faults.controller,
    )
    return controller, _output_peer(settings.output, settings.bundle[0].program)


def _output_peer(output: AnyOutput, program: int) -> SimulatedRemoteIo:
    """The device of each kind. A kind that is new has its line here, or mypy says so."""
    wired = (output.part_present_input, output.mode_input, output.acknowledge_input, output.reject_confirm_input)
    inputs = 1 + max(address or 0 for address in wired)
    of_a_plc: dict[str, Any] = {
        "is_counting": output.part_numbers == "plc",
        "program": program,
        "port": output.port,
        "inputs": inputs,
    }
    match output:
        case ModbusRegistersSettings():
            return SimulatedPlc(first_register=output.first_register, plc_register=output.plc_register, **of_a_plc)
        case SlmpSettings() | HostLinkSettings() | S7Settings():
            first, plc, with_inputs = output.word_numbers
            return _word_plc(output)(first_register=first, plc_register=plc, inputs_register=with_inputs, **of_a_plc)
        case EthernetIpSettings():
            tags: dict[str, Any] = {"tag": output.tag, "plc_tag": output.plc_tag, "inputs_tag": output.inputs_tag}
            return SimulatedLogixPlc(**tags, slot=output.cpu_slot, **of_a_plc)
        case ModbusCoilsSettings():
            first, kind = _first_output(output), SimulatedWago if output.module == "wago-750" else SimulatedRemoteIo
            return kind(
                host=LOOPBACK,
                port=output.port,
                coils=first + _COILS,
                inputs=inputs,
                watchdog_s=output.watchdog_ms / 1000,
                pass_coil=first,
            )
        case _:
            assert_never(output)


def _word_plc(output: SlmpSettings | HostLinkSettings | S7Settings) -> Callable[..., SimulatedPlc]:
    """The PLC that speaks the protocol of this kind."""
    match output:
        case SlmpSettings():
            return SimulatedSlmpPlc
        case HostLinkSettings():
            return SimulatedHostLinkPlc
        case S7Settings():
            return partial(SimulatedS7Plc, db=output.db)
        case _:
            assert_never(output)


def _first_output(output: AnyOutput) -> int:
    """Which output of the peer PASS is: a WAGO's first one has two addresses. A PLC that is given words has none."""
    if not isinstance(output, ModbusCoilsSettings):
        return 0
    return output.first_coil % _WAGO_OUTPUTS_FROM if output.module == "wago-750" else output.first_coil
