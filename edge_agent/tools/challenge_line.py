"""Samples on the running line: each is asked for by its name, its verdict read from its row in the journal.

What was shown so far is kept when the challenge is broken off: once a sample was wrong it is not passed, whatever
becomes of the rest.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drivers.timing import monotonic_s
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.domain import Reason
from edge_agent.errors import Unavailable, UsageError
from edge_agent.golden.known import KnownSamples
from edge_agent.store.challenges import BUNDLE_DIGITS
from edge_agent.store.search import JournalSearch
from edge_agent.store.starts import START
from edge_agent.store.study_asks import Asked, asking
from edge_agent.tools.challenge import Challenge, Sample, is_doubtful, now_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge_agent.domain import Published
    from edge_agent.people.signing import Signed
    from edge_agent.settings import SampleSettings, Settings
    from edge_agent.store.rows import PartRow

__all__ = ["LineChallenge", "chosen_samples", "wanted_parts"]

_LOOK_EVERY_S = 0.1
_BYPASS = "BYPASS by "


def wanted_parts(settings: Settings, number: int, program: int | None) -> tuple[SampleSettings | None, ...]:
    """So many parts: the first registered samples of the program, or unnamed ones where none is registered.

    Raises UsageError.
    """
    if settings.challenge is None or not settings.challenge.sample:
        return (None,) * number
    found = chosen_samples(settings, "all", program)
    if number > len(found):
        raise UsageError(f"{len(found)} samples are registered, {number} are asked for", hint="--samples all")
    return found[:number]


def chosen_samples(settings: Settings, names: str, program: int | None) -> tuple[SampleSettings, ...]:
    """The registered samples of these names, in the order named; ``all`` of a program's. Raises UsageError."""
    known = {} if settings.challenge is None else {one.name: one for one in settings.challenge.sample}
    if not known:
        raise UsageError(
            "no sample is registered in line.toml", hint="[[challenge.sample]], or --parts N without names"
        )
    if names.strip() == "all":
        return _all_of(known.values(), program)
    asked = [name.strip() for name in names.split(",")]
    for at, name in enumerate(asked):
        if name not in known:
            raise UsageError(f"no sample {name!r} is registered", hint=f"line.toml has {', '.join(known)}")
        if name in asked[:at]:
            raise UsageError(f"sample {name} is named twice", hint="each sample is shown once")
    chosen = tuple(known[name] for name in asked)
    if len({one.program for one in chosen}) > 1:
        told = "; ".join(f"{one.name}: program {one.program}" for one in chosen)
        raise UsageError(f"the samples are of several programs ({told})", hint="a challenge for each program")
    return chosen


def _all_of(known: Iterable[SampleSettings], program: int | None) -> tuple[SampleSettings, ...]:
    programs = sorted({one.program for one in known})
    if program is None and len(programs) > 1:
        told = ", ".join(map(str, programs))
        raise UsageError(f"samples are registered for programs {told}", hint="say which: --program NUMBER")
    found = tuple(one for one in known if program in (None, one.program))
    if not found:
        told = ", ".join(map(str, programs))
        raise UsageError(f"no sample is registered for program {program}", hint=f"there are some for {told}")
    return found


@dataclass(slots=True)
class LineChallenge:
    """The next parts of the running line are the samples: ``wanted`` in their order, None for one without a name."""

    settings: Settings
    by: str
    wanted: Sequence[SampleSettings | None]
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_simulated: bool = False
    signed: Signed | None = None

    @property
    def is_failed(self) -> bool:
        """Whether a sample was wrong already, or a reject sample may be another one: it cannot be passed any more."""
        return any(not one.is_right or (one.must_reject and is_doubtful(one.odd)) for one in self.samples)

    def result(self) -> Challenge:
        """The challenge, as far as it came; one of which samples are missing is not passed."""
        missing = len(self.wanted) - len(self.samples)
        programs = sorted({sample.program for sample in self.samples if sample.program is not None})
        return Challenge(
            "line",
            self.by,
            now_utc(),
            tuple(self.samples),
            tuple(self.notes),
            programs=tuple(programs),
            is_simulated=self.is_simulated,
            why_not=f"{len(self.samples)} of {len(self.wanted)} samples came" if missing else "",
            signed=self.signed,
        )

    async def run(self, within_s: float) -> None:
        """Take them as they come; ``samples`` has what came, also where this raises.

        Raises Unavailable without an agent, in time's want, under a bypass or after a restart, AlreadyRunning while
        another challenge or a study goes on, UsageError for another program's samples.
        """
        await self._may_begin()
        with asking(self.settings.store.journal) as ask, JournalSearch.open(self.settings.store.journal) as journal:
            known = KnownSamples.of(self.settings, with_simulated=self.is_simulated)
            begun = journal.newest_event()
            until_mono_s = monotonic_s() + within_s
            _ends_on_signals()
            after = max(journal.last_seq(), await self._newest_begun())
            self._announce()
            for number, wanted in enumerate(self.wanted, start=1):
                name = wanted.name if wanted is not None else str(number)
                self.say(self._asks(number, wanted))
                ask(Asked(name, number, len(self.wanted), what="challenge"))
                row, published = await self._next(journal, after + number, begun, until_mono_s)
                sample = (
                    _came(row, published) if wanted is None else _compared(_of(wanted, row, published), wanted, known)
                )
                self.is_simulated = self.is_simulated or row.simulated
                self.samples.append(sample)
                self.say(str(sample))

    def _announce(self) -> None:
        if any(wanted is None for wanted in self.wanted):
            number = len(self.wanted)
            self.say(f"put {number} reject samples through the line, nothing else: the next {number} parts count")

    def _asks(self, number: int, wanted: SampleSettings | None) -> str:
        if wanted is None:
            return f"{number} of {len(self.wanted)}"
        what = "reject sample" if wanted.kind == "reject" else "golden sample"
        shows = f" ({wanted.shows})" if wanted.shows else ""
        return f"{number} of {len(self.wanted)}: put {what} {wanted.name}{shows} in, and nothing else"

    async def _newest_begun(self) -> int:
        """The part that is under way, or was the last one: it was put in before a sample was asked for."""
        newest = (await self._status()).get("newest_part")
        return newest if isinstance(newest, int) else 0

    async def _status(self) -> dict[str, Any]:
        async with DeskClient.open(desk_path(self.settings.store.journal)) as agent:
            if agent is None:
                raise Unavailable("no agent runs on this line", hint="start it, or challenge with a folder of images")
            return await agent.status()

    async def _may_begin(self) -> None:
        told = await self._status()
        if told.get("bypass"):
            raise Unavailable(
                "a person answers for the parts at the moment (bypass): samples would prove nothing",
                hint='end it first: edge-agent bypass end --by "YOUR NAME"',
            )
        self.is_simulated = bool(told.get("simulated"))
        program = told.get("program")
        other = [one for one in self.wanted if one is not None and isinstance(program, int) and one.program != program]
        if other:
            raise UsageError(
                f"sample {other[0].name} is of program {other[0].program}, the controller runs {program}",
                hint="switch the controller, or name samples of its program",
            )

    async def _next(
        self, journal: JournalSearch, seq: int, begun: int, until_mono_s: float
    ) -> tuple[PartRow, Published]:
        while True:
            # Behind a restart nobody knows which part is which: some may have come while no agent ran.
            if journal.events_between(begun, journal.newest_event(), START):
                self._broken_off("the agent was started anew in the middle")
            row = journal.part(seq)
            published = None if row is None else journal.published(seq)
            if row is not None and published is not None:
                return row, published
            if monotonic_s() > until_mono_s:
                self._broken_off(f"{len(self.samples)} of {len(self.wanted)} samples came in time")
            await asyncio.sleep(_LOOK_EVERY_S)

    def _broken_off(self, why: str) -> None:
        hint = "nothing is recorded: start again, with --within-s for more time"
        raise Unavailable(why, hint="a sample was wrong: that is recorded" if self.is_failed else hint)


def _ends_on_signals() -> None:
    """A terminal that is closed ends it as Ctrl+C does: what was wrong so far is still recorded."""
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _came(row: PartRow, published: Published) -> Sample:
    return Sample(
        label=f"part {row.part_seq}",
        must_reject=True,
        verdict=row.verdict,
        reason=row.reason,
        score=row.score,
        limit=row.limit,
        bundle_id=row.bundle_id,
        image_sha256="".join(camera.image_sha256 for camera in row.cameras),
        part_seq=row.part_seq,
        published=published,
        program=row.program,
        wrong="a person answered for it (bypass)" if _is_bypassed(row) else "",
        judged_by=tuple(camera.bundle_id for camera in row.cameras if camera.bundle_id),
    )


def _of(wanted: SampleSettings, row: PartRow, published: Published) -> Sample:
    """A registered sample: by its own camera where it has one, and by its own program."""
    sample = replace(
        _came(row, published),
        label=f"{wanted.name} (part {row.part_seq})",
        name=wanted.name,
        must_reject=wanted.kind == "reject",
    )
    if row.program != wanted.program:
        told = "an unknown program" if row.program is None else f"program {row.program}"
        sample = replace(sample, wrong=f"it was judged by {told}, not by {wanted.program}")
    if wanted.camera is None:
        return sample
    camera = next((one for one in row.cameras if one.camera == wanted.camera), None)
    if camera is None:
        return replace(sample, score=None, limit=None, wrong=f"camera {wanted.camera} has no image of it")
    sample = replace(sample, score=camera.score, limit=camera.limit, bundle_id=camera.bundle_id)
    if camera.outcome is None or camera.reason is None:
        return replace(sample, wrong=sample.wrong or f"camera {wanted.camera} did not judge it")
    if wanted.kind == "reject" and camera.reason is not sample.reason:
        # Another camera's reject says nothing of what this one sees.
        sample = replace(sample, reason=camera.reason)
    return sample


def _compared(sample: Sample, wanted: SampleSettings, known: KnownSamples) -> Sample:
    """With what is odd about its score, beside what this sample scored before by the same bundle."""
    if sample.score is None or not sample.is_right:
        return sample
    bundle = (sample.bundle_id or "")[:BUNDLE_DIGITS]
    odd, words = known.odd(wanted, sample.score, sample.limit, bundle)
    return replace(sample, odd=odd, odd_words=words)


def _is_bypassed(row: PartRow) -> bool:
    return row.reason is Reason.BYPASS or row.detail.startswith(_BYPASS)
