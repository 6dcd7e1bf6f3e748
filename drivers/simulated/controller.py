"""A CV-X that is not there: command port, triggers, result lines, image output. Written from the protocol alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from drivers.simulated.background import Background
from drivers.simulated.command_port import CommandPort, ConnectionPolicy
from drivers.simulated.commands import ControllerState
from drivers.simulated.faults import Fault, FaultPlan
from drivers.simulated.ftp_push import FtpTarget, ImageFile, make_outlet
from drivers.simulated.grammar import Command, Refused, parse
from drivers.simulated.parts import ControllerTiming, Imaged, Part, image_files
from drivers.simulated.result_output import ResultOutput, SkippedAs
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

__all__ = ["ControllerTiming", "FtpTarget", "Imaged", "Part", "SimulatedController"]

_NO_PART = b"BM" + bytes(1076)
_SAVING_S = 0.05
_NOISE = b"\xff" * 4096


class SimulatedController:
    """One controller with its command port and its image output; everything happens in one event loop.

    ``ftp`` names the server that images are pushed to; ``image_to`` is 'ftp', or a folder that they are dropped
    into. ``image_priority``: 'output' loses images when the queue is full, 'image' keeps READY off until there is
    room. ``image_condition`` 'ng' puts only those of an NG part out. ``image_types`` are those of a LumiTrax or
    multi-image capture: as many files a part and camera. ``wire`` is the command port, on TCP and on a serial line that
    one opens there.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        program: int = 1,
        card: int = 1,
        result_items: Sequence[str] = ("count", "judgement"),
        ftp: FtpTarget | None = None,
        image_to: Literal["ftp"] | Path = "ftp",
        processing_s: float | None = None,
        timing: ControllerTiming | None = None,
        faults: FaultPlan | None = None,
        policy: ConnectionPolicy = ConnectionPolicy.REPLACE,
        delimiter: str = "\r",
        image_priority: Literal["output", "image"] = "output",
        image_queue: int = 16,
        image_condition: Literal["always", "ng"] = "always",
        image_types: Sequence[str] = (),
        skipped_as: SkippedAs = "zero",
        starts_in_run_mode: bool = True,
        has_programs_in_setup_mode: bool = False,
        on_imaged: Callable[[Imaged], None] | None = None,
    ) -> None:
        timing = timing or ControllerTiming()
        self.timing = timing if processing_s is None else replace(timing, processing_s=processing_s)
        self.faults = faults or FaultPlan()
        self.state = ControllerState(card=card, program=program, is_run_mode=starts_in_run_mode)
        self.imaged: list[Imaged] = []
        self.triggers = 0
        self.refused_triggers = 0
        self.on_imaged = on_imaged
        self._results = ResultOutput(tuple(result_items), skipped_as)
        self._image_priority = image_priority
        self._image_condition = image_condition
        self._image_types = tuple(image_types)
        self._has_programs_in_setup_mode = has_programs_in_setup_mode
        self.wire = CommandPort(host, port, self._answer, policy=policy, delimiter=delimiter)
        self._outlet = make_outlet(ftp, image_to, image_queue)
        self._part = Part(((1, _NO_PART),))
        self._part_no = 0
        self._was_imaged = asyncio.Event()
        self._background = Background()
        self._processing = asyncio.Lock()
        self._held: list[str] = []
        self._generation = 0
        self._is_capturing = False
        self._is_up = False
        self._ready_from_mono_s = 0.0
        self._in_process = 0
        self._effects: dict[str, Callable[[Command], Awaitable[None]]] = {
            **dict.fromkeys(("T1", "T2", "T3", "T4", "TA"), self._trigger_by_command),
            "R0": self._to_run_mode,
            "S0": self._to_setup_mode,
            "RS": self._reset,
            "RE": self._reset_trigger,
            "RB": self._reboot_by_command,
            "OE": self._enable_output,
            "PW": self._switch_program,
        }

    # what a test and the line see

    @property
    def port(self) -> int:
        """The command port; a free one once started with 0."""
        return self.wire.port

    @property
    def commands(self) -> list[str]:
        """The latest command lines that came, in order."""
        return list(self.wire.commands)

    @property
    def connections(self) -> int:
        """How many clients the command port has."""
        return self.wire.connections

    @property
    def images_sent(self) -> list[str]:
        """Names of the files that were handed over."""
        return [] if self._outlet is None else self._outlet.sent

    @property
    def images_lost(self) -> list[str]:
        """Files that never arrived, each with the reason."""
        return [] if self._outlet is None else self._outlet.lost

    @property
    def is_ready(self) -> bool:
        """The READY line: a trigger would be accepted now."""
        now = monotonic_s()
        return (
            self._is_up
            and self.state.is_running(now)
            and self.state.is_trigger_enabled
            and not self._is_capturing
            and now >= self._ready_from_mono_s
        )

    @property
    def is_idle(self) -> bool:
        """No part is in process and no image waits."""
        return not self._in_process and (self._outlet is None or self._outlet.is_idle)

    async def start(self) -> None:
        """Listen and get ready. Raises OSError where the port is taken."""
        now = monotonic_s()
        self.state.set_clock(datetime.now(UTC), now)
        self.state.reset_counters(now)
        await self.wire.open()
        self._is_up = True
        if self._outlet is not None:
            self._background.spawn(self._outlet.run())

    async def stop(self) -> None:
        """Leave no socket, task or thread. Idempotent. Raises what went wrong inside the simulation, if anything."""
        self._is_up = False
        if self._outlet is not None:
            self._outlet.abort()
        await self._background.cancel()
        await self.wire.close()
        await self.wire.close_line()
        self._background.raise_crash()

    async def reboot(self, after_s: float = 0.0) -> None:
        """Lose connections, parts and images in work; come back after ``timing.reboot_s`` with counts from 1."""
        await asyncio.sleep(after_s)
        self._is_up = False
        self._forget_output()
        if self._outlet is not None:
            self._outlet.abort()
        await self.wire.close()
        self.wire.is_mute = True
        await asyncio.sleep(self.timing.reboot_s)
        self.wire.is_mute = False
        now = monotonic_s()
        self.state.is_run_mode, self.state.run_from_mono_s = True, None
        self.state.is_trigger_enabled = self.state.is_output_enabled = True
        self._is_capturing = False
        self.state.reset_counters(now)
        await self.wire.open()
        self._is_up = True

    # parts and triggers

    def put_part(self, image: bytes, *, extension: str = "bmp", judgement: str = "OK", camera: int = 1) -> int:
        """Put a part in front of the camera: what a trigger images from now on. ``judgement`` is OK or NG.

        Gives the part's number, which ``imaged`` names it by.
        """
        return self.put(Part(((camera, image),), extension, judgement))

    def put(self, part: Part) -> int:
        """As ``put_part``, for several cameras."""
        self._part = part
        self._part_no += 1
        return self._part_no

    async def wait_imaged(self, more_than: int) -> None:
        """Return when more parts than that were imaged."""
        while len(self.imaged) <= more_than:
            self._was_imaged.clear()
            await self._was_imaged.wait()

    async def wire_trigger(
        self, image: bytes, *, extension: str = "bmp", judgement: str = "OK", camera: int = 1
    ) -> int | None:
        """A sensor on the terminal block: images the part and returns its count, or None while READY is off.

        Returns at once; result line and file follow after exposure and processing.
        """
        self.put_part(image, extension=extension, judgement=judgement, camera=camera)
        return self.trigger("TRG1")

    def trigger(self, trigger: str) -> int | None:
        """Image what stands there now. The count, or None while READY is off."""
        self.triggers += 1
        faults = self.faults.faults_of(self.triggers)
        now = monotonic_s()
        if not self.is_ready or Fault.REFUSED_TRIGGER in faults:
            self.refused_triggers += 1
            return None
        if Fault.CLOCK_JUMP in faults:
            self.state.set_clock(datetime(2000, 1, 1, tzinfo=UTC), now)
        repeats = Fault.DUPLICATE_COUNT in faults and self.state.count > 0
        shot = Imaged(
            trigger_no=self.triggers,
            part_no=self._part_no,
            trigger=trigger,
            count=self.state.count if repeats else self.state.next_count(),
            card=self.state.card,
            program=self.state.program,
            session=self.state.session,
            taken=self.state.clock(now),
            triggered_mono_s=now,
            judgement=self._part.judgement,
            faults=faults,
        )
        self.imaged.append(shot)
        self._was_imaged.set()
        self._is_capturing = True
        self._in_process += 1
        self._background.spawn(self._cycle(shot, self._part, self._generation))
        if self.on_imaged is not None:
            self.on_imaged(shot)
        return shot.count

    async def _cycle(self, shot: Imaged, part: Part, generation: int) -> None:
        try:
            await asyncio.sleep(self.timing.exposure_s)
            if self._outlet is not None and self._image_priority == "image":
                await self._outlet.wait_room()
            self._is_capturing = False
            async with self._processing:
                await asyncio.sleep(self.timing.processing_s)
                if generation == self._generation and self.state.is_output_enabled:
                    await self._put_out(shot, part)
        finally:
            self._in_process -= 1

    # output

    async def _put_out(self, shot: Imaged, part: Part) -> None:
        faults = shot.faults
        if Fault.REBOOT in faults:
            self._background.spawn(self.reboot())
            return
        self._put_images_out(shot, part)
        if Fault.CONNECTION_DROP in faults:
            self.wire.drop_all()
        elif Fault.CONNECTION_MUTE in faults:
            self._background.spawn(self._mute())
        elif Fault.LOST_RESULT not in faults and self._results.items:  # no item selected: no line
            await self._put_result_out(shot, part)
        if Fault.SETUP_MODE in faults or Fault.PROGRAM_CHANGED in faults:
            self._background.spawn(self._somebody_at_the_screen(shot))

    async def _put_result_out(self, shot: Imaged, part: Part) -> None:
        faults = shot.faults
        line = self._results.line(shot, part, self.state, processing_s=self.timing.processing_s)
        if Fault.UNREADABLE_RESULT in faults:
            line += ",0000000"
        if Fault.NOISE_ON_THE_WIRE in faults:
            await self.wire.send_raw(_NOISE)
        if Fault.LATE_RESULT in faults:
            self._later(partial(self.wire.send, line))
        elif Fault.RESULTS_GLUED in faults:
            self._held.append(line)
        elif Fault.RESULT_SPLIT in faults:
            await self.wire.send(line, splits=3, pause_s=self.timing.split_pause_s)
        elif Fault.RESULT_BEFORE_REPLY in faults:
            self.wire.before_next_reply.append(line)
        else:
            held, self._held = self._held, []
            await self.wire.send(*held, line)

    def _put_images_out(self, shot: Imaged, part: Part) -> None:
        is_wanted = self._image_condition == "always" or part.judgement == "NG"
        if self._outlet is None or Fault.LOST_IMAGE in shot.faults or not is_wanted:
            return
        for file in image_files(shot, part, self._image_types):
            if Fault.LATE_IMAGE in shot.faults:
                self._later(partial(self._offer, file))
                continue
            self._outlet.offer(file)
            if Fault.REPEATED_IMAGE in shot.faults:
                self._outlet.offer(file)

    async def _offer(self, file: ImageFile) -> None:
        assert self._outlet is not None  # noqa: S101 - only called with one
        self._outlet.offer(file)

    def _later(self, what: Callable[[], Awaitable[None]]) -> None:
        """Do it after ``late_s``, unless output was cleared by then."""
        generation = self._generation

        async def wait() -> None:
            await asyncio.sleep(self.timing.late_s)
            if generation == self._generation and self.state.is_output_enabled:
                await what()

        self._background.spawn(wait())

    async def _somebody_at_the_screen(self, shot: Imaged) -> None:
        if Fault.PROGRAM_CHANGED in shot.faults:
            await self._switch_program(Command("PW", (str(shot.card), str((shot.program + 1) % 1000))))
            return
        self.state.is_run_mode, self.state.run_from_mono_s = False, monotonic_s() + self.timing.mute_s

    async def _mute(self) -> None:
        self.wire.is_mute = True
        await asyncio.sleep(self.timing.mute_s)
        self.wire.is_mute = False

    def _forget_output(self) -> None:
        """As ``RS``, ``OE,0``, a program change and a reboot do: nothing that is under way comes out any more."""
        self._generation += 1
        self._held.clear()
        self.wire.before_next_reply.clear()
        if self._outlet is not None:
            self._outlet.clear()

    # commands

    async def _answer(self, line: str) -> str:
        try:
            command = parse(
                line,
                is_in_run_mode=self.state.is_running(monotonic_s()),
                has_programs_in_setup_mode=self._has_programs_in_setup_mode,
            )
            effect = self._effects.get(command.name)
            if effect is None:
                return self.state.answer(command, monotonic_s())
            await effect(command)
        except Refused as refused:
            return refused.reply
        except Exception as err:
            self._background.crash = self._background.crash or err
            raise
        return command.name

    async def _trigger_by_command(self, command: Command) -> None:
        if self.trigger(command.name) is None:
            raise Refused(command.name, "03")

    async def _to_run_mode(self, _: Command) -> None:
        if not self.state.is_run_mode:
            self.state.run_from_mono_s = monotonic_s() + self.timing.mode_change_s

    async def _to_setup_mode(self, _: Command) -> None:
        async with self._processing:  # it waits until running tools have finished
            self.state.is_run_mode, self.state.run_from_mono_s = False, None

    async def _reset(self, _: Command) -> None:
        self._forget_output()
        self.state.reset_counters(monotonic_s())

    async def _reset_trigger(self, _: Command) -> None:
        self._is_capturing = False

    async def _reboot_by_command(self, _: Command) -> None:
        self._background.spawn(self.reboot(_SAVING_S))

    async def _enable_output(self, command: Command) -> None:
        self.state.is_output_enabled = int(command.args[0]) == 1
        if not self.state.is_output_enabled:
            self._forget_output()

    async def _switch_program(self, command: Command) -> None:
        self._ready_from_mono_s = float("inf")
        self._forget_output()
        try:
            await asyncio.sleep(self.timing.program_switch_s)
            self.state.card, self.state.program = int(command.args[0]), int(command.args[1])
            self.state.reset_counters(monotonic_s())
        finally:
            self._ready_from_mono_s = monotonic_s() + self.timing.ready_after_switch_s
