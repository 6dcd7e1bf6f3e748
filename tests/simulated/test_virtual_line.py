"""Parts through the whole agent in virtual time, with everything going wrong; the five invariants over all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.runtime import bypass
from edge_agent.runtime.verdict import Decision, Evidence
from tests.invariants import Holdings, nothing_leaks
from tests.virtual_line import VirtualLine, passes
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

PARTS = int(os.environ.get("EDGE_AGENT_SOAK_PARTS", "300"))
SEED = int(os.environ.get("EDGE_AGENT_SEED", "1"))

pytestmark = pytest.mark.usefixtures("quiet_logs")


def run(folder: Path, parts: int, seed: int, *, is_calm: bool = False) -> VirtualLine:
    """The line after that many parts."""

    async def main() -> VirtualLine:
        line = VirtualLine(folder, seed, is_calm=is_calm)
        await line.run(parts)
        return line

    return run_in_virtual_time(main)


@pytest.mark.promise(
    "T-25v", "virtual time: messages and links lost, repeated, late, counters reset, disk refuses", "5 invariants hold"
)
@pytest.mark.timeout(7200)
def test_whatever_goes_wrong_no_part_is_passed_wrongly_and_each_is_accounted_for(
    tmp_path: Path, figure: Figure
) -> None:
    before = Holdings.now()
    line = run(tmp_path, PARTS, SEED)
    outcomes = line.check()

    nothing_leaks(
        before,
        Holdings.now(),
        open_parts=(len(line.engine._open_parts), 0),
        decided=(len(line.engine._pairing.decided.parts), 256),
        spooled=(len(list((tmp_path / "spool").iterdir())), 0),
    )
    assert passes(outcomes) > PARTS / 2, "a line that rejects everything proves nothing"
    assert {reason.split()[1] for reason in outcomes.verdicts} >= {"SCORE", "NO_IMAGE", "IMAGE_BROKEN"}
    silent = f"PASS off {outcomes.longest_silent_s * 1000:.0f} ms after the output fell silent"
    figure(f"{PARTS} parts (seed {SEED}): 0 wrong, {passes(outcomes)} passed, {silent}", is_whole=PARTS >= 100_000)


def test_a_line_on_which_nothing_goes_wrong_passes_every_good_part(tmp_path: Path) -> None:
    line = run(tmp_path, 60, 2, is_calm=True)
    outcomes = line.check()

    assert passes(outcomes) == outcomes.let_through == sum(part.is_good for part in line.parts)


def test_an_agent_that_passes_everything_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pass_all(_evidence: Evidence) -> Decision:
        return Decision(Verdict.PASS, Reason.OK)

    monkeypatch.setattr(bypass, "decide_verdict", pass_all)
    line = run(tmp_path, 60, 2, is_calm=True)

    with pytest.raises(AssertionError, match="bad and went through"):
        line.check()
