"""Simulated peers: what `simulate`, `demo` and `run --simulated` start. Only this names drivers.simulated."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import structlog

from drivers.simulated.camera import ZipperCamera, defect_catalogue, encode_bmp
from drivers.simulated.controller import FtpTarget, SimulatedController
from drivers.simulated.gate import Gate
from drivers.simulated.remote_io import SimulatedRemoteIo
from edge_agent.errors import DataError, EdgeAgentError
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from edge_agent.settings import Settings

__all__ = ["DemoLine", "TruePart", "free_port", "render_good", "render_line", "run_simulation", "simulated_peers"]

log = structlog.get_logger(__name__)

_LOOPBACK = "127.0.0.1"
_PASS, _READY, _COILS = 0, 2, 4
_INPUT_PULSE_S = 0.1
_TICK_S = 0.05
_DEFECT_EVERY = 5
"""Of the parts that `simulate` renders, every fifth is defective."""


@dataclass(frozen=True, slots=True)
class TruePart:
    """A part as it really is: what the agent is not told. ``image`` is the file that the controller pushes."""

    index: int
    image: bytes
    is_defective: bool
    words: str


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as sock:
        sock.bind((_LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        return port


def render_good(folder: Path, number: int, *, width: int, seed: int, progress: Callable[[str, int, int], None]) -> None:
    """Write images of good zipper cursors to ``folder``, as a controller would have recorded them."""
    folder.mkdir(parents=True)
    camera = _camera(width, seed)
    rng = np.random.default_rng([seed, 1])
    for index in range(number):
        progress("render good parts", index, number)
        name = f"261123_080000_{index + 1:010d}_CAM1_OK.bmp"
        (folder / name).write_bytes(encode_bmp(camera.render(rng).image))
    progress("render good parts", number, number)


def render_line(
    number: int, defective: int, *, width: int, seed: int, progress: Callable[[str, int, int], None]
) -> list[TruePart]:
    """The parts of a line in their order, the defective ones spread over it."""
    camera = _camera(width, seed)
    rng = np.random.default_rng([seed, 2])
    defects = iter(defect_catalogue(defective, seed))
    is_defective = rng.permutation(np.arange(number) < defective)
    parts = []
    for index in range(number):
        progress("render the line's parts", index, number)
        defect = next(defects) if is_defective[index] else None
        words = f"{defect.kind} {defect.size_px:.0f} px {defect.contrast:.0%}" if defect else "good"
        parts.append(TruePart(index + 1, encode_bmp(camera.render(rng, defect).image), defect is not None, words))
    progress("render the line's parts", number, number)
    return parts


class DemoLine:
    """A simulated controller and a simulated remote I/O, and what a bystander sees of them."""

    def __init__(self, controller: SimulatedController, remote_io: SimulatedRemoteIo) -> None:
        self._controller = controller
        self._remote_io = remote_io
        self._gate = Gate(remote_io.history, pass_coil=_PASS)

    @classmethod
    @asynccontextmanager
    async def open(cls, *, program: int, ftp_port: int, ftp_password: str, watchdog_s: float) -> AsyncIterator[Self]:
        """Start both on ports of their own choice; stop them at the end."""
        controller = SimulatedController(
            program=program, ftp=FtpTarget(_LOOPBACK, ftp_port, user="cvx", password=ftp_password)
        )
        remote_io = SimulatedRemoteIo(watchdog_s=watchdog_s)
        await remote_io.start()
        try:
            await controller.start()
            try:
                yield cls(controller, remote_io)
            finally:
                await controller.stop()
        finally:
            await remote_io.stop()

    @property
    def controller_port(self) -> int:
        """The port of the controller's commands and results."""
        return self._controller.port

    @property
    def output_port(self) -> int:
        """The port of the remote I/O."""
        return self._remote_io.port

    @property
    def is_ready(self) -> bool:
        """The READY coil is energised."""
        return self._remote_io.coils[_READY]

    async def show(self, part: TruePart) -> int:
        """The part trips the sensor: imaged, pushed, judged by the controller. Returns its count."""
        count = await self._controller.wire_trigger(part.image)
        if count is None:
            raise EdgeAgentError(f"the simulated controller was not ready for part {part.index}")
        return count

    def gate_opened(self, begin_mono_s: float, end_mono_s: float) -> bool:
        """Whether PASS was energised at any moment of the interval: the gate let something through."""
        return self._gate.let_through(begin_mono_s, end_mono_s)


@contextmanager
def simulated_peers(settings: Settings, config: Path, *, images: Path | None) -> Iterator[Settings]:
    """Start the simulated peers as a process of their own; yields the settings that lead to them.

    Every address becomes the loopback interface: a simulated run drives no real output.
    """
    ports = {"controller": free_port(), "output": free_port(), "ftp": free_port()}
    simulated = _on_loopback(settings, ports)
    command = [sys.executable, "-m", "edge_agent", "simulate", "--ports", json.dumps(ports)]
    command += ["--config", str(config), *(["--images", str(images)] if images else [])]
    # A session of its own: Ctrl-C is for the agent, which says REJECT to the peers before they go.
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.DEVNULL, start_new_session=True
    ) as peers:
        log.warning("simulated_run", why="asked for: no real controller, no real output")
        try:
            yield simulated
        finally:
            peers.terminate()


def run_simulation(settings: Settings, *, images: Path | None, spacing_s: float, ports: dict[str, int] | None) -> None:
    """Run the simulated peers until stopped, at the ports of line.toml on the loopback interface."""
    settings = _on_loopback(settings, ports or {})
    asyncio.run(_simulate(settings, _pictures(images), spacing_s))


def _on_loopback(settings: Settings, ports: dict[str, int]) -> Settings:
    ftp = settings.images.ftp
    if ftp is not None:
        ftp = ftp.model_copy(update={"host": _LOOPBACK, "port": ports.get("ftp", ftp.port), "allowed_peers": ()})
    controller = {"host": _LOOPBACK, "port": ports.get("controller", settings.controller.port)}
    output = {"host": _LOOPBACK, "port": ports.get("output", settings.output.port)}
    return settings.model_copy(
        update={
            "controller": settings.controller.model_copy(update=controller),
            "output": settings.output.model_copy(update=output),
            "images": settings.images.model_copy(update={"ftp": ftp}),
        }
    )


def _pictures(folder: Path | None) -> Iterator[bytes]:
    """What the simulated camera sees, for ever: the images of a folder, or rendered zipper cursors."""
    if folder is None:
        camera, rng = _camera(1600, 0), np.random.default_rng(0)
        defects = itertools.cycle(defect_catalogue(20, 0))
        for index in itertools.count(1):
            defect = next(defects) if index % _DEFECT_EVERY == 0 else None
            yield encode_bmp(camera.render(rng, defect).image)
    paths = sorted(path for path in Path(folder or "").rglob("*") if path.suffix.lower() in {".bmp", ".png", ".jpg"})
    if not paths:
        raise DataError(f"{folder} holds no images to show", hint="name a folder of BMP, PNG or JPEG files")
    for path in itertools.cycle(paths):
        yield path.read_bytes()


async def _simulate(settings: Settings, pictures: Iterator[bytes], spacing_s: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    controller, remote_io = _peers(settings)
    await remote_io.start()
    await controller.start()
    log.info("simulated_peers_up", controller=controller.port, remote_io=remote_io.port, stop="Ctrl-C")
    ready = settings.output.first_coil + _READY
    try:
        while not stop.is_set():
            runs = remote_io.coils[ready]  # the belt stands while READY is off
            if runs:
                await _show(settings, controller, remote_io, await asyncio.to_thread(next, pictures))
            await _wait(stop, spacing_s if runs else _TICK_S)
    finally:
        await controller.stop()
        await remote_io.stop()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _show(
    settings: Settings, controller: SimulatedController, remote_io: SimulatedRemoteIo, image: bytes
) -> None:
    """One part in front of the camera, started by whoever starts parts on this line."""
    if settings.trigger.source == "wired":
        count = await controller.wire_trigger(image)
        log.info("part_shown", count=count)
        return
    controller.put_part(image)
    if settings.output.part_present_input is not None:
        remote_io.set_input(settings.output.part_present_input, True)
        await asyncio.sleep(_INPUT_PULSE_S)
        remote_io.set_input(settings.output.part_present_input, False)
    log.info("part_in_place")


def _peers(settings: Settings) -> tuple[SimulatedController, SimulatedRemoteIo]:
    ftp, folder = settings.images.ftp, settings.images.folder
    controller = SimulatedController(
        host=_LOOPBACK,
        port=settings.controller.port,
        program=settings.bundle[0].program,
        result_items=settings.controller.result_items,
        ftp=FtpTarget(_LOOPBACK, ftp.port, user=ftp.user, password=read_password(ftp.password_file)) if ftp else None,
        image_to=folder.path if folder else "ftp",
    )
    first = settings.output.first_coil
    remote_io = SimulatedRemoteIo(
        host=_LOOPBACK,
        port=settings.output.port,
        coils=first + _COILS,
        inputs=1 + (settings.output.part_present_input or 0),
        watchdog_s=settings.output.watchdog_ms / 1000,
        pass_coil=first,
    )
    return controller, remote_io


def _camera(width: int, seed: int) -> ZipperCamera:
    return ZipperCamera(width=width, height=width * 3 // 4, seed=seed)
