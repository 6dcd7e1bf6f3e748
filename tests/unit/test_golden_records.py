"""What the journal keeps of challenges: read back, handed on by a closed journal, and no nonsense taken for a proof."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import UsageError
from edge_agent.golden.clock import clock_of
from edge_agent.golden.known import KnownSamples
from edge_agent.inspection.bundle.registry import POINTER
from edge_agent.settings import load_settings
from edge_agent.store.challenges import MOST_HANDED_ON, all_challenges, newest_challenges, read_challenge
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.rotation import rotate
from edge_agent.store.starts import changed_values, values_of
from edge_agent.tools.challenge_history import sample_history
from edge_agent.tools.challenge_line import chosen_samples, wanted_parts
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.samples import challenge_age
from edge_agent.web.samples import SamplesPage
from tests.security.web_site import web_settings
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

B1 = frozenset({"b1"})
NEW = "the bundle is new since the last challenge: show the samples"
SAMPLES = """
[challenge]
every_parts = 100
every_h = 8
[[challenge.sample]]
name = "R1"
kind = "reject"
program = 1
[[challenge.sample]]
name = "R2"
kind = "reject"
program = 1
[[challenge.sample]]
name = "G1"
kind = "good"
program = 1
"""


def record(score: float = 3.1, *, ok: bool = True, part_seq: int = 1, **more: Any) -> str:
    names = (("R1", "reject"), ("R2", "reject"), ("G1", "good"))
    shown = [
        {"name": name, "kind": kind, "ok": ok, "score": score, "limit": 1.0, "bundle": "b1", "part_seq": part_seq}
        for name, kind in names
    ]
    told = {"ok": ok, "through": "line", "programs": [1], "simulated": False, "part_seq": part_seq, "shown": shown}
    return json.dumps({**told, **more})


def write(path: Path, *records: str, parts: tuple[int, ...] = (), kind: str = "CHALLENGE") -> None:
    async def main() -> None:
        journal = Journal.open(path)
        try:
            for seq in parts:
                await journal.append(part_row(seq, count=seq))
            for detail in records:
                await journal.event(kind, detail)
        finally:
            journal.close()

    asyncio.run(main())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A line of program 1 with three samples."""
    web_settings(tmp_path, token=False)
    path = tmp_path / "line.toml"
    text = path.read_text()
    path.write_text(text + SAMPLES.replace("program = 1", f"program = {load_settings(path).bundle[0].program}"))
    settings = load_settings(path)
    choose(settings, "b1")
    return settings


def choose(settings: Settings, bundle_id: str) -> None:
    """The bundle that the line's next start judges by, as ``bundle activate`` leaves it."""
    registry = settings.bundle[0].path
    registry.mkdir(exist_ok=True)
    chosen = {"what": "activate", "folder": "x", "bundle_id": bundle_id, "by": "Ada", "at_utc": "", "why": ""}
    (registry / POINTER).write_text(json.dumps({"schema_version": 1, "switches": [chosen]}))


def start_with(settings: Settings, bundle_id: str) -> None:
    """What the agent's start writes of the bundle that it judges by."""
    place = f"program {settings.bundle[0].program}, camera 1"
    told = f"{place}: {bundle_id} limit 1 {settings.bundle[0].path}"
    write(settings.store.journal, told, kind="BUNDLE")


# --- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "[]",
        "7",
        "null",
        "{}",
        '{"ok": 1}',
        '{"ok": "true"}',
        '{"ok": null}',
        '{"ok": [true]}',
        "[" * 100_000,
        '{"ok": true',
    ],
)
def test_what_does_not_say_whether_it_was_passed_is_no_challenge(detail: str) -> None:
    assert read_challenge(detail, "2026-11-24T10:00:00+00:00") is None


@pytest.mark.parametrize(
    "more",
    [
        {"shown": "R1"},
        {"shown": [7, None, {}, {"name": 7, "kind": "reject"}, {"name": "R1", "kind": "odd", "ok": True}]},
        {"shown": [{"name": "R1", "kind": "reject", "ok": 1}]},
        {"programs": "1", "shown": None},
        {"programs": [True, -1, "1", None], "shown": {}},
        {"part_seq": True, "parts": ["x", -3, True]},
    ],
)
def test_a_field_that_is_none_is_left_out(more: dict[str, Any]) -> None:
    found = read_challenge(record(**more), "2026-11-24T10:00:00+00:00")

    assert found is not None
    assert all(not sample.is_right for sample in found.samples) or "shown" not in more
    assert set(found.programs) <= {1}
    assert found.part_seq in (1, None)


def test_a_score_that_is_no_number_is_none() -> None:
    for score in ("NaN", "Infinity", '"3"', "true", "null", "1e999"):
        detail = record().replace('"score": 3.1', f'"score": {score}')
        found = read_challenge(detail, "")
        assert found is None or {sample.score for sample in found.samples} == {None}, score


def test_a_record_of_an_older_version_is_known_to_be_real_and_through_the_line() -> None:
    older = {"ok": True, "through": "line", "by": "Ada", "rejected": 2, "of": 2, "parts": [4, 5]}

    found = read_challenge(json.dumps(older), "")

    assert found is not None
    assert (found.is_passed, found.is_simulated, found.part_seq, found.samples) == (True, False, 5, ())


# --- a closed journal ----------------------------------------------------------------------------------------


def test_a_closed_journal_hands_on_when_samples_were_shown(settings: Settings) -> None:
    path = settings.store.journal
    write(path, record(part_seq=2), parts=(1, 2, 3))
    before = clock_of(settings, {settings.bundle[0].program: B1})[0].standing(1, 4)
    rotate(path)

    after, newest = clock_of(settings, {settings.bundle[0].program: B1})

    assert newest == 3
    assert (before.due_parts, after.standing(1, 4).due_parts) == (99, 99)
    assert after.standing(1, 4).overdue == ""
    with JournalReader.open(path) as reader:
        assert reader.audit().problems == ()
        (handed,) = newest_challenges(reader)
    assert handed.is_passed
    assert {sample.name for sample in handed.samples} == {"R1", "R2", "G1"}


def test_one_that_was_not_passed_is_handed_on_twice(settings: Settings) -> None:
    path = settings.store.journal
    write(path, record(), record(ok=False), parts=(1,))
    rotate(path)
    write(path, parts=(2,))
    rotate(path)

    standing = clock_of(settings, {settings.bundle[0].program: B1})[0].standing(1, 3)

    assert "the last challenge was not passed" in standing.overdue


def test_what_is_handed_on_has_an_end(settings: Settings) -> None:
    path = settings.store.journal
    write(path, *(record(programs=[number]) for number in range(MOST_HANDED_ON + 30)), parts=(1,))
    rotate(path)

    with JournalReader.open(path) as reader:
        assert len(newest_challenges(reader)) == MOST_HANDED_ON


def test_the_histories_go_on_over_closed_journals(settings: Settings) -> None:
    path = settings.store.journal
    for number in range(3):
        write(path, *(record(3.0 + 0.1 * step) for step in range(3)), parts=(number + 1,))
        closed = rotate(path)
    write(path, record(1.5), parts=(4,))

    found, missing = all_challenges(path)
    assert (len(found), missing) == (10, "")
    assert [sample.score for sample in found[-1].samples] == [1.5] * 3
    assert sample_history(settings).series[0].times == 10

    closed.unlink()
    known = KnownSamples.of(settings)
    assert known.missing == closed.name
    # Of what the missing one handed on no score is known, and the newest one of this file stands.
    assert known.history("R1", "reject", "b1") == [1.5]


# --- which samples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "program", "says"),
    [
        ("R9", None, "no sample 'R9' is registered"),
        ("", None, "no sample '' is registered"),
        ("R1,", None, "no sample '' is registered"),
        ("R1,R2,R1", None, "sample R1 is named twice"),
        ("r1", None, "no sample 'r1' is registered"),
        ("all", 999, "no sample is registered for program 999"),
    ],
)
def test_a_sample_that_is_not_there_is_refused(settings: Settings, names: str, program: int | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chosen_samples(settings, names, program)


def test_they_are_shown_in_the_order_named_or_in_that_of_the_file(settings: Settings) -> None:
    assert [one.name for one in chosen_samples(settings, "G1, R2", None)] == ["G1", "R2"]
    assert [one.name for one in chosen_samples(settings, " all ", None)] == ["R1", "R2", "G1"]
    assert [one.name for one in wanted_parts(settings, 2, None) if one is not None] == ["R1", "R2"]
    with pytest.raises(UsageError, match="3 samples are registered, 4 are asked for"):
        wanted_parts(settings, 4, None)


def test_samples_of_two_programs_are_no_one_challenge(settings: Settings) -> None:
    assert settings.challenge is not None
    first, *rest = settings.challenge.sample
    samples = (first.model_copy(update={"program": 77}), *rest)
    two = settings.model_copy(update={"challenge": settings.challenge.model_copy(update={"sample": samples})})

    with pytest.raises(UsageError, match="of several programs"):
        chosen_samples(two, "R1,R2", None)
    with pytest.raises(UsageError, match="samples are registered for programs"):
        chosen_samples(two, "all", None)
    assert [one.name for one in chosen_samples(two, "all", 77)] == ["R1"]


def test_without_a_register_parts_have_no_names(tmp_path: Path) -> None:
    plain = web_settings(tmp_path, token=False)

    assert wanted_parts(plain, 2, None) == (None, None)
    with pytest.raises(UsageError, match=r"no sample is registered in line\.toml"):
        chosen_samples(plain, "all", None)


# --- who changed what ---------------------------------------------------------------------------------------------


def test_a_sample_that_is_changed_is_named_in_the_journals_start(settings: Settings) -> None:
    assert settings.challenge is not None
    first, *rest = settings.challenge.sample
    other = settings.challenge.model_copy(update={"sample": (first.model_copy(update={"shows": "dent"}), *rest)})

    before = values_of(settings, {}, {})
    after = values_of(settings.model_copy(update={"challenge": other}), {}, {})

    assert before["challenge.sample.R1.kind"] == "reject"
    assert [(one.key, one.old, one.new) for one in changed_values(before, after)] == [
        ("challenge.sample.R1.shows", None, "dent")
    ]


def test_the_history_of_a_simulated_line_is_that_of_its_own_run(settings: Settings) -> None:
    """The agent's status counts them; the history must not say that none was passed."""
    path, told = settings.store.journal, {"simulated": True, "programs": [settings.bundle[0].program]}
    write(path, record(**told), parts=(1,))
    real = sample_history(settings)
    page = SamplesPage(settings)._look()

    async def start() -> None:
        journal = Journal.open(path)
        try:
            await journal.event("START", json.dumps({"values": {"run.simulated": True}}))
        finally:
            journal.close()

    asyncio.run(start())
    simulated = sample_history(settings)

    assert "no challenge was passed yet" in real.standing.overdue
    assert [len(one.points) for one in real.series] == [0, 0, 0]
    assert [len(one["points"]) for one in page["samples"]] == [0, 0, 0]
    assert (simulated.standing.overdue, [len(one.points) for one in simulated.series]) == ("", [1, 1, 1])
    assert [len(one["points"]) for one in SamplesPage(settings)._look()["samples"]] == [1, 1, 1]


# --- a new bundle ------------------------------------------------------------------------------------------------


def test_a_bundle_that_was_chosen_and_does_not_judge_yet_is_told_of_the_next_start(
    settings: Settings, tmp_path: Path
) -> None:
    site, path, programs = Site(tmp_path / "line.toml", settings), settings.store.journal, [settings.bundle[0].program]
    start_with(settings, "b1")
    write(path, record(programs=programs), parts=(1,))
    before = sample_history(settings)
    choose(settings, "b2")
    chosen = sample_history(settings)
    doctor = challenge_age(site)
    start_with(settings, "b2")
    started = sample_history(settings)
    choose(settings, "b1")  # a rollback, before the agent's next start
    rolled_back = sample_history(settings)

    assert (before.standing.overdue, before.next_start) == ("", "")
    assert chosen.standing.words == "samples are due in 100 parts or in 8 h"
    assert chosen.next_start == f"from the agent's next start on: {NEW}"
    assert chosen.next_start in chosen.lines()
    assert (doctor.result, doctor.evidence) == (Result.WARN, chosen.next_start)
    assert (started.standing.overdue, started.next_start) == (NEW, "")
    assert (rolled_back.standing.overdue, rolled_back.next_start) == (NEW, "")


def test_a_bundle_that_cannot_be_read_was_shown_nothing(settings: Settings) -> None:
    write(settings.store.journal, record(programs=[settings.bundle[0].program]), parts=(1,))
    (settings.bundle[0].path / POINTER).write_text("{")

    assert sample_history(settings).standing.overdue == NEW


def test_the_bundles_of_all_cameras_are_handed_on_by_a_closed_journal(settings: Settings) -> None:
    path, long = settings.store.journal, "c" * 64
    write(path, record(programs=[settings.bundle[0].program], bundles=[long]), parts=(1,))
    rotate(path)

    with JournalReader.open(path) as reader:
        (handed,) = newest_challenges(reader)
    assert handed.bundles == {"b1", long[:16]}
    assert sample_history(settings).standing.overdue == ""


@pytest.mark.parametrize("bundles", [None, "b1", 7, {"b1": 1}, [7, None, ["b1"]]])
def test_bundles_that_are_none_name_none(bundles: object) -> None:
    found = read_challenge(record(bundles=bundles, shown=[]), "")

    assert found is not None
    assert found.bundles == frozenset()


# --- the doctor --------------------------------------------------------------------------------------------------


def test_the_doctor_says_what_is_due_and_which_sample_is_odd(settings: Settings, tmp_path: Path) -> None:
    site, path, programs = Site(tmp_path / "line.toml", settings), settings.store.journal, [settings.bundle[0].program]
    assert "there is no journal" in challenge_age(site).evidence
    write(path, record(programs=programs), parts=(1,))
    fits = challenge_age(site)
    write(path, record(1.5, programs=programs).replace('"bundle": "b1"', '"bundle": "b1", "odd": "low"'))
    odd = challenge_age(site)
    write(path, record(ok=False))
    failed = challenge_age(site)

    assert (fits.result, fits.evidence) == (Result.OK, "samples are due in 100 parts or in 8 h")
    assert (odd.result, odd.evidence) == (Result.WARN, "wrong or odd when last shown: R1, R2, G1")
    assert (failed.result, failed.evidence) == (
        Result.WARN,
        "the last challenge was not passed: show the samples again",
    )
