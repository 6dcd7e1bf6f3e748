"""The line around the agent: what a controller images, sends, loses hold of and begins anew, as choices of a search.

It knows of every message which part it is of, and so which PASS would be a wrong one. A message that never comes needs
no choice of its own: it is one that comes after all that is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from drivers.base import ControllerClock, ControllerDown, ControllerResult, ControllerStatus, ControllerUp, Judgement
from edge_agent.domain import Capture
from tests.explorer.stepped import Stage, SteppedAgent, Then, _cloned, apart

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    Choice = tuple[Any, ...]

_BEGAN_S = 100
_OF_THE_LINE = frozenset({"image", "reset", "second", "switch", "set back"})
"""What the agent hears nothing of: a message of it comes later, or an answer of the clock."""


@lru_cache
def clock_at(second: int) -> str:
    """The controller's clock as it stands in names."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).strftime("%y%m%d_%H%M%S")


@lru_cache
def _moment(second: int) -> datetime:
    return datetime(2026, 1, 1) + timedelta(seconds=second)  # noqa: DTZ001 - as drivers.timing has it


@dataclass(frozen=True, slots=True)
class Budget:
    """How often each thing may happen in one schedule.

    The clock is asked for after every result, as the link does, which is not counted.
    """

    parts: int = 2
    cameras: int = 1
    resets: int = 0
    cuts: int = 0
    splits: int = 0
    """Parts for which anything may happen between decision, row and write. Of all others it is done in one step."""
    late_answers: int = 0
    """Times that anything may happen between a result and the clock's answer behind it."""
    polls: int = 0
    """Times that the link asks for the clock of its own accord."""
    seconds: int = 0
    """Seconds that go by beside those that a reset or a new link takes."""
    repeats: int = 0
    """Messages that come twice."""
    switches: int = 0
    """Switches of the controller's program; each begins the counter anew."""
    bypasses: int = 0
    set_back: int = 0
    """Times that the controller's clock is set back, each by ten seconds."""
    idle_triggers: int = 0
    """Triggers that the controller takes and images nothing for; only where the agent triggers."""
    agent_triggers: bool = False
    lost_results: int = 0
    """Result lines that are lost on a live link. What follows is true of every controller that is understood here, and
    taken away in turn to see what rests on it."""
    names_tell_times: bool = True
    tells_its_clock: bool = True
    has_sessions: bool = True
    """Whether images lie in folders of their session."""
    resets_take_a_second: bool = True
    """Whether the counter begins anew in another second than that which was told last."""
    is_one_stream: bool = True
    """Whether an answer comes behind the results that were sent before it."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A part that was imaged, as the line knows it."""

    number: int
    count: int
    session: str
    program: int
    taken: datetime | None

    def capture(self, camera: int) -> Capture:
        """Its image, named by the part in the place of its hash."""
        return _capture(self, camera)

    @property
    def result(self) -> ControllerResult:
        """Its result line, named by the part in the place of its fields."""
        return ControllerResult(self.count, self.program, Judgement.OK, (str(self.number),), 0.0)


@lru_cache
def _capture(truth: Truth, camera: int) -> Capture:
    name = f"{truth.number}_{camera}.bmp"
    return Capture(
        truth.count, camera, truth.session, name, None, f"{truth.number}", 0.0, program=truth.program, taken=truth.taken
    )


class _Link:
    """What the engine is given as the link of a part that it triggered; the line looks whether it was begun anew."""

    def __init__(self) -> None:
        self.is_begun_anew = False

    def begin_anew(self, _why: str) -> None:
        self.is_begun_anew = True


_LINK = _Link()


@dataclass(slots=True)
class Line:
    """One state of the line and of its agent."""

    left: Budget
    agent: SteppedAgent
    clock: int = _BEGAN_S
    session: int = _BEGAN_S - 1
    count: int = 0
    program: int = 1
    truths: tuple[Truth, ...] = ()
    images: tuple[tuple[int, int], ...] = ()
    """(part, camera) of the images on their way; they overtake one another."""
    stream: tuple[Choice, ...] = ()
    """What the command port has on its way, in order: ("result", part), ("clock", second), ("program", number)."""
    has_link: bool = True
    told: int = _BEGAN_S
    """The last second that the link was told."""
    is_asked: bool = False
    has_result_come: bool = False
    """Since the clock was asked for."""
    delivered: int = 0
    """The newest part of which anything came."""
    unseen: int | None = None
    """Parts from this one on were imaged since the agent last did or heard anything; None where none can have been."""
    triggered: tuple[tuple[int, int], ...] = ()
    """(the agent's number of the part, the part that its trigger imaged; 0 where it imaged none)."""
    shows: str = ""

    @classmethod
    def new(cls, budget: Budget) -> Line:
        """A line whose link has come up, after its counter began."""
        cameras = tuple(range(1, budget.cameras + 1))
        agent = SteppedAgent.new(cameras, programs=2 if budget.switches else 1, triggers_itself=budget.agent_triggers)
        line = cls(budget, agent)
        line.has_link = False
        line._link_up()
        return line

    # --- what may happen ----------------------------------------------------------------------------------

    def choices(self) -> Iterator[Choice]:
        """All that may happen next.

        What the line does commutes with what the agent does of its own accord. So it is looked at in one order alone:
        it comes right before what depends on it, which is a message of it, or an answer of the clock behind it.
        """
        if self.unseen is None:
            yield from self._of_the_agent()
        yield from self._of_the_wire()
        yield from self._of_the_link()
        yield from self._of_the_line()

    def _of_the_line(self) -> Iterator[Choice]:
        left = self.left
        if left.parts and (self.has_link or not left.agent_triggers):
            yield ("trigger" if left.agent_triggers else "image",)
        if left.idle_triggers and left.agent_triggers and self.has_link:
            yield ("trigger nothing",)
        for name, times in (
            ("reset", left.resets * bool(left.parts)),
            ("second", left.seconds),
            ("switch", left.switches * bool(left.parts or self.agent.stages)),
            ("set back", left.set_back),
        ):
            if times:
                yield (name,)
        if left.bypasses or self._is_bypassed:
            yield ("end bypass",) if self._is_bypassed else ("begin bypass",)

    def _of_the_link(self) -> Iterator[Choice]:
        left = self.left
        if left.polls and self.has_link and not self.is_asked:
            yield ("poll",)
        if left.cuts and self.has_link:
            yield ("cut",)
        if not self.has_link:
            yield ("link up",)
        if self.stream and self.stream[0][0] == "result" and left.lost_results:
            yield ("lose result",)
        if not left.is_one_stream and self.stream and self.stream[0][0] != "clock":
            yield from (item for item in self.stream if item[0] == "clock")

    def is_over(self) -> bool:
        """Whether no schedule from here can pass a part, or none wrongly."""
        return not self._may_pass()

    def _may_pass(self) -> bool:
        """Whether any schedule from here can pass a part, and wrongly.

        Once no part comes any more, a PASS takes a live result and an image of each camera, all of one count, on the
        newest part, or on one that opens yet. Where they are all of one part, and nothing of a later one is about,
        there is nothing that it could be taken for.
        """
        left = self.left
        is_bypassed = self._is_bypassed or any(one.reason == "BYPASS" for one in self.agent.decisions.values())
        if left.parts or left.bypasses or is_bypassed:
            return True
        newest = self.agent.newest
        results = [item[1] for item in self.stream if item[0] == "result"]
        if newest is not None and not newest.stale:
            has = results if newest.result is None else [int(newest.result.fields[0])]
            captured = {at: int(it.sha256) for at, it in newest.captures.items()}
            if self._may_pass_on(has, captured, dict(self.triggered).get(newest.seq)):
                return True
        return not left.agent_triggers and bool(results) and self._may_pass_on(results, {})

    def _may_pass_on(self, results: list[int], captured: dict[int, int], triggered: int | None = None) -> bool:
        """Whether a part with one of these results, these images, and others that come yet, may pass wrongly.

        ``triggered`` is the part that its trigger imaged, where the agent triggers.
        """
        cameras, counts = self.agent.engine._options.cameras, [truth.count for truth in self.truths]
        for count in {counts[number - 1] for number in [*results, *captured.values()]}:
            has = [number for number in results if counts[number - 1] == count]
            images = [(number, at) for number, at in self.images if counts[number - 1] == count]
            images += [(number, at) for at, number in captured.items() if counts[number - 1] == count]
            if not has or {at for _, at in images} != set(cameras):
                continue
            of = {*has, *(number for number, _ in images)}
            if len(of) > 1 or self.left.switches or self.program != 1 or (self.triggered and of != {triggered}):
                return True
            if max(self._told_of() | {self.delivered}) > min(of):
                return True
        return False

    def _told_of(self) -> set[int]:
        """Parts that messages of come yet, or that an open part rests on."""
        open_parts = [one.part for one in self.agent.engine._open_parts.values()]
        told = {number for number, _ in self.images} | {item[1] for item in self.stream if item[0] == "result"}
        told.update(int(capture.sha256) for part in open_parts for capture in part.captures.values())
        told.update(int(part.result.fields[0]) for part in open_parts if part.result is not None)
        return told

    def _of_the_agent(self) -> Iterator[Choice]:
        for seq, stage in self.agent.stages.items():
            if stage == Stage.OPEN:
                what = "decide" if self.agent.is_complete(seq) else "time is up"
                yield what, seq
                if self.left.splits:
                    yield f"{what} in steps", seq
            else:
                yield "row" if stage == Stage.DECIDED else "write", seq

    def _of_the_wire(self) -> Iterator[Choice]:
        images = self.images
        if len(images) == len(self.truths) * self.left.cameras:  # none came: cameras are alike until one did
            images = tuple(image for image in images if image[1] == 1)
        for image in images:
            if self.unseen is not None and image[0] < self.unseen:
                continue
            yield ("image of", *image)
            if self.left.repeats:
                yield ("image again of", *image)
        if self.stream and (self.unseen is None or self.stream[0][0] != "clock" or self.has_result_come):
            yield self.stream[0]
            if self.stream[0][0] == "result":
                if self.left.repeats:
                    yield "result again", self.stream[0][1]
                if self.left.late_answers:
                    yield "result alone", self.stream[0][1]

    def after(self, choice: Choice) -> Line:
        """The line behind it. Raises AssertionError where a part passed wrongly."""
        then = _cloned(self, agent=self.agent.copy(), shows="")
        name, *about = choice
        if name not in _OF_THE_LINE:
            then.unseen = None
        elif self.unseen is None:
            then.unseen = len(self.truths) + 1
        getattr(then, "_" + name.replace(" ", "_"))(*about)
        if _LINK.is_begun_anew:
            _LINK.is_begun_anew = False
            then._lose_link()
        return then

    # --- the agent's steps --------------------------------------------------------------------------------

    def _decide(self, seq: int) -> None:
        self.agent.decide(seq)
        self._finish(seq)

    def _time_is_up(self, seq: int) -> None:
        self.agent.decide(seq, is_time_up=True)
        self._finish(seq)

    def _finish(self, seq: int) -> None:
        self.agent.close(seq)
        if seq in self.agent.stages:
            self._write(seq)

    def _decide_in_steps(self, seq: int) -> None:
        self.left = replace(self.left, splits=self.left.splits - 1)
        self.agent.decide(seq)

    def _time_is_up_in_steps(self, seq: int) -> None:
        self.left = replace(self.left, splits=self.left.splits - 1)
        self.agent.decide(seq, is_time_up=True)

    def _row(self, seq: int) -> None:
        self.agent.close(seq)

    def _write(self, seq: int) -> None:
        open_part = self.agent.engine._open_parts[seq]
        rests_on_bypass = self.agent.decisions[seq].reason == "BYPASS"
        if self.agent.write(seq):
            self.shows = "PASS"
            self._check(seq, open_part)
            assert self._is_bypassed or not rests_on_bypass, f"part {seq} passed by a bypass that had ended"

    def _check(self, seq: int, open_part: Any) -> None:
        part = open_part.part
        assert not part.stale or self._is_bypassed, f"part {seq} passed, and was stale: {part.stale}"
        of = {int(capture.sha256) for capture in part.captures.values()} | {int(part.result.fields[0])}
        assert len(of) == 1, f"part {seq} passed on messages of parts {sorted(of)}"
        truth = self.truths[of.pop() - 1]
        by = {int(found.bundle_id, 16) for found in open_part.inspections.values()}
        assert by == {truth.program}, f"part {truth.number} of program {truth.program} was judged by {by}"
        triggered = dict(self.triggered)
        assert not self.triggered or triggered.get(seq) == truth.number, (
            f"the trigger of part {seq} imaged {triggered.get(seq)}, and it passed on part {truth.number}"
        )
        assert self.delivered <= truth.number, f"part {truth.number} passed when part {self.delivered} was here"

    # --- what comes ---------------------------------------------------------------------------------------

    def _image_of(self, number: int, camera: int) -> None:
        self.images = tuple(image for image in self.images if image != (number, camera))
        self.delivered = max(self.delivered, number)
        self.agent.image(self.truths[number - 1].capture(camera))

    def _image_again_of(self, number: int, camera: int) -> None:
        kept = self.images
        self._image_of(number, camera)
        self.images, self.left = kept, replace(self.left, repeats=self.left.repeats - 1)

    def _result(self, number: int) -> None:
        """With the answer behind it, where nothing comes in between."""
        self._result_comes(number)
        if self.stream and self.stream[0][0] == "clock":
            self._clock(self.stream[0][1])

    def _result_alone(self, number: int) -> None:
        self.left = replace(self.left, late_answers=self.left.late_answers - 1)
        self._result_comes(number)

    def _result_comes(self, number: int) -> None:
        self.stream = self.stream[1:]
        self.delivered, self.has_result_come = max(self.delivered, number), True
        self.agent.event(self.truths[number - 1].result)
        self._ask_for_the_clock()

    def _result_again(self, number: int) -> None:
        kept = self.stream
        self._result_comes(number)
        self.stream, self.left = kept, replace(self.left, repeats=self.left.repeats - 1)

    def _clock(self, second: int) -> None:
        """The link hears its answer; one that went back begins the link anew, as ``CvxLink`` does."""
        self.stream, self.is_asked = tuple(item for item in self.stream if item[0] != "clock"), False
        if second < self.told:
            self._lose_link()
            self._link_up()
            return
        self.told = second
        self.agent.event(ControllerClock(_moment(second), follows_results=not self.has_result_come))
        if self.has_result_come:
            self._ask_for_the_clock()

    def _program(self, program: int) -> None:
        self.stream = self.stream[1:]
        self.agent.event(ControllerStatus(program, 0.0))

    # --- what the controller does ---------------------------------------------------------------------------

    def _image(self) -> None:
        self.left = replace(self.left, parts=self.left.parts - 1)
        self.count += 1
        number = len(self.truths) + 1
        session = clock_at(self.session) if self.left.has_sessions else ""
        taken = _moment(self.clock) if self.left.names_tell_times else None
        truth = Truth(number, self.count, session, self.program, taken)
        self.truths = (*self.truths, truth)
        self.images += tuple((number, camera) for camera in self.agent.engine._options.cameras)
        if self.has_link:
            self.stream += (("result", number),)

    def _trigger(self) -> None:
        seq = self.agent.trigger(_LINK)
        self._image()
        self.triggered += ((seq, len(self.truths)),)

    def _trigger_nothing(self) -> None:
        self.left = replace(self.left, idle_triggers=self.left.idle_triggers - 1)
        self.triggered += ((self.agent.trigger(_LINK), 0),)

    def _poll(self) -> None:
        self.left = replace(self.left, polls=self.left.polls - 1)
        self._ask_for_the_clock()

    def _ask_for_the_clock(self) -> None:
        """The answer is put behind what the controller had sent; one command at a time."""
        if not self.is_asked and self.left.tells_its_clock:
            self.is_asked, self.has_result_come = True, False
            self.stream += (("clock", self.clock),)

    def _cut(self) -> None:
        self.left = replace(self.left, cuts=self.left.cuts - 1)
        self._lose_link()

    def _lose_link(self) -> None:
        if self.has_link:
            self.has_link, self.is_asked, self.stream = False, False, ()
            self.agent.event(ControllerDown("cable", 0.0))

    def _link_up(self) -> None:
        """The outputs are drained first, so what was not said is never said. READY waits for another second."""
        self.has_link = True
        self.agent.event(ControllerUp(self.program, "CV-X", 0.0, self._told_clock(self.clock)))
        self.clock = self.told = self.clock + 1
        if self.left.tells_its_clock:
            self.agent.event(ControllerClock(_moment(self.clock), follows_results=True))

    def _told_clock(self, second: int) -> str:
        return _moment(second) if self.left.tells_its_clock else None

    def _lose_result(self) -> None:
        self.stream, self.left = self.stream[1:], replace(self.left, lost_results=self.left.lost_results - 1)

    def _reset(self) -> None:
        self.left = replace(self.left, resets=self.left.resets - 1)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """No two sessions have one name: the later one waits for its second, or is given one that is yet to come."""
        self.clock += self.left.resets_take_a_second
        self.session, self.count = max(self.clock, self.session + 1), 0

    def _second(self) -> None:
        self.left, self.clock = replace(self.left, seconds=self.left.seconds - 1), self.clock + 1

    def _switch(self) -> None:
        """The controller changes its program, which begins the counter anew; the link hears of it at its next poll."""
        self.left = replace(self.left, switches=self.left.switches - 1)
        self.program = 3 - self.program
        self._begin_anew()
        if self.has_link:
            self.stream += (("program", self.program),)

    def _set_back(self) -> None:
        self.left, self.clock = replace(self.left, set_back=self.left.set_back - 1), self.clock - 10

    @property
    def _is_bypassed(self) -> bool:
        return self.agent.engine.bypass._begun is not None

    def _begin_bypass(self) -> None:
        self.left = replace(self.left, bypasses=self.left.bypasses - 1)
        self.agent.begin_bypass()

    def _end_bypass(self) -> None:
        self.agent.end_bypass()

    # --- for the search -----------------------------------------------------------------------------------

    def key(self) -> Hashable:
        """All that its future depends on: of parts that nothing can come of any more nothing, of others their order."""
        numbers = sorted(self._told_of())
        rank = {number: at for at, number in enumerate(numbers)}
        parts = [self.truths[number - 1] for number in numbers]
        coming = set(range(self.count + 1, self.count + self.left.parts + 1))
        if self.left.resets or self.left.switches:
            coming.update(range(1, self.left.parts + 1))
        counts = frozenset(coming.union(truth.count for truth in parts))
        role = self._roles_of_cameras(rank, counts)
        then = Then(
            _moment(self.clock),
            counts,
            frozenset({clock_at(self.session), *(truth.session for truth in parts)}),
            {str(number): at for number, at in rank.items()},
            {self.truths[number - 1].capture(at).name: (rank[number], role[at]) for number, at in self.images},
            role,
        )
        return (
            self.left,
            (apart(self.session, self.clock), self.count, self.program, apart(self.told, self.clock)),
            tuple(
                (one.count, then.name(one.session), then.since(one.taken), one.program, one.number >= self.delivered)
                for one in parts
            ),
            frozenset((rank[number], role[camera]) for number, camera in self.images),
            tuple(
                (what, apart(about, self.clock) if what == "clock" else rank[about] if what == "result" else about)
                for what, about in self.stream
            ),
            (self.has_link, self.is_asked, self.has_result_come),
            None if self.unseen is None else sum(number < self.unseen for number in numbers),
            tuple((seq, rank.get(number)) for seq, number in self.triggered if seq in self.agent.stages),
            self.agent.key(then),
        )

    def _roles_of_cameras(self, rank: dict[int, int], counts: frozenset[int]) -> dict[int, int]:
        """Cameras by what came of them: nothing tells two apart but that."""
        cameras: tuple[int, ...] = self.agent.engine._options.cameras
        if len(cameras) == 1:
            return {camera: camera for camera in cameras}
        came = {at: self.agent.images_of(at, counts) for at in cameras}
        coming = {at: sorted(rank[number] for number, camera in self.images if camera == at) for at in cameras}
        by_role = sorted(cameras, key=lambda at: (came[at], coming[at]))
        return {camera: role for role, camera in enumerate(by_role, 1)}

    def seen(self) -> str:
        """A PASS that stands, and rightly."""
        return self.shows
