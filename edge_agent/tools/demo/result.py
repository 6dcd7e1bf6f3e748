"""What a demonstration showed, against the truth: each part, and all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.report.tally import Latency
from edge_agent.tools.demo.pace import busy_words

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow, PublicationRow
    from edge_agent.wiring.shown_parts import TruePart

__all__ = ["DemoPart", "DemoResult"]

_LATE = (
    Reason.LATE,
    Reason.OVERRUN,
    Reason.STALE,
    Reason.NOT_READY,
    Reason.NO_IMAGE,
    Reason.NO_RESULT,
    Reason.NO_ANSWER,
)


@dataclass(frozen=True, slots=True)
class DemoPart:
    """One part: what it was, also in ``words``, what the agent said, what the gate did."""

    truth: TruePart
    image: bytes
    row: PartRow | None
    publication: PublicationRow | None
    words: str

    @property
    def verdict(self) -> Verdict:
        """The agent's; a part without a row is a FAULT."""
        return self.row.verdict if self.row else Verdict.FAULT

    @property
    def is_defective(self) -> bool:
        """What the agent is not told."""
        return self.truth.defect is not None

    @property
    def latency_ms(self) -> float:
        """First sign of the part to its verdict on the wire (or, where none was sent, to its decision)."""
        if self.row is None:
            return float("nan")
        end = self.publication.at_mono_s if self.publication else self.row.decided_mono_s
        return (end - self.row.first_sign_mono_s) * 1000

    @property
    def is_late(self) -> bool:
        """Its image, its result, its verdict or a link came too late."""
        is_told_late = self.publication is not None and self.publication.published is Published.LATE
        return is_told_late or (self.row is not None and self.row.reason in _LATE)

    def line(self) -> str:
        """The part in one line for a person."""
        gate = "let through" if self.truth.is_let_through else "held back"
        if self.row is None:
            return f"part {self.truth.index:3d}  no journal row!  truth: {self.words}  gate: {gate}"
        row = self.row
        score = f"{row.score:8.3f} / {row.limit:.3f}" if row.score is not None and row.limit else " " * 16
        return (
            f"part {self.truth.index:3d}  count {row.count:4d}  {row.verdict:<6}  score {score}  {row.reason:<13}"
            f" {self.latency_ms:5.0f} ms  truth: {self.words:<34}  gate: {gate}"
        )


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration decided of each part, compared with what each part really was."""

    parts: tuple[DemoPart, ...]
    report: Path
    bundle_id: str
    agent_exit: int

    def count(self, *, is_defective: bool, passed: bool) -> int:
        """One cell of the confusion table; ``passed`` is what the gate did."""
        return sum((p.is_defective, p.truth.is_let_through) == (is_defective, passed) for p in self.parts)

    @property
    def escapes(self) -> int:
        """Defective parts that the gate let through."""
        return self.count(is_defective=True, passed=True)

    @property
    def late(self) -> int:
        """Parts that nobody judged in time: nothing else goes wrong on this line, so the machine had no time."""
        return sum(part.is_late for part in self.parts)

    @property
    def exit_code(self) -> int:
        """0 if no defective part was let through, every part has its row, and the agent stopped in order."""
        is_whole = all(part.row is not None for part in self.parts)
        return 0 if self.escapes == 0 and is_whole and self.agent_exit == 0 else 1

    def latency(self, *verdicts: Verdict) -> dict[str, float]:
        """p50, p95 and maximum in milliseconds, as the report counts them; of parts of these verdicts, none: of all."""
        of = [part for part in self.parts if part.row is not None and part.verdict in (verdicts or tuple(Verdict))]
        told = Latency.of([part.latency_ms for part in of])
        return {} if told is None else {"p50": told.p50_ms, "p95": told.p95_ms, "max": told.max_ms}

    def to_json(self) -> dict[str, object]:
        """The object that the command prints with ``--json``."""
        return {
            "schema_version": 1,
            "parts": len(self.parts),
            "good_passed": self.count(is_defective=False, passed=True),
            "good_rejected": self.count(is_defective=False, passed=False),
            "defective_passed": self.escapes,
            "defective_rejected": self.count(is_defective=True, passed=False),
            "reasons": dict(Counter(str(part.row.reason) for part in self.parts if part.row)),
            "latency_ms": {name: round(value, 1) for name, value in self.latency().items()},
            "latency_ms_by_verdict": {
                str(verdict): {name: round(value, 1) for name, value in self.latency(verdict).items()}
                for verdict in Verdict
            },
            "bundle_id": self.bundle_id,
            "agent_exit": self.agent_exit,
            "report": str(self.report),
        }

    def summary(self) -> list[str]:
        """The closing lines for a person."""
        latency = self.latency()
        good_through = self.count(is_defective=False, passed=True)
        good_held = self.count(is_defective=False, passed=False)
        through = [str(part.truth.index) for part in self.parts if part.truth.is_escape]
        differ = sum(part.truth.is_let_through is not (part.verdict is Verdict.PASS) for part in self.parts)
        return [
            "",
            "counted is what the gate did with each part"
            + (f"; with {differ} of them something else than the verdict asked for" if differ else ""),
            "                 let through   held back",
            f"  good           {good_through:11d} {good_held:11d}",
            f"  defective      {self.escapes:11d} {self.count(is_defective=True, passed=False):11d}",
            "",
            f"the gate opened for {sum(part.truth.is_let_through for part in self.parts)} of {len(self.parts)} parts; "
            + (f"DEFECTIVE ones among them: {', '.join(through)}" if through else "no defective one among them"),
            "latency, first sign of a part to its verdict on the wire: "
            + ", ".join(f"{name} {value:.0f} ms" for name, value in latency.items())
            + self._by_verdict(),
            *self._busy(),
            f"the agent stopped with exit code {self.agent_exit}",
            f"report: {self.report.resolve()}",
        ]

    def _by_verdict(self) -> str:
        """How long a PASS took, and how long a REJECT, which may be certain before its inspection is done."""
        p50 = {verdict: self.latency(verdict).get("p50") for verdict in (Verdict.PASS, Verdict.REJECT)}
        said = [f"{verdict} {ms:.0f} ms" for verdict, ms in p50.items() if ms is not None]
        return f" (p50 of {', of '.join(said)})" if said else ""

    def _busy(self) -> list[str]:
        if not self.late:
            return []
        said = f"{self.late} of {len(self.parts)} parts were not judged in time ({busy_words()}): "
        return [said + "end what else runs here, or bring them slower (--spacing-ms)"]
