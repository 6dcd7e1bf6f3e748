"""The real engine without an event loop: what asyncio would run later is run step by step, each step can be copied.

Real are pairing, decision, part handler, bypass, programs, gaps, readiness, and how the engine handles events.
Stood in for are the journal (every row is durable when the search says so), the output (a PASS is asked for its right
to leave once more when it is written) and the inspection, which finds every part good: what passes wrongly does not do
so because of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.timing import Deadline, controller_time
from edge_agent.domain import Inspection, Outcome, Published, Reason, Verdict
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.interlock import Health, LineEvent
from edge_agent.runtime.part import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from datetime import datetime

    from edge_agent.domain import Capture
    from edge_agent.runtime.bypass import Bypass
    from edge_agent.runtime.open_part import OpenPart
    from edge_agent.runtime.part import Part
    from edge_agent.runtime.verdict import Decision

T = TypeVar("T")
_FAR_S = 1e9
_SECOND = timedelta(seconds=1)


class Stage:
    """How far a part has come: open, decided, its row durable and its PASS on the way to the wire."""

    OPEN, DECIDED, LEAVING = "open", "decided", "leaving"


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what never has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


class _Journal:
    next_part_seq = 1

    def counted(self, *, is_simulated: bool) -> tuple[None, frozenset[int]]:
        return None, frozenset()

    def tell_nearness(self, is_row_near: object) -> None:
        return

    async def append(self, row: object) -> None:
        return


class _Output:
    """Notes what is asked for; the search writes it, or takes it back."""

    async def publish(self, *_asked: object, **_about: object) -> Published:
        return Published.PUBLISHED

    async def withdraw(self) -> None:
        return


class _Anchored:
    """Stands for a task of asyncio that is never run."""

    def add_done_callback(self, _call: object) -> None:
        return

    def cancel(self) -> None:
        return


@dataclass(frozen=True)
class _Finds:
    """An inspector of one program; its name is that of the bundle."""

    program: int


class _Silent:
    """A log that nobody reads."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_words, **_values: None


class SteppedEngine(Engine):
    """The engine whose coroutines are not run: ``SteppedAgent`` does what they would do, one step at a time."""

    def _spawn(self, work: Coroutine[None, None, None]) -> Any:
        work.close()
        return _ANCHORED


_ANCHORED = _Anchored()


@dataclass(slots=True)
class SteppedAgent:
    """The agent, the stage of each of its parts, and the PASS that stands."""

    engine: SteppedEngine
    stages: dict[int, str] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    stands: int | None = None
    """The part whose PASS stands on the wire."""

    @classmethod
    def new(cls, cameras: tuple[int, ...], *, programs: int = 1, triggers_itself: bool = False) -> SteppedAgent:
        """An agent that has a bundle for each program, and that hears nothing of the controller yet."""
        finds = {(program, camera): _Finds(program) for program in range(1, programs + 1) for camera in cameras}
        health = Health.waiting_for("controller")
        options = EngineOptions(cameras, _FAR_S, "both", 1, "boot", is_simulated=False, triggers_itself=triggers_itself)
        nothing = SimpleNamespace()
        engine = SteppedEngine(
            options,
            inspectors=finds,  # type: ignore[arg-type]
            journal=_Journal(),  # type: ignore[arg-type]
            archive=nothing,  # type: ignore[arg-type]
            output=_Output(),  # type: ignore[arg-type]
            health=health,
        )
        engine._inference.close()
        engine._archiving.close()
        # A part's deadline never passes by itself here; what is of now is measured as on a line of one second.
        engine._counter.longest = timedelta(seconds=dataclasses.replace(options, deadline_s=1.0).longest_s)
        return cls(engine)

    # --- what comes ---------------------------------------------------------------------------------------

    def image(self, capture: Capture) -> None:
        """An image comes, and its inspection ends at once."""
        self.engine.on_capture(capture)
        for open_part in self.engine._open_parts.values():
            if open_part.part.captures.get(capture.camera) is capture and capture.camera not in open_part.inspections:
                found = self.engine._inference.inspector_of(open_part.part, capture.camera)
                if found is not None:
                    open_part.inspections[capture.camera] = _good(found.program, capture.sha256)  # type: ignore[attr-defined]
        self._look()

    def event(self, event: Any) -> None:
        """The controller's link says something."""
        self.engine.on_event(event)
        self._look()

    def trigger(self, link: Any) -> int:
        """The agent triggers, and the controller takes it; the part's number."""
        open_part = self.engine._open_part_of(self.engine._pairing.on_trigger(), Arrival.NEW)
        open_part.link = link
        self._look()
        return open_part.part.seq

    def begin_bypass(self) -> None:
        """A person answers for the parts."""
        self.engine.bypass._begun = _BYPASS  # what begin() leaves, once its event is durable

    def end_bypass(self) -> None:
        """Nobody does any more. The wire is told before this returns."""
        self.engine.bypass._begun = None
        if self.engine._part_handler.bypassed_seq == self.engine._readiness.newest_seq:
            self._withdraw()

    # --- a part's steps -----------------------------------------------------------------------------------

    @property
    def newest(self) -> Part | None:
        """The one open part that may pass: no other opened after it."""
        open_part = self.engine._open_parts.get(self.engine._readiness.newest_seq)
        return None if open_part is None else open_part.part

    def is_complete(self, seq: int) -> bool:
        """Nothing more is waited for."""
        return self.engine._part_handler._is_complete(self.engine._open_parts[seq])

    def decide(self, seq: int, *, is_time_up: bool = False) -> None:
        """It is decided of what is known now."""
        open_part = self.engine._open_parts[seq]
        if is_time_up:
            open_part.part.deadline = Deadline(0.0)
        self.engine.check()
        self.decisions[seq], self.stages[seq] = self.engine._part_handler.decide(open_part), Stage.DECIDED

    def close(self, seq: int) -> None:
        """Its row is durable, it is closed, and its verdict is asked of the output."""
        engine, open_part = self.engine, self.engine._open_parts[seq]
        _, decision = at_once(engine._part_handler.record(open_part, self.decisions[seq]))
        engine._pairing.close(open_part.part)
        engine._begin_anew_if_owed(open_part)
        published = at_once(engine._part_handler.publish(open_part, decision))
        if decision.verdict is Verdict.PASS and published is Published.PUBLISHED:
            self.stages[seq] = Stage.LEAVING
        else:
            self._end(seq)

    def write(self, seq: int) -> bool:
        """The output is about to write PASS, and asks once more; whether it stands then."""
        engine, open_part = self.engine, self.engine._open_parts[seq]
        may_pass = engine.is_ready() and engine._part_handler.may_pass(open_part, self.decisions[seq])
        self.stands = seq if may_pass else None
        self._end(seq)
        return may_pass

    def _end(self, seq: int) -> None:
        engine = self.engine
        del engine._open_parts[seq], self.stages[seq], self.decisions[seq]
        if not engine._open_parts:
            engine._readiness.move(LineEvent.ALL_DECIDED)
        engine.check()

    def _look(self) -> None:
        for seq in list(self.engine._open_parts):
            if seq not in self.stages:  # its first sign: begin_part takes back what stands
                self.stages[seq] = Stage.OPEN
                self._withdraw()
        if not self.engine.is_ready():
            self.stands = None

    def _withdraw(self) -> None:
        """What stands is taken back, and so is what is on its way."""
        self.stands = None
        for seq in [seq for seq, stage in self.stages.items() if stage == Stage.LEAVING]:
            self._end(seq)

    # --- for the search -----------------------------------------------------------------------------------

    def copy(self) -> SteppedAgent:
        """One that goes its own way."""
        return SteppedAgent(_copied(self.engine), self.stages.copy(), self.decisions.copy(), self.stands)

    def images_of(self, camera: int, counts: frozenset[int]) -> list[int]:
        """What came of a camera, by open parts, and by decided ones of these counts; 0 for nothing."""
        decided, open_parts = self.engine._pairing.decided, self.engine._open_parts.values()
        of_open = [int(one.part.captures[camera].sha256) if camera in one.part.captures else 0 for one in open_parts]
        return of_open + [int(camera in one.cameras) for one in decided.parts.values() if one.count in counts]

    def key(self, then: Then) -> Hashable:
        """All that its future depends on, however it came to it: times, runs and numbers are told from now and here."""
        engine, pairing, counter = self.engine, self.engine._pairing, self.engine._counter
        found, run, newest = counter.sessions, counter.run, engine._readiness.newest_seq
        held = (then.sessions | {open_part.part.session for open_part in engine._open_parts.values()}) - {""}

        def session(name: str | None) -> Hashable:
            return then.name(name) if name in held else "over" if name else "none"  # hash("") is hash(0)

        def part(open_part: OpenPart) -> Hashable:
            it = open_part.part
            return (
                it.seq == newest,
                it.count,
                session(it.session),
                frozenset((then.roles[camera], then.ranks[capture.sha256]) for camera, capture in it.captures.items()),
                None if it.result is None else then.ranks[it.result.fields[0]],
                (then.since(it.told.clock), session(it.told.session), then.since(it.proven_at)),
                None if it.run is None else apart(it.run, run),
                (bool(it.stale), it.is_leftover, bool(it.unsure), it.repeats_count, it.deadline.at_mono_s == 0.0),
                (bool(open_part.not_ready), open_part.link is not None, open_part.force_decision),
                frozenset((then.roles[camera], found.bundle_id) for camera, found in open_part.inspections.items()),
            )

        return (
            tuple(
                (self.stages[seq], self.decisions.get(seq), open_part.part in pairing.parts, part(open_part))
                for seq, open_part in engine._open_parts.items()
            ),
            tuple(
                (
                    one.count,
                    session(one.session),
                    frozenset(then.roles[camera] for camera in one.cameras),
                    frozenset(then.images[name] for name in one.names if name in then.images),
                    one.had_result,
                    apart(one.run, run),
                    (then.since(one.told), then.since(one.proven_at)),
                )
                for one in pairing.decided.parts.values()
                if one.count in then.counts
            ),
            tuple(count for count in pairing.decided.missed if count in then.counts),
            (session(found.current), found.current is None),
            (apart(found.run, run), then.since(found._first), then.since(found._last), found._is_ordered),
            tuple(
                (
                    session(name),
                    None if over.run is None else apart(over.run, run),
                    then.since(over.since),
                    then.since(over.taken),
                )
                for name, over in found._over.items()
                if name in held
            ),
            (counter._last_count, counter.last_heard, counter._newest_image, counter._has_run_session),
            (session(counter.told.session), session(counter._asked)),
            tuple(
                then.since(moment)
                for moment in (
                    counter.told.clock,
                    counter._heard_at,
                    counter._reset_after,
                    counter._reset_by,
                    counter._since,
                )
            ),
            (
                bool(counter.two_senders),
                engine._readiness.state,
                tuple(engine._health.reasons),
                engine._link_health._up_mono_s is None,
            ),
            (engine._part_handler.bypassed_seq == newest, engine.bypass._begun is not None),
            (engine._gaps.last, engine._gaps.known, engine._gaps.is_after_gap, engine._programs.current),
        )


def apart(one: int, other: int) -> int:
    """How far one lies from the other, for a key; doubled, for -1 and -2 have one hash."""
    return 2 * (one - other)


@dataclass(frozen=True, slots=True)
class Then:
    """What a state is told by: from when, and what may still come. Of anything else nothing is asked any more."""

    now: datetime
    counts: frozenset[int]
    sessions: frozenset[str]
    ranks: dict[str, int]
    """Parts by their order."""
    images: dict[str, tuple[int, int]]
    """Images that come yet, by their names."""
    roles: dict[int, int]
    """Cameras, which are alike but for what came of them."""

    def since(self, moment: datetime | None) -> int | None:
        """Seconds from now to a moment of the controller's clock, as ``apart`` tells them."""
        return None if moment is None else apart((moment - self.now) // _SECOND, 0)

    def name(self, name: str | None) -> Hashable:
        """The same of a moment in a name; the name itself where it tells none."""
        moment = controller_time(name or "")
        return name if moment is None else self.since(moment)


_BYPASS = SimpleNamespace(by="A. Rossi", why="lamp replaced", ends_mono_s=float("inf"))


@lru_cache
def _good(program: int, sha256: str) -> Inspection:
    return Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, f"{program:064x}", sha256)


@lru_cache
def _cloner(kind: type) -> Callable[[Any], Any]:
    """A function that copies a dataclass field by field, written out: a search does little else."""
    fields = "; ".join(f"new.{item.name} = old.{item.name}" for item in dataclasses.fields(kind))
    names: dict[str, Any] = {"kind": kind, "make": object.__new__}
    exec(f"def clone(old):\n    new = make(kind); {fields}\n    return new", names)  # noqa: S102
    return names["clone"]  # type: ignore[no-any-return]


def _cloned(value: T, **changed: object) -> T:
    """The same dataclass with other fields; ``dataclasses.replace`` would run what ``__init__`` does."""
    new = _cloner(type(value))(value)
    for name, other in changed.items():
        setattr(new, name, other)
    return new  # type: ignore[no-any-return]


def _relinked(value: T, **changed: object) -> T:
    new = object.__new__(type(value))
    new.__dict__.update(value.__dict__, **changed)
    return new


def _copied(old: SteppedEngine) -> SteppedEngine:
    """The engine with all that changes of its own, and with all that does not shared."""
    new: SteppedEngine = object.__new__(SteppedEngine)
    parts = {part.seq: _cloned(part, captures=part.captures.copy()) for part in old._pairing.parts}
    for open_part in old._open_parts.values():
        if open_part.part.seq not in parts:
            parts[open_part.part.seq] = _cloned(open_part.part, captures=open_part.part.captures.copy())
    health = _cloned(old._health, _why_not=old._health._why_not.copy())
    readiness = _cloned(old._readiness, health=health)
    programs = _cloned(old._programs)
    inference = _relinked(old._inference, _programs=programs)
    counter = _cloned(old._counter, sessions=_cloned(old._counter.sessions, _over=old._counter.sessions._over.copy()))
    decided = old._pairing.decided
    pairing = _cloned(
        old._pairing,
        open_part=new._new_part,
        parts=[parts[part.seq] for part in old._pairing.parts],
        counter=counter,
        decided=_cloned(decided, parts=decided.parts.copy(), missed=decided.missed.copy()),
    )
    bypass: Bypass = _relinked(old.bypass, take_back=new._take_back_bypass)
    new.__dict__.update(
        old.__dict__,
        _health=health,
        _link_health=_cloned(old._link_health, _health=health, _counter=counter),
        _readiness=readiness,
        _programs=programs,
        _inference=inference,
        bypass=bypass,
        _gaps=_cloned(old._gaps),
        _carried=set(),
        _open_parts={
            seq: _cloned(open_part, part=parts[seq], inspections=open_part.inspections.copy(), inspecting=[])
            for seq, open_part in old._open_parts.items()
        },
        _counter=counter,
        _pairing=pairing,
        _part_handler=_relinked(
            old._part_handler,
            _counter=counter,
            _readiness=readiness,
            _programs=programs,
            _inference=inference,
            _bypass=bypass,
        ),
    )
    return new
