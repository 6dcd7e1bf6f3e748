"""How long an inspection by a bundle took where it was made, and what it was made to take."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Promise", "cpu_name"]

_LONGEST: Final = 200
_CPUINFO: Final = Path("/proc/cpuinfo")
_MODEL: Final = "model name"


@dataclass(frozen=True, slots=True)
class Promise:
    """The manifest's section ``time``: ms of an inspection, median and worst, on that ``cpu`` with so many ``threads``.

    ``within_ms`` is what it was made to take at most, ``pixels`` what was chosen for that; None: nobody asked, and a
    manifest has no such section.
    """

    took_ms: float
    worst_ms: float
    cpu: str
    threads: int
    within_ms: float | None = None
    pixels: int | None = None

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Promise | None:
        """What a manifest says, None where it says nothing (one of an older version)."""
        said = manifest.get("time")
        if said is None:
            return None
        return cls(
            took_ms=float(said["took_ms"]),
            worst_ms=float(said["worst_ms"]),
            cpu=said["cpu"],
            threads=said["threads"],
            within_ms=said.get("within_ms"),
            pixels=said.get("pixels"),
        )

    def to_json(self) -> dict[str, object]:
        """The manifest's section ``time``."""
        return {
            "within_ms": self.within_ms,
            "took_ms": round(self.took_ms, 1),
            "worst_ms": round(self.worst_ms, 1),
            "pixels": self.pixels,
            "cpu": self.cpu,
            "threads": self.threads,
        }

    @property
    def made(self) -> str:
        """What is to be expected of it, and where, in a few words that follow "this bundle"."""
        if self.within_ms is None:
            return f"took {self.took_ms:.0f} ms on {self.cpu}, where it was made"
        return f"was made to take {self.within_ms:.0f} ms on {self.cpu}"

    @property
    def words(self) -> str:
        """One phrase for a person: what an inspection took, at worst, on which processor, and what was asked for."""
        asked = "" if self.within_ms is None else f", to be done within {self.within_ms:.0f} ms"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"an inspection took {self.took_ms:.0f} ms (at worst {self.worst_ms:.0f} ms) on {self.cpu} with "
            f"{threads}{asked}"
        )


def cpu_name() -> str:
    """This machine's processor by its maker's name, where the kernel tells it, else its architecture."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2] for line in lines if line.startswith(_MODEL))
    name = next((name for name in named if name.strip()), "") or platform.processor() or platform.machine()
    plain = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(plain.split())[:_LONGEST] or "a processor without a name"
