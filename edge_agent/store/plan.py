"""From days of rejects and hours of passes to the room that they need, before there is an archive to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_agent.store.held import span_words
from edge_agent.store.room import in_words

__all__ = ["ArchivePlan"]

_GIB, _MIB = 2**30, 2**20
_STEP_GIB, _FREE_SHARE = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """What is to be kept, how fast it comes, and the disk that it is kept on.

    ``reject_days`` and ``pass_hours`` are of a line that runs without a break: the room is for the worst.
    ``reject_share`` is of all parts, 0 to 1; ``total_bytes`` and ``free_bytes`` are the disk's.
    """

    reject_days: int
    pass_hours: float
    parts_per_minute: float
    image_mib: float
    reject_share: float
    total_bytes: int
    free_bytes: int

    @property
    def rejects_bytes(self) -> float:
        """What the rejects of all days need."""
        return self.reject_days * 24 * 60 * self.parts_per_minute * self.reject_share * self.image_mib * _MIB

    @property
    def passes_bytes(self) -> float:
        """What the passes of all hours need."""
        return self.pass_hours * self._passes_bytes_an_hour

    @property
    def room_bytes(self) -> int:
        """What the disk has for an archive, while a tenth of it stays free: with less, the doctor warns."""
        return max(0, self.free_bytes - int(self.total_bytes * _FREE_SHARE))

    @property
    def fits(self) -> bool:
        """Whether the disk has that room."""
        return self.rejects_bytes + self.passes_bytes <= self.room_bytes

    @property
    def max_gib(self) -> float:
        """For ``store.archive_max_gib``: what is needed, or what there is; never nothing."""
        if self.fits:
            return max(_STEP_GIB, math.ceil((self.rejects_bytes + self.passes_bytes) / _GIB / _STEP_GIB) / 10)
        return max(_STEP_GIB, math.floor(self.room_bytes / _GIB / _STEP_GIB) / 10)

    @property
    def words(self) -> str:
        """For people: what is needed, and what of it the disk has room for."""
        needed = (
            f"{self.reject_days} days of rejects ({100 * self.reject_share:g} % of {self.parts_per_minute:g} parts a "
            f"minute, {self.image_mib:g} MiB each) need {in_words(self.rejects_bytes)}, {self.pass_hours:g} hours of "
            f"passes {in_words(self.passes_bytes)}"
        )
        if self.fits:
            return f"{needed}: archive_max_gib = {self.max_gib:g}"
        return (
            f"{needed}; the disk has room for {in_words(self.room_bytes)}: archive_max_gib = {self.max_gib:g}, enough "
            f"for {self._what_fits}"
        )

    @property
    def _passes_bytes_an_hour(self) -> float:
        return 60 * self.parts_per_minute * (1 - self.reject_share) * self.image_mib * _MIB

    @property
    def _what_fits(self) -> str:
        """Rejects have the first claim."""
        rejects_s = self.reject_days * 86_400 * min(1.0, self.room_bytes / max(1.0, self.rejects_bytes))
        passes_s = 3600 * max(0.0, self.room_bytes - self.rejects_bytes) / max(1.0, self._passes_bytes_an_hour)
        return f"{span_words(rejects_s)} of rejects and {span_words(passes_s)} of passes"
