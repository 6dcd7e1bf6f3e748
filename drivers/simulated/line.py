"""A line with ground truth: parts pass a camera and reach a gate, and it is known what they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, assert_never

import numpy as np

from drivers.simulated.camera import encode_image
from drivers.simulated.gate import Gate
from drivers.simulated.plc import SimulatedPlc
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from drivers.simulated.camera import ZipperCamera
    from drivers.simulated.controller import SimulatedController
    from drivers.simulated.defects import DefectSpec
    from drivers.simulated.faults import Fault
    from drivers.simulated.plc import PlcPart
    from drivers.simulated.remote_io import SimulatedRemoteIo

__all__ = ["PartSource", "RecordedParts", "RenderedParts", "ShownPart", "SimulatedLine", "TruePart"]

_POLL_S = 0.005
_LATEST = 64
_IMAGE_SUFFIXES = {
    **dict.fromkeys((".bmp", ".dib"), "bmp"),
    ".png": "png",
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "jpg"),
}


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part before it reaches the camera: its image file, its defect (None: it is good, or nothing is known)."""

    image: bytes
    extension: str = "bmp"
    defect: DefectSpec | None = None
    name: str = ""
    judgement: str = "OK"


class PartSource(Protocol):
    """Where parts come from. Called in a worker thread, from 1 upwards, once each."""

    def part(self, index: int) -> ShownPart:
        """The part with that number."""
        ...


class RenderedParts:
    """Parts rendered by a camera. ``defects`` are taken in turn, None among them is a good part; deterministic."""

    def __init__(
        self,
        camera: ZipperCamera,
        *,
        defects: Sequence[DefectSpec | None] = (None,),
        seed: int = 0,
        extension: str = "bmp",
    ) -> None:
        if not defects:
            raise ValueError("name at least one kind of part; None is a good one")
        self._camera = camera
        self._defects = tuple(defects)
        self._seed = seed
        self._extension = extension

    def part(self, index: int) -> ShownPart:
        """Render part ``index``: the same for the same seed and index, whatever came before."""
        defect = self._defects[(index - 1) % len(self._defects)]
        rendered = self._camera.render(np.random.default_rng((self._seed, index)), defect)
        return ShownPart(encode_image(rendered.image, self._extension), self._extension, defect, f"part_{index:06d}")


class RecordedParts:
    """Image files in the order given, over and over. Raises ValueError for none, or for one that is no image file."""

    def __init__(self, files: Sequence[Path]) -> None:
        strangers = [file.name for file in files if file.suffix.lower() not in _IMAGE_SUFFIXES]
        if not files or strangers:
            raise ValueError(f"expected bmp, png or jpg files (got {strangers or 'none'})")
        self._files = tuple(files)

    def part(self, index: int) -> ShownPart:
        """The file of part ``index``. Raises OSError."""
        file = self._files[(index - 1) % len(self._files)]
        return ShownPart(file.read_bytes(), _IMAGE_SUFFIXES[file.suffix.lower()], None, file.name)


@dataclass(frozen=True, slots=True)
class TruePart:
    """A part and its fate.

    ``count`` is the controller's, None if it never imaged the part. The part's interval runs from
    ``triggered_mono_s`` to ``ended_mono_s``, where the next part's begins; ``is_let_through`` is what the gate did.
    """

    index: int
    name: str
    count: int | None
    defect: DefectSpec | None
    faults: frozenset[Fault]
    triggered_mono_s: float
    ended_mono_s: float
    is_let_through: bool

    @property
    def is_escape(self) -> bool:
        """A part with a defect, or one that was never imaged, went through."""
        return self.is_let_through and (self.defect is not None or self.count is None)


@dataclass(frozen=True, slots=True)
class _Standing:
    """The part whose interval it is."""

    index: int
    shown: ShownPart
    part_no: int
    start_mono_s: float
    counted: PlcPart | None = None


class SimulatedLine:
    """Brings parts in front of the camera, ``spacing_s`` apart, and watches the gate.

    ``trigger``: 'wired' - a sensor on the controller; 'input' - the part-present input of the remote I/O goes on, and
    the agent triggers; 'plc' - the PLC counts the part, and the agent triggers; 'agent' - the agent triggers by its own
    clock, and each trigger finds the next part. A ``remote_io`` that is a PLC counts every part and has the gate.
    """

    def __init__(
        self,
        source: PartSource,
        controller: SimulatedController,
        remote_io: SimulatedRemoteIo,
        *,
        spacing_s: float = 1.0,
        trigger: Literal["wired", "input", "plc", "agent"] = "wired",
        first_coil: int = 0,
        part_present_input: int = 0,
        on_part: Callable[[TruePart], None] | None = None,
    ) -> None:
        if spacing_s <= 0:
            raise ValueError(f"parts come one after the other (got a spacing of {spacing_s} s)")
        self.parts: list[TruePart] = []
        self._source = source
        self._controller = controller
        self._remote_io = remote_io
        self._spacing_s = spacing_s
        self._trigger = trigger
        self._ready_coil = first_coil + 2
        self._part_present_input = part_present_input
        self._on_part = on_part
        self._gate = Gate(remote_io.history, pass_coil=first_coil)
        self._plc = remote_io if isinstance(remote_io, SimulatedPlc) else None

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when the agent's READY output is on and the controller is ready. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            # Nothing tells when an output changes: whoever looks at a wire looks again.
            while not (self._is_ready() and self._controller.is_ready):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        return self._remote_io.coils[self._ready_coil] if self._plc is None else self._plc.is_agent_ready

    async def run(self, parts: int) -> AsyncIterator[TruePart]:
        """Bring ``parts`` parts. Each comes out when the next one's interval begins, the last after its spacing."""
        shown = await asyncio.to_thread(self._source.part, 1)
        at_mono_s = monotonic_s()
        before: _Standing | None = None
        for index in range(1, parts + 1):
            here = await self._present(index, shown, at_mono_s)
            if before is not None:
                yield self._fate(before, here.start_mono_s)
            before = here
            if index < parts:
                shown = await asyncio.to_thread(self._source.part, index + 1)
            await self._clear_input(here.start_mono_s)
            at_mono_s = here.start_mono_s + self._spacing_s
        if before is not None:
            await _sleep_until(at_mono_s)
            yield self._fate(before, monotonic_s())

    async def _present(self, index: int, shown: ShownPart, at_mono_s: float) -> _Standing:
        """Bring the part to the camera, not before that time."""
        controller = self._controller
        if self._trigger == "agent":
            part_no = controller.put_part(shown.image, extension=shown.extension, judgement=shown.judgement)
            seen, counted = len(controller.imaged), self._count()
            await controller.wait_imaged(seen)
            return _Standing(index, shown, part_no, controller.imaged[seen].triggered_mono_s, counted)
        await _sleep_until(at_mono_s)
        start_mono_s = monotonic_s()
        part_no = controller.put_part(shown.image, extension=shown.extension, judgement=shown.judgement)
        counted = self._count()
        match self._trigger:
            case "wired":
                controller.trigger("TRG1")
            case "input":
                self._remote_io.set_input(self._part_present_input, True)
            case "plc":
                pass  # the count is the signal
            case _:
                assert_never(self._trigger)
        return _Standing(index, shown, part_no, start_mono_s, counted)

    def _count(self) -> PlcPart | None:
        return None if self._plc is None else self._plc.part_arrives()

    async def _clear_input(self, start_mono_s: float) -> None:
        """The part leaves the sensor's sight in the middle of its interval."""
        if self._trigger == "input":
            await _sleep_until(start_mono_s + self._spacing_s / 2)
            self._remote_io.set_input(self._part_present_input, False)

    def _fate(self, here: _Standing, end_mono_s: float) -> TruePart:
        shown, start_mono_s = here.shown, here.start_mono_s
        imaged = [shot for shot in self._controller.imaged[-_LATEST:] if shot.part_no == here.part_no]
        part = TruePart(
            index=here.index,
            name=shown.name,
            count=imaged[0].count if imaged else None,
            defect=shown.defect,
            faults=frozenset().union(*(shot.faults for shot in imaged)),
            triggered_mono_s=start_mono_s,
            ended_mono_s=end_mono_s,
            is_let_through=here.counted.is_let_through
            if here.counted is not None
            else self._gate.let_through(start_mono_s, end_mono_s),
        )
        self.parts.append(part)
        if self._on_part is not None:
            self._on_part(part)
        return part


async def _sleep_until(at_mono_s: float) -> None:
    await asyncio.sleep(max(0.0, at_mono_s - monotonic_s()))
