"""Parquet parts and the spool of a replay: the very bits come back, and half a part is none."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from edge_agent.domain import Alignment, Inspection, Outcome, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.tools.plant.manifest import Plan
from edge_agent.tools.plant.parts import Parts, Results
from edge_agent.tools.replay.image import Judged, Recorded, ReplayedImage
from edge_agent.tools.replay.records import SeenParts
from edge_agent.tools.replay.spool import Images, Spool
from tests.plant import verdict_bits

ODD = 0.1 + 0.2
INSPECTIONS = (
    Inspection(
        Outcome.REVIEW,
        Reason.SCORE,
        ODD,
        1.0,
        "b" * 64,
        "a" * 64,
        Alignment(math.nan, -0.0, 5e-324, ODD, 1.0, 2.0, 1.0),
        "Größe, 大きさ",
        {"decode": 1.5},
        {"image": ODD, "tone": -0.0},
        {"mean": math.inf},
    ),
    Inspection(Outcome.NG, Reason.IMAGE_BROKEN, math.nan, math.nan, "", "c" * 64, detail="the file is empty"),
)
RECORDED = Recorded(7, None, Verdict.PASS, Reason.OK, True, "2026-11-30T10:00:00.000+00:00")


def plan(images: int = 5, per_chunk: int = 2) -> Plan:
    return Plan("/images", images, per_chunk, "0" * 64, {"1/1": "b" * 64}, {"numpy": "2"})


def judged() -> list[Judged]:
    found = [Judged(Path(f"a/{i}.bmp"), one.image_sha256, one) for i, one in enumerate(INSPECTIONS)]
    return [*found, Judged(Path("b.bmp"), "d" * 64, None)]


def replayed() -> list[ReplayedImage]:
    return [
        ReplayedImage(Path("a/0.bmp"), INSPECTIONS[0], Verdict.REJECT, Reason.SCORE, RECORDED, "recorded PASS OK"),
        ReplayedImage(Path("a/1.bmp"), INSPECTIONS[1], Verdict.REJECT, Reason.IMAGE_BROKEN, None, "", is_altered=True),
    ]


def bits(one: Judged) -> tuple[object, ...]:
    if one.inspection is None:
        return one.path, one.sha256, None
    image = ReplayedImage(one.path, one.inspection, Verdict.PASS, Reason.OK, None, "")
    return one.path, one.sha256, verdict_bits(image), tuple(one.inspection.timings_ms.items())


def test_half_a_part_is_none_and_a_part_of_another_replay_neither(tmp_path: Path) -> None:
    parts = Parts(tmp_path, plan())
    assert parts.missing() == [0, 1, 2]
    parts.path(0).with_name(parts.path(0).name + ".part").write_bytes(b"PAR1")
    Parts(tmp_path, plan(images=4)).write(1, [one.to_row() for one in judged()], "")
    assert parts.missing() == [0, 1, 2]

    parts.write(1, [one.to_row() for one in judged()], "proof")
    assert parts.missing() == [0, 2]
    assert parts.proof(1) == "proof"


@pytest.mark.parametrize("how", ["torn", "empty", "bent", "text", "fewer"])
def test_a_part_that_was_damaged_is_named_with_what_to_do(tmp_path: Path, how: str) -> None:
    parts = Parts(tmp_path, plan(images=3, per_chunk=3))
    parts.write(0, [one.to_row() for one in judged()], "proof")
    path, data = parts.path(0), parts.path(0).read_bytes()
    if how == "fewer":
        parts.write(0, [one.to_row() for one in judged()[:2]], "proof")
    else:
        bent = {"torn": data[:-40], "empty": b"", "bent": data[:200] + bytes(400) + data[600:], "text": b"no" * 99}
        path.write_bytes(bent[how])
    with pytest.raises(DataError, match=re.escape(path.name)) as raised:
        list(parts.judged(0))
    assert "remove this one file" in raised.value.hint
    if how in ("torn", "empty", "text"):
        with pytest.raises(DataError, match=re.escape(path.name)):
            parts.proof(0)
    path.unlink()
    assert parts.missing() == [0]


def test_what_was_judged_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    parts = Parts(tmp_path, plan(per_chunk=3))
    parts.write(0, [one.to_row() for one in judged()], "")
    spool = Spool()
    for one in judged():
        spool.add(one)

    wanted = [bits(one) for one in judged()]
    assert [bits(one) for one in parts.judged(0)] == wanted
    assert [bits(one) for one in spool] == wanted


def test_results_come_back_to_the_last_bit_and_more_than_once(tmp_path: Path) -> None:
    results, images = Results(tmp_path, plan(images=2)), Images()
    results.write(0, replayed())
    for image in replayed():
        images.add(image)

    wanted = [verdict_bits(image) for image in replayed()]
    for _ in range(2):
        assert [verdict_bits(image) for image in results] == wanted
        assert [verdict_bits(image) for image in images] == wanted
    assert verdict_bits(images[-1]) == wanted[-1]
    assert [verdict_bits(image) for image in images[:1]] == wanted[:1]
    with pytest.raises(IndexError):
        images[2]


def test_a_part_that_comes_twice_counts_once() -> None:
    seen = SeenParts()
    for seq in (9000, 5, 5, 9000, 4096):
        seen.add(seq)

    assert (seen.number, seen.first, seen.last) == (3, 5, 9000)
