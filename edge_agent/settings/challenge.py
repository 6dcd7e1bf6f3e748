"""[challenge]: when the line's samples are to be shown, which there are, and whether the line waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from edge_agent.settings.values import Camera, Program, Table, Text, integer, say

if TYPE_CHECKING:
    from edge_agent.settings.fit import Loc
    from edge_agent.settings.models import Settings

__all__ = ["ChallengeSettings", "SampleSettings", "challenges"]

MOST_SAMPLES = 50


def _sample_name(text: str) -> str:
    if "," in text or text != text.strip() or text.casefold() == "all":
        raise ValueError("a name without commas and without blanks at its ends, and not all")
    return text


SampleName = Annotated[
    str,
    AfterValidator(_sample_name),
    Field(
        strict=True,
        min_length=1,
        max_length=32,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        json_schema_extra={"format": "sample-name"},
    ),
]
Score = Annotated[float, Field(strict=True, gt=0, le=1_000_000)]


class SampleSettings(Table):
    """[[challenge.sample]]: one part that is shown to prove the line, by the name that stands on it."""

    name: Annotated[SampleName, say("what stands on the sample; a worn one that is replaced gets another name")]
    kind: Annotated[Literal["reject", "good"], say("reject: it must be rejected; good: a golden part, which must pass")]
    program: Annotated[Program, say("the controller's program that it is shown to")]
    camera: Annotated[
        Camera | None, say("the camera that must see its defect; left out, the one furthest above its limit")
    ] = None
    shows: Annotated[Text | None, say("what is wrong with it, for whoever holds it")] = None
    score: Annotated[
        tuple[Score, Score] | None,
        say("the least and the most that it scores; left out, its own history alone says what is usual"),
    ] = None


class ChallengeSettings(Table):
    """[challenge]: known samples through the line: when, which, and whether parts wait for it."""

    every_shift: Annotated[bool, Field(strict=True), say("at each start of a shift (web.shift_starts)")] = False
    shift_grace_min: Annotated[
        int, integer(0, 240), say("minutes from a shift's start on in which its samples may still be shown")
    ] = 30
    every_h: Annotated[int | None, integer(1, 8760), say("hours after the last challenge that was passed")] = None
    every_parts: Annotated[
        int | None, integer(1, 10_000_000), say("parts after the last challenge that was passed")
    ] = None
    lock_out: Annotated[
        bool, Field(strict=True), say("no part passes while a challenge is overdue, or the last one was not passed")
    ] = False
    sample: Annotated[
        tuple[SampleSettings, ...], Field(max_length=MOST_SAMPLES, description="the samples, in the order shown")
    ] = ()

    @property
    def has_schedule(self) -> bool:
        """Whether a challenge is ever asked for."""
        return self.every_shift or self.every_h is not None or self.every_parts is not None


def challenges(settings: Settings) -> list[tuple[Loc, str]]:
    """A schedule that says something, samples that can be shown, and a lock that can be opened again."""
    asked = settings.challenge
    if asked is None:
        return []
    problems: list[tuple[Loc, str]] = []
    if not asked.has_schedule and not asked.sample and not asked.lock_out:
        message = "say when samples are to be shown: every_shift = true, every_h or every_parts (got none of them)"
        problems.append((("challenge",), message))
    if asked.every_shift and settings.web is None:
        message = "every_shift needs [web]: its shift_starts say when shifts begin (got no [web])"
        problems.append((("challenge", "every_shift"), message))
    return problems + _samples(settings, asked) + (_lock(settings, asked) if asked.lock_out else [])


def _samples(settings: Settings, asked: ChallengeSettings) -> list[tuple[Loc, str]]:
    problems: list[tuple[Loc, str]] = []
    known = {(entry.program, entry.camera) for entry in settings.bundle}
    programs, names = {program for program, _ in known}, [one.name.casefold() for one in asked.sample]
    for at, one in enumerate(asked.sample):
        if names[at] in names[:at]:
            problems.append((("challenge", "sample", at, "name"), f"a second sample of that name (got {one.name})"))
        if one.program not in programs:
            message = f"program {one.program} has no [[bundle]]"
            problems.append((("challenge", "sample", at, "program"), message))
        elif one.camera is not None and (one.program, one.camera) not in known:
            message = f"program {one.program} has no [[bundle]] for camera {one.camera}"
            problems.append((("challenge", "sample", at, "camera"), message))
        if one.score is not None and one.score[0] >= one.score[1]:
            message = f"expected the lower score first (got {one.score[0]:g}, {one.score[1]:g})"
            problems.append((("challenge", "sample", at, "score"), message))
    return problems


def _lock(settings: Settings, asked: ChallengeSettings) -> list[tuple[Loc, str]]:
    """A lock without a schedule would never close by itself, one without a reject sample never open."""
    problems: list[tuple[Loc, str]] = []
    here: Loc = ("challenge", "lock_out")
    if not asked.has_schedule:
        message = "lock_out needs to know when: every_shift = true, every_h or every_parts (got none of them)"
        problems.append((here, message))
    shown = {one.program for one in asked.sample if one.kind == "reject"}
    for program in sorted({entry.program for entry in settings.bundle} - shown):
        message = (
            f"program {program} could never pass a part: lock_out needs a [[challenge.sample]] of kind "
            f'"reject" for each program (got none for program {program})'
        )
        problems.append((here, message))
    return problems
