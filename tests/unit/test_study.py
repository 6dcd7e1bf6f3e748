"""A study's file and its parts: broken off, cut, changed, held by another, and lists that are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.study import (
    Plan,
    Showing,
    StudyBundle,
    StudyFile,
    StudyPart,
    read_study,
    shuffled,
)
from edge_agent.store.study_asks import Asked, asked_now, asking
from edge_agent.tools.msa.going_on import going_on
from edge_agent.tools.msa.parts import parts_in_folder, parts_in_list, runs_of
from edge_agent.tools.msa.result import found_in
from tests.simulated.line import bad_image, good_image

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (StudyPart("1", is_defective=False), StudyPart("2", is_defective=False), StudyPart("3", is_defective=True))


def plan(**changed: Any) -> Plan:
    facts: dict[str, Any] = {
        "line": "caps",
        "through": "line",
        "by": "Ada",
        "begun_utc": "2026-11-30T09:00:00.000+00:00",
        "seed": 7,
        "bundles": (StudyBundle(1, 1, "ab" * 32, 2.0),),
        "parts": PARTS,
        "order": shuffled(3, 2, 7),
        **changed,
    }
    return Plan(**facts)


def shown(place: tuple[int, int] | None, number: int = 1, **changed: Any) -> Showing:
    assert place is not None
    run, part = place
    verdict = Verdict.REJECT if PARTS[part].is_defective else Verdict.PASS
    reason = Reason.SCORE if verdict is Verdict.REJECT else Reason.OK
    facts: dict[str, Any] = {"score": 1.0, "limit": 2.0, "at_utc": "2026-11-30T09:01:00.000+00:00", "part_seq": number}
    return Showing(run, part, **{"verdict": verdict, "reason": reason, **facts, **changed})


def study_with(path: Path, number: int) -> None:
    with StudyFile.begun(path, plan()) as file:
        for seq in range(1, number + 1):
            file.add(shown(file.study.following(), seq))


def test_a_study_that_was_broken_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"
    study_with(path, 4)

    with going_on(path, plan(seed=99, by="Grace", begun_utc="later", order=shuffled(3, 2, 99))) as file:
        assert file.study.plan == plan(), "seed, order and name are those of the begin"
        assert (file.study.done, file.note) == (4, "")
        file.add(shown(file.study.following(), 5))
        file.add(shown(file.study.following(), 6))
        assert file.study.following() is None

    study = read_study(path)
    assert sorted((one.run, one.part) for one in study.showings) == [(r, p) for r in (0, 1) for p in (0, 1, 2)]
    assert found_in(study).numbers.grade == "accepted"


def test_a_part_is_never_counted_twice(tmp_path: Path) -> None:
    with StudyFile.begun(tmp_path / "msa.jsonl", plan()) as file:
        first = shown(file.study.following())
        file.add(first)
        with pytest.raises(ValueError, match="not what is shown next"):
            file.add(first)
    assert read_study(tmp_path / "msa.jsonl").showings == [first]


def test_what_nobody_looked_at_is_shown_again_and_a_good_part_is_a_false_alarm(tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"
    with StudyFile.begun(path, plan()) as file:
        while (place := file.study.following()) is not None:
            if file.study.done in (0, 1, 2) and len(file.study.showings) < 2 * file.study.done + 1:
                file.add(shown(place, verdict=Verdict.REJECT, reason=Reason.LATE, is_seen=False))
            file.add(shown(place))

    found = found_in(read_study(path))

    assert len(found.unseen) == 3, "each part once"
    assert (found.numbers.false_alarms.seen, found.numbers.false_alarms.of) == (2, 6), "the two good ones"
    assert (found.numbers.misses.seen, found.numbers.misses.of) == (0, 2)
    assert found.numbers.effectiveness.value == 1.0


def test_a_line_that_a_power_cut_left_half_written_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"
    study_with(path, 3)
    path.write_bytes(path.read_bytes()[:-20])

    assert read_study(path).done == 2
    with going_on(path, plan()) as file:
        assert "not whole" in file.note
        file.add(shown(file.study.following(), 9))

    assert [one.part_seq for one in read_study(path).showings] == [1, 2, 9]


def test_a_plan_that_could_not_be_read_again_is_refused_before_anybody_shows_a_part(tmp_path: Path) -> None:
    images = tuple((f"good/{'検' * 60}/{number}.bmp", "ab" * 32) for number in range(10_000))
    path = tmp_path / "msa.jsonl"

    with (
        pytest.raises(DataError, match=r"takes 4\.\d MiB, 4 at most") as refused,
        StudyFile.begun(path, plan(parts=(StudyPart("1", is_defective=False, images=images), *PARTS[1:]))),
    ):
        pass

    assert "fewer images" in refused.value.hint
    assert not path.exists()


def without(lines: list[bytes], number: int) -> list[bytes]:
    return lines[:number] + lines[number + 1 :]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: without(lines, 2), "line 3: it does not follow the line before it"),
        (lambda lines: [lines[0], lines[1].replace(b'"PASS"', b'"FAIL"'), *lines[2:]], "line 2: "),
        (lambda lines: [lines[0], lines[1][:40], *lines[2:]], "line 2: it is not JSON"),
        (lambda lines: [*lines, lines[-1]], "line 6: it does not follow"),
        (lambda lines: lines[1:], "line 1: it does not follow"),
        (lambda _: [b"{}"], "line 1: "),
        (lambda lines: [lines[0].replace(b'"schema_version":1', b'"schema_version":2'), *lines[1:]], "this version"),
        (lambda lines: [lines[0].replace(b'"parts":[{', b'"parts":[{"x":1,'), *lines[1:]], "it is no plan"),
    ],
    ids=["cut out", "verdict changed", "cut in the middle", "twice", "no plan", "empty", "newer", "another key"],
)
def test_a_file_that_was_changed_is_refused_and_left_as_it_is(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "msa.jsonl"
    study_with(path, 4)
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())) + b"\n")
    before = path.read_bytes()

    with pytest.raises(DataError, match=says), going_on(path, plan()):
        pytest.fail("it went on")

    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b'{"schema_version":1'], ids=["empty", "half a plan"])
def test_a_study_without_a_whole_plan_says_to_begin_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "msa.jsonl"
    path.write_bytes(content)

    with pytest.raises(DataError, match="its plan is not whole"), going_on(path, plan()):
        pytest.fail("it went on")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"line": "plugs"}, "of line 'caps', line.toml is of line 'plugs'"),
        ({"through": "images"}, "goes through line, not through images"),
        ({"bundles": (StudyBundle(1, 1, "cd" * 32, 2.0),)}, "another bundle or limit"),
        ({"bundles": (StudyBundle(1, 1, "ab" * 32, 2.1),)}, "limit 2 then, .* limit 2.1 now"),
        ({"parts": PARTS[:2]}, "3 in 2 runs then, 2 in 2 runs now"),
        ({"order": shuffled(3, 3, 7)}, "3 in 2 runs then, 3 in 3 runs now"),
        ({"parts": (*PARTS[:2], StudyPart("3", is_defective=False))}, "known state"),
    ],
)
def test_a_study_does_not_go_on_under_another_plan_and_nothing_is_lost(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    path = tmp_path / "msa.jsonl"
    study_with(path, 4)
    before = path.read_bytes()

    with pytest.raises(DataError, match=says), going_on(path, plan(**changed)):
        pytest.fail("it went on")

    assert path.read_bytes() == before


def test_two_processes_do_not_go_on_with_one_study(tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"
    study_with(path, 1)

    with going_on(path, plan()), pytest.raises(AlreadyRunning, match="goes on in another process"):
        going_on(path, plan()).__enter__()


def test_the_page_knows_what_a_study_asks_for_while_it_runs(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite3"
    assert asked_now(journal) is None

    with asking(journal) as ask:
        assert asked_now(journal) is None, "it asks for nothing yet"
        ask(Asked("17", 43, 150))
        assert asked_now(journal) == Asked("17", 43, 150)
        ask(Asked("2", 43, 150, again=True))
        assert asked_now(journal) == Asked("2", 43, 150, again=True)
        with pytest.raises(AlreadyRunning, match="another study goes on over this line"):
            asking(journal).__enter__()

    assert asked_now(journal) is None


def test_what_a_killed_study_asked_for_is_not_shown_any_more(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite3"
    (tmp_path / "journal.sqlite3.study").write_text('{"part": "17", "number": 1, "total": 9, "again": false}')

    assert asked_now(journal) is None
    with asking(journal):
        assert asked_now(journal) == Asked("17", 1, 9)


def test_a_study_that_is_not_whole_has_no_numbers(tmp_path: Path) -> None:
    study_with(tmp_path / "msa.jsonl", 5)

    with pytest.raises(DataError, match="5 of 6 showings were made"):
        found_in(read_study(tmp_path / "msa.jsonl"))


def test_every_run_has_its_own_order_and_the_seed_gives_it_again() -> None:
    order = shuffled(50, 3, 7)

    assert order == shuffled(50, 3, 7) != shuffled(50, 3, 8)
    assert len(set(order)) == 3
    assert all(sorted(run) == list(range(50)) for run in order)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks rows"),
        ("part,known\n", "lacks rows"),
        ("part,state\n1,good\n", "columns part, known"),
        ("part,known\n1,good\n2,maybe\n", "part 2 is 'maybe', which is neither good nor defective"),
        ("part,known\n1,good\n2,\n", "line 3: a field is empty"),
        ("part,known\n1,good\n1,defective\n", "part 1 is there twice"),
        ("part,known\n1,good\n2,good\n", "holds no defective part"),
        ("part,known\n1,defective\n2,defective\n", "holds no good part"),
        ('part,known\n1,"good\n', "is no list of parts"),
        ("part,known\n1\x07,good\n2,defective\n", "no plain text"),
    ],
)
def test_a_list_that_is_none_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "parts.csv").write_text(text)

    with pytest.raises(DataError, match=says):
        parts_in_list(tmp_path / "parts.csv")


@pytest.mark.parametrize(
    "text", ["part,known\n17,good\nA-2,defective\n", "\ufeffpart;known\r\n17;Good\r\nA-2;defective\r\n"]
)
def test_a_list_of_parts(tmp_path: Path, text: str) -> None:
    (tmp_path / "parts.csv").write_text(text)

    assert parts_in_list(tmp_path / "parts.csv") == (
        StudyPart("17", is_defective=False),
        StudyPart("A-2", is_defective=True),
    )


def put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good_image(number) if name.startswith("good") else bad_image(number))
    return folder


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("good/1.bmp",), "holds no defective part"),
        (("scratch/1.bmp",), "holds no good part"),
        ((), "holds no good part"),
    ],
)
def test_a_folder_without_both_kinds_is_no_study(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    (tmp_path / "parts").mkdir()

    with pytest.raises(DataError, match=says):
        parts_in_folder(put(tmp_path / "parts", *names))


def test_a_part_without_an_image_for_every_run_is_named(tmp_path: Path) -> None:
    folder = put(tmp_path, "good/a/1.bmp", "good/a/2.bmp", "good/b/1.bmp", "dent/c/1.bmp", "dent/c/2.bmp")

    with pytest.raises(DataError, match=r"good/b \(1\): fewer images than the 2 runs"):
        runs_of(parts_in_folder(folder), None)
    with pytest.raises(DataError, match=r"good/a \(2\), good/b \(1\), dent/c \(2\)|dent/c"):
        runs_of(parts_in_folder(folder), 3)


def test_parts_of_a_folder_and_of_a_list_of_its_images(tmp_path: Path) -> None:
    folder = put(tmp_path / "f", "good/a/1.bmp", "good/a/2.bmp", "good/b.bmp", "dent/c/1.bmp")
    (tmp_path / "parts.csv").write_text(
        "image,part,known\ngood/a/1.bmp,A,good\ngood/a/2.bmp,A,good\ndent/c/1.bmp,C,defective\ngood/b.bmp,C,defective\n"
    )

    found = {part.name: (part.is_defective, len(part.images)) for part in parts_in_folder(folder)}
    listed = parts_in_folder(folder, tmp_path / "parts.csv")

    assert found == {"dent/c": (True, 1), "good/a": (False, 2), "good/b.bmp": (False, 1)}
    assert [(part.name, part.is_defective, len(part.images)) for part in listed] == [("A", False, 2), ("C", True, 2)]
    assert runs_of(listed, None) == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("good/1.bmp,1,good\n../x.bmp,2,defective\n", "not in"),
        ("good/1.bmp,1,good\ngood/9.bmp,2,defective\n", "cannot be read"),
        ("good/1.bmp,1,good\ngood/1.bmp,1,defective\n", "good in one row and defective in another"),
    ],
)
def test_a_list_of_images_that_do_not_fit(tmp_path: Path, rows: str, says: str) -> None:
    folder = put(tmp_path / "f", "good/1.bmp")
    (tmp_path / "parts.csv").write_text("image,part,known\n" + rows)

    with pytest.raises(DataError, match=says):
        parts_in_folder(folder, tmp_path / "parts.csv")


def test_the_file_is_lines_of_json(tmp_path: Path) -> None:
    """So that another program can read it."""
    study_with(tmp_path / "msa.jsonl", 2)

    first, *others = (json.loads(line) for line in (tmp_path / "msa.jsonl").read_text().splitlines())
    assert (first["kind"], first["schema_version"], len(first["parts"])) == ("msa", 1, 3)
    assert [one["part_seq"] for one in others] == [1, 2]
