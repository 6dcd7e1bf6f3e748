"""What line.toml asks for: when samples are to be shown, and which have to be shown to which program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.settings import Settings

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """``shift_starts`` are empty where no shift asks for samples. ``wanted``: name and kind of each, by program.

    Without a schedule nothing is ever due. ``programs`` are those of the line.
    """

    every_h: int | None = None
    every_parts: int | None = None
    shift_starts: tuple[str, ...] = ()
    grace_min: int = 0
    lock_out: bool = False
    programs: tuple[int, ...] = ()
    wanted: Mapping[int, frozenset[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """What this line.toml asks for; nothing without [challenge]."""
        asked, programs = settings.challenge, tuple(sorted({entry.program for entry in settings.bundle}))
        if asked is None:
            return cls(programs=programs)
        starts = settings.web.shift_starts if asked.every_shift and settings.web is not None else ()
        wanted: dict[int, set[tuple[str, str]]] = {}
        for one in asked.sample:
            wanted.setdefault(one.program, set()).add((one.name, one.kind))
        return cls(
            every_h=asked.every_h,
            every_parts=asked.every_parts,
            shift_starts=starts,
            grace_min=asked.shift_grace_min,
            lock_out=asked.lock_out,
            programs=programs,
            wanted={program: frozenset(names) for program, names in wanted.items()},
        )

    @property
    def of_new_bundle(self) -> str:
        """What is asked of a person who puts a bundle to use, or moves a limit; empty where nothing is."""
        if self.lock_out:
            return "nothing passes from that start on until the samples were shown: edge-agent challenge --samples all"
        return "the samples are due from that start on: edge-agent challenge" if self.has_schedule else ""

    @property
    def has_schedule(self) -> bool:
        """Whether samples are ever asked for."""
        return bool(self.every_h or self.every_parts or self.shift_starts)
