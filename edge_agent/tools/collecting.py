"""``calibrate-reference --live``: good parts from the line of line.toml.

Where no agent runs, through the line's own drivers; where one runs, from its journal and archive, beside it.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from calibration.collecting.from_line import LiveWishes, collect_live
from calibration.collecting.holding import held_folder
from edge_agent.desk.client import DeskClient, agent_pid, desk_path
from edge_agent.errors import UsageError
from edge_agent.runtime.process import stand_back, stop_on_signal
from edge_agent.tools.agent_images import AgentImages, check_kept
from edge_agent.wiring.agent import open_line
from edge_agent.wiring.simulation import simulated_peers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.runtime.watching import Watched
    from edge_agent.settings import Settings

__all__ = ["LiveWishes", "collect_from_line", "stand_back_beside_agent"]

_SAY_AGAIN_S = 10.0


def collect_from_line(settings: Settings, config: Path, wishes: LiveWishes, say: Callable[[str], None]) -> int:
    """Collect until all are there or somebody stops it (SIGINT, SIGTERM); how many good images there are.

    Raises AlreadyRunning while another collection fills the folder, Unavailable, UsageError for another program than
    asked for, CalibrationRefused, OSError.
    """
    wishes.folder.mkdir(parents=True, exist_ok=True)
    with held_folder(wishes.folder):
        if stand_back_beside_agent(settings):
            return asyncio.run(_collect_beside_agent(settings, wishes, say))
        if settings.controller.kind == "simulated":
            with simulated_peers(settings, config, flags=("--good-parts", "--without-ready", "--quiet")) as simulated:
                return asyncio.run(_collect(simulated, wishes, say))
        return asyncio.run(_collect(settings, wishes, say))


async def _collect(settings: Settings, wishes: LiveWishes, say: Callable[[str], None]) -> int:
    stop, spool = stop_on_signal(), wishes.folder / ".spool"
    try:
        async with open_line(settings, spool) as (source, watched):
            program = await _program(watched, stop, say)
            if program is not None:
                _check_program(program, wishes)
                say(f"the controller is up with program {program}: bring good parts, {wishes.wanted} of them")
            return await collect_live(source, wishes, stop, say)
    finally:
        await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)


def stand_back_beside_agent(settings: Settings) -> bool:
    """Whether an agent runs on this line; then this process is the last in line for the processor from now on."""
    pid = asyncio.run(agent_pid(settings.store.journal))
    if pid is None:
        return False
    stand_back(pid or None)
    return True


async def _collect_beside_agent(settings: Settings, wishes: LiveWishes, say: Callable[[str], None]) -> int:
    stop, spool = stop_on_signal(), wishes.folder / ".spool"
    note = check_kept(settings, wishes.program)
    async with DeskClient.open(desk_path(settings.store.journal)) as agent:
        link = (await agent.status())["link"] if agent is not None else None
    program = link["program"] if isinstance(link, dict) and link["is_up"] else None
    if program is not None:
        _check_program(program, wishes)
    images = AgentImages(settings, wishes.program, wishes.camera, spool)
    try:
        await images.open()
        say("an agent runs on this line: the images come from it, and the output stays what it says")
        if note:
            say(note)
        say(f"bring good parts of program {wishes.program}, {wishes.wanted} of them")
        return await collect_live(images, wishes, stop, say, images.why_silent)
    finally:
        await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)


def _check_program(program: int, wishes: LiveWishes) -> None:
    if program != wishes.program:
        raise UsageError(
            f"the controller runs program {program}, good parts of program {wishes.program} are asked for",
            hint=f"--program {program}, or switch the controller's program",
        )


async def _program(watched: Watched, stop: asyncio.Event, say: Callable[[str], None]) -> int | None:
    """The controller's program once it is up; None if somebody stopped before."""
    up, stopped = asyncio.create_task(watched.until_up()), asyncio.create_task(stop.wait())
    try:
        while not up.done() and not stopped.done():
            await asyncio.wait({up, stopped}, timeout=_SAY_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not up.done() and not stopped.done():
                say(f"waiting for the controller: {watched.why_down}")
        return up.result() if up.done() else None
    finally:
        up.cancel()
        stopped.cancel()
        await asyncio.gather(up, stopped, return_exceptions=True)
