"""A bundle learns from a line whose lot has changed: bad input first, then what is offered and who may use it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.inspection.bundle.learned import learned_of
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.runtime.claim import claimed_learning
from tests.command_line import edge_agent_here
from tests.learned_line import LearnLine, marked_image
from tests.simulated.line import bad_image, edge_agent, good_image
from tests.small_disk import small_disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A calibration at idle priority: beside other work it takes minutes.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def line(tmp_path: Path, thumbnail_bundle: Path) -> LearnLine:
    """A line with its bundle in a folder of its own: it is to be activated there."""
    shutil.copytree(thumbnail_bundle, tmp_path / "bundle")
    found = LearnLine(tmp_path, tmp_path / "bundle")
    shutil.copytree(thumbnail_bundle.parent / "good", tmp_path / "good")
    return found


def changed_lot(line: LearnLine, number: int = 12) -> None:
    """Parts with a mark are rejected and overturned, defects are confirmed, and more of the lot came by."""
    line.parts([marked_image(n) for n in range(1, number + 1)], "OVERTURNED", by="Ada")
    line.parts([bad_image(n) for n in range(1, 4)], "CONFIRMED", by="Bo")
    line.parts([marked_image(n) for n in range(101, 107)])
    line.parts([good_image(n) for n in range(1, 7)])


def learned(line: LearnLine, *words: str, within_s: float = 500) -> subprocess.CompletedProcess[str]:
    """Run ``edge-agent learn run`` as a process of its own, for it stands back."""
    where = ("--config", str(line.config), "--good", str(line.folder / "good"), "--out", str(line.folder / "learned"))
    return edge_agent("learn", "run", *where, "--by", "Quinn", *words, within_s=within_s)


def refused(line: LearnLine, *words: str) -> subprocess.CompletedProcess[str]:
    """As ``learned``, where nothing may be made."""
    ran = learned(line, *words)
    assert not (line.folder / "learned" / "bundle").exists()
    return ran


def judged(bundle: Path, images: Sequence[bytes]) -> list[str]:
    inspector = Inspector(Bundle.load(bundle), threads=1)
    inspector.warm_up()
    return [str(inspector.inspect(image).outcome) for image in images]


def told(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(ran.stdout))


def test_nothing_to_learn_is_said_and_leaves_nothing(line: LearnLine) -> None:
    line.parts([good_image(1)])

    ran = refused(line)

    assert ran.returncode == 64, ran.stderr
    assert "no confirmed false reject" in ran.stderr
    assert [event["what"] for event in line.events("LEARN")] == ["begun", "broken off"]


def test_an_original_image_that_is_missing_or_altered_is_named(line: LearnLine) -> None:
    changed_lot(line)
    (line.folder / "good" / "003.bmp").unlink()
    (line.folder / "good" / "004.bmp").write_bytes(good_image(77))

    ran = refused(line)

    assert ran.returncode == 65, ran.stderr
    assert "2 of the 24 good images" in ran.stderr
    assert "003.bmp, 004.bmp" in ran.stderr
    assert "of that name, with other bytes: 004.bmp" in ran.stderr


def test_a_folder_with_something_else_in_it_is_left_alone(line: LearnLine) -> None:
    changed_lot(line)
    (line.folder / "learned").mkdir()
    (line.folder / "learned" / "holiday.txt").write_text("mine")

    ran = refused(line)

    assert ran.returncode == 64, ran.stderr
    assert [path.name for path in (line.folder / "learned").iterdir()] == ["holiday.txt"]


def test_two_at_once_on_one_line_are_one_too_many(line: LearnLine) -> None:
    changed_lot(line)

    with claimed_learning(line.journal_path):
        ran = refused(line)

    assert ran.returncode == 75, ran.stderr
    assert "another learning of this line is going on" in ran.stderr
    assert line.events("LEARN") == []


def test_only_quality_assurance_and_engineers_may(line: LearnLine) -> None:
    changed_lot(line)
    (line.folder / "password").write_text("correct horse battery\n")
    for name, role in (("Erna", "engineer"), ("Otto", "operator")):
        signs = [] if name == "Erna" else ["--as", "Erna", "--password-file", str(line.folder / "password")]
        first = ["--new-password-file", str(line.folder / "password")]
        added = edge_agent_here("users", "add", name, "--role", role, *first, *signs, "--config", str(line.config))
        assert added.code == 0, added.err
    words = ("learn", "run", "--config", str(line.config), "--good", str(line.folder / "good"))
    where = ("--out", str(line.folder / "learned"), "--password-file", str(line.folder / "password"))

    operator = edge_agent(*words, *where, "--as", "Otto")
    nobody = edge_agent(*words, *where, "--by", "Quinn")

    assert (operator.returncode, nobody.returncode) == (77, 77), operator.stderr + nobody.stderr
    assert not (line.folder / "learned").exists()


def test_a_known_defect_that_would_pass_is_named_and_nothing_is_offered(line: LearnLine) -> None:
    """Twelve parts of one kind are called good, and one of that kind a defect: one of the two is wrong."""
    changed_lot(line)
    (poison,) = line.parts([marked_image(50)], "CONFIRMED", by="Bo")

    ran = learned(line, "--json")

    assert ran.returncode == 1, ran.stderr
    found = told(ran)
    assert found["bundle_id"] == ""
    assert found["lost"] == [poison.part_seq]
    assert not (line.folder / "learned" / "bundle").exists()
    (ended,) = [event for event in line.events("LEARN") if event["what"] == "refused"]
    assert ended["lost"] == [poison.part_seq]
    assert ended["added"] == len(found["added"]) > 0
    told_figures = [(one["name"], one["before"], one["after"], one["worse"]) for one in ended["figures"]]
    figures = [(one["name"], one["before"], one["after"], one["is_worse"]) for one in found["figures"]]
    assert sorted(told_figures) == sorted(figures)
    assert [one[3] for one in told_figures] == sorted((one[3] for one in told_figures), reverse=True), "worse first"
    page = (line.folder / "learned" / "report.html").read_text()
    assert f"Part {poison.part_seq} is a known defect, is found today and would pass by the new bundle." in page
    unfinished = edge_agent_here(
        "bundle", "activate", str(line.folder / "learned" / "calibrated"), "--config", str(line.config), "--why", "x"
    )
    assert unfinished.code == 65, "what was not offered cannot be put to use"
    assert "was not compared" in unfinished.err


def test_a_few_parts_that_stand_apart_stop_it_until_a_person_has_looked(line: LearnLine) -> None:
    line.parts([bad_image(9)], "OVERTURNED", by="Mallory")
    line.parts([bad_image(1)], "CONFIRMED", by="Bo")

    ran = refused(line)

    assert ran.returncode == 65, ran.stderr
    assert "stands apart from all others: part_000000000001_CAM1_" in ran.stderr
    assert "--keep" in ran.stderr
    assert (line.folder / "learned" / "doubts.html").is_file()


def test_a_full_disk_breaks_it_off_and_the_line_is_as_it_was(line: LearnLine) -> None:
    changed_lot(line)
    before = read_manifest(line.bundle).text("id")
    with small_disk(line.folder / "small", mib=1) as disk:
        where = ("--config", str(line.config), "--good", str(line.folder / "good"), "--out", str(disk / "learned"))

        ran = edge_agent("learn", "run", *where, "--by", "Quinn", within_s=500)

        assert ran.returncode == 74, ran.stderr
        assert not (disk / "learned" / "bundle").exists()
    assert read_manifest(line.bundle).text("id") == before
    assert [event["what"] for event in line.events("LEARN")] == ["begun", "broken off"]


def test_killed_at_any_time_it_is_gone_on_with_or_cleanly_begun_anew(line: LearnLine) -> None:
    changed_lot(line)
    where = ("--config", str(line.config), "--good", str(line.folder / "good"), "--out", str(line.folder / "learned"))
    command = [sys.executable, "-m", "edge_agent", "learn", "run", *where, "--by", "Quinn"]
    for made in ("plan.json", "calibrated/manifest.json"):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            while not (line.folder / "learned" / made).exists():
                assert running.poll() is None, "ended before it could be killed"
            running.send_signal(signal.SIGKILL)
            running.wait()
        assert not (line.folder / "learned" / "bundle").exists()
    calibrated = (line.folder / "learned" / "calibrated" / "manifest.json").stat().st_mtime_ns

    ran = learned(line, "--json")

    assert ran.returncode == 0, ran.stderr
    assert (line.folder / "learned" / "calibrated" / "manifest.json").stat().st_mtime_ns == calibrated
    assert not list((line.folder / "learned").glob(".looking-*"))
    line.say(1, "CONFIRMED", by="Bo")  # another plan: what was made of the first one is of no use
    again = learned(line, "--json")
    assert 1 not in told(again)["added"]
    assert [event["what"] for event in line.events("LEARN")].count("begun") == 4


def test_the_changed_lot_passes_defects_do_not_and_nothing_is_loosened_silently(line: LearnLine) -> None:
    changed_lot(line)
    new, bad = [marked_image(n) for n in range(201, 221)], [bad_image(n) for n in range(30, 36)]
    assert judged(line.bundle, new).count("OK") == 0

    ran = learned(line, "--why", "the law asks for a mark", "--json")

    assert ran.returncode == 0, ran.stderr
    found, bundle = told(ran), line.folder / "learned" / "bundle"
    assert judged(bundle, new).count("OK") >= 18
    assert judged(bundle, bad).count("OK") == 0
    assert found["lost"] == []
    of_the_archive = judged(bundle, [marked_image(n) for n in range(101, 107)]).count("OK")
    assert (found["sides"]["to_pass"], found["replay"]["learned"]) == (of_the_archive, 12)
    assert of_the_archive >= 3
    assert found["own_good"][1] == 12
    learning = learned_of(read_manifest(bundle).content)
    assert learning is not None
    assert learning.parent == read_manifest(line.bundle).text("id")
    assert (learning.by, learning.why) == ("Quinn", "the law asks for a mark")
    assert sorted(int(part.part) for part in learning.added) == list(range(1, 13))
    assert {word.by for part in learning.added for word in part.words} == {"Ada"}
    worse = [figure["name"] for figure in found["figures"] if figure["is_worse"]]
    assert [one.what for one in learning.worse] == worse
    assert worse, "a new lot that looks otherwise widens what is believed"
    page = (line.folder / "learned" / "report.html").read_text()
    assert all(name in page for name in worse)
    assert page.index("Worse than today:") < page.index("Before and after")

    activate = ("bundle", "activate", str(bundle), "--config", str(line.config), "--by", "Erna")
    silent = edge_agent_here(*activate)
    assert silent.code == 64, silent.err
    assert all(name in silent.err for name in worse)
    said = edge_agent_here(*activate, "--why", "seen and agreed")
    assert said.code == 0, said.err
    (chosen,) = line.events("BUNDLE_CHOSEN")
    assert chosen["why"].startswith(f"seen and agreed (although {len(worse)} worse: {worse[0]}")
    shown = edge_agent_here("bundle", "show", str(bundle), "--json")
    assert json.loads(shown.out)["worse_than_before"] == [str(one) for one in learning.worse]

    german = edge_agent_here("learn", "report", str(bundle.parent), "--config", str(line.config), "--language", "de")
    assert german.code == 0, german.err
    assert "Schlechter als heute:" in (bundle.parent / "report.html").read_text()
    next_time = edge_agent(
        *("learn", "run", "--config", str(line.config), "--good", str(bundle.parent / "good")),
        *("--out", str(line.folder / "again"), "--by", "Quinn"),
    )
    assert next_time.returncode == 64, "what it knows by now it does not learn once more"
    assert not (line.folder / "again").exists()


def test_a_learned_bundle_that_was_altered_is_refused(line: LearnLine) -> None:
    """Who strikes out what is worse has another bundle, and its id does not fit."""
    changed_lot(line)
    assert learned(line).returncode == 0
    path = line.folder / "learned" / "bundle" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["learned"]["worse"] = []
    path.write_text(json.dumps(manifest))

    ran = edge_agent_here("bundle", "activate", str(path.parent), "--config", str(line.config), "--why", "x")

    assert ran.code == 65, ran.err
    assert "was altered" in ran.err
