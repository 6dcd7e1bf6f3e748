"""What a check is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.settings import BundleSettings, Settings
    from edge_agent.store.held import Held

__all__ = ["Check", "Finding", "Result", "Site", "fail", "ok", "warn"]


class Result(StrEnum):
    """``fail``: a part could be judged wrongly, late or not at all. ``warn``: it works, a person should know."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """``evidence`` is what was seen, ``fix`` one line on what to do; empty where nothing is to be done."""

    result: Result
    evidence: str
    fix: str = ""


@dataclass(slots=True)
class Site:
    """What is examined. ``root`` is the machine's ``/``; what one check learnt stays here for the next.

    ``agent`` is the running agent's status, None where none runs; ``controller`` its answers by name. ``warm_ms`` is
    what an inspection by each bundle takes, ``part_ms`` all of a part's where they are judged side by side.
    """

    config: Path
    settings: Settings
    root: Path = Path("/")
    agent: dict[str, object] | None = None
    controller: dict[str, str] = field(default_factory=dict)
    bundles: list[tuple[BundleSettings, Bundle]] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)
    part_ms: float | None = None
    held: Held | None = None

    def text(self, path: str) -> str | None:
        """A small file of the machine, None where there is none."""
        try:
            return (self.root / path).read_text(encoding="utf-8").strip()
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Check:
    """One look. ``gates`` says that the line must not be handed over while it fails."""

    id: str
    title: str
    look: Callable[[Site], Finding | Awaitable[Finding]]
    gates: bool = False


def ok(evidence: str) -> Finding:
    """A check that passed, with what it saw."""
    return Finding(Result.OK, evidence)


def warn(evidence: str, fix: str) -> Finding:
    """It works, a person should know."""
    return Finding(Result.WARN, evidence, fix)


def fail(evidence: str, fix: str) -> Finding:
    """A check that failed, with what it saw and what a person can do about it."""
    return Finding(Result.FAIL, evidence, fix)
