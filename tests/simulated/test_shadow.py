"""A candidate bundle beside a running line: what it finds, how its process ends, and that no verdict knows of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_agent.bundles import line_bundles
from edge_agent.domain import Verdict
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.shadow.comparison import Side, newest_comparison
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.shadow import ShadowFile, What
from tests.command_line import edge_agent_here
from tests.shadowed import candidate_of
from tests.simulated.line import bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.store.rows import PartRow
    from edge_agent.store.shadow import ShadowResult
    from tests.simulated.line import Line

pytestmark = pytest.mark.timeout(300)
_HIGH = 1000.0
"""A limit by which every part passes."""


@pytest.fixture(scope="module")
def lenient(thumbnail_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate that rejects nothing by its score."""
    folder = tmp_path_factory.mktemp("candidate") / "lenient"
    candidate_of(thumbnail_bundle, folder, _HIGH)
    return folder


async def parts(at: Line, images: Sequence[bytes]) -> list[PartRow]:
    """Bring these parts past the line, one after the other; all rows so far."""
    for image in images:
        before = len(at.rows())
        await at.controller.wire_trigger(image)
        await at.until_rows(before + 1)
    return at.rows()


def results(at: Line) -> list[ShadowResult]:
    file = ShadowFile.open(at.folder / "journal.sqlite3")
    if file is None:
        return []
    with file:
        return list(file.results(file.shadows()[0]))


async def command(at: Line, *words: str) -> dict[str, Any]:
    """Run ``edge-agent shadow`` beside the line, whose peers live in this loop; what it says."""
    ran = await asyncio.to_thread(edge_agent, "shadow", *words, "--config", str(at.config), "--json")
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


async def begin(at: Line, candidate: Path) -> dict[str, Any]:
    return await command(at, "begin", str(candidate), "--by", "Ada")


def shadow_pid(at: Line) -> int:
    """The process of the candidate; 0 where there is none."""
    assert at.agent is not None
    children = Path(f"/proc/{at.agent.pid}/task/{at.agent.pid}/children").read_text().split()
    for child in children:
        if b"edge_agent.shadow" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


async def test_a_candidate_judges_what_the_line_judged_and_says_where_they_differ(
    tmp_path: Path, thumbnail_bundle: Path, lenient: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        begun = await begin(at, lenient)
        assert begun["agent_runs"] is True
        rows = await parts(at, [good_image(1), bad_image(1), good_image(2), bad_image(2)])
        await at.until("results", lambda: len(results(at)) == 4)
        assert os.sched_getscheduler(shadow_pid(at)) == os.SCHED_IDLE
        found = newest_comparison(tmp_path / "journal.sqlite3")
        report = tmp_path / "shadow.html"
        await command(at, "report", "--out", str(report), "--language", "de")
        said = await command(at, "end", "--by", "Ada", "--why", "enough")
        await at.until("the end of the process", lambda: not shadow_pid(at))

    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.REJECT, Verdict.PASS, Verdict.REJECT]
    assert found is not None
    assert found.sides == {Side.BOTH_PASS: 2, Side.BOTH_REJECT: 0, Side.TO_REJECT: 0, Side.TO_PASS: 2}
    assert [one.part_seq for _, one in found.flips] == [rows[3].part_seq, rows[1].part_seq]
    page = report.read_text()
    assert "4 Teile verglichen: Beide sagen dasselbe von 2; 0 würden verworfen, 2 kämen durch." in page
    assert page.count("rejected today") == 0
    assert page.count("heute verworfen, vom Kandidaten durchgelassen; heute das ") == 2, "each flip with its picture"
    assert page.count("data:image/jpeg;base64,") >= 6
    assert (said["parts"], said["agreed"], said["to_pass"], said["ended_by"]) == (4, 2, 2, "Ada")
    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        ended, begun_event = (json.loads(event.detail) for event in journal.newest_events("SHADOW", 5))
    assert (begun_event["what"], begun_event["by"], begun_event["bundle_id"]) == ("begun", "Ada", begun["bundle_id"])
    assert (ended["what"], ended["why"], ended["to_pass"]) == ("ended", "enough", 2)
    for row, one in zip(rows, results_of(tmp_path), strict=True):
        assert one.score == row.cameras[0].score, "the same networks see the same image"


def results_of(folder: Path) -> list[ShadowResult]:
    file = ShadowFile.open(folder / "journal.sqlite3")
    assert file is not None
    with file:
        return list(file.results(file.shadows()[0]))


async def test_killed_at_random_every_part_is_there_once(tmp_path: Path, thumbnail_bundle: Path, lenient: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await begin(at, lenient)
        for number in range(1, 7):
            await parts(at, [good_image(number)])
            if number % 2:
                await at.until("the candidate's process", lambda: shadow_pid(at) != 0)
                os.kill(shadow_pid(at), signal.SIGKILL)
        rows = at.rows()
        await at.until("results", lambda: len(results(at)) == len(rows))
        assert at.agent is not None
        assert at.agent.returncode is None

    assert [one.part_seq for one in results_of(tmp_path)] == [row.part_seq for row in rows]
    assert {one.what for one in results_of(tmp_path)} == {What.JUDGED}
    assert {row.verdict for row in rows} == {Verdict.PASS}


async def test_a_candidate_that_is_altered_stops_alone_and_the_line_goes_on(
    tmp_path: Path, thumbnail_bundle: Path, lenient: Path
) -> None:
    mine = tmp_path / "candidate"
    shutil.copytree(lenient, mine)
    async with line(tmp_path, thumbnail_bundle) as at:
        await begin(at, mine)
        await at.until("the candidate's process", lambda: shadow_pid(at) != 0)
        await parts(at, [good_image(1)])
        await at.until("results", lambda: len(results(at)) == 1)
        network = next(mine.glob("*.onnx"))
        network.write_bytes(network.read_bytes()[:-1] + b"x")
        os.kill(shadow_pid(at), signal.SIGKILL)
        await at.until("the problem", lambda: network.name in _problem(tmp_path))
        rows = await parts(at, [good_image(2), bad_image(2)])
        shutil.rmtree(mine)
        shutil.copytree(lenient, mine)
        await at.until("results", lambda: len(results(at)) == 3, within_s=120)

    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.PASS, Verdict.REJECT]
    assert _problem(tmp_path) == "", "it was mended, and went on where it was"


async def test_it_ends_with_its_agent_however_that_ends(tmp_path: Path, thumbnail_bundle: Path, lenient: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await begin(at, lenient)
        await at.until("the candidate's process", lambda: shadow_pid(at) != 0)
        process = Path(f"/proc/{shadow_pid(at)}")
        assert at.agent is not None
        at.agent.kill()
        await at.agent.wait()
        await at.until("its end", lambda: not process.exists() or "zombie" in (process / "status").read_text())


def _problem(folder: Path) -> str:
    file = ShadowFile.open(folder / "journal.sqlite3")
    assert file is not None
    with file:
        return file.shadows()[0].problem


async def test_no_verdict_and_no_row_knows_of_a_candidate(
    tmp_path: Path, thumbnail_bundle: Path, lenient: Path
) -> None:
    images = [good_image(1), bad_image(1), good_image(2), b"no image", bad_image(2), good_image(3)]
    told = []
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
        async with line(tmp_path / name, thumbnail_bundle) as at:
            if name == "with":
                await begin(at, lenient)
                await at.until("the candidate's process", lambda at=at: shadow_pid(at) != 0)  # type: ignore[misc]
            rows = await parts(at, images)
            if name == "with":
                await at.until("results", lambda at=at, rows=rows: len(results(at)) == len(rows))  # type: ignore[misc]
            with JournalReader.open(at.folder / "journal.sqlite3") as journal:
                published = [journal.published(row.part_seq) for row in rows]
            told.append(([_but_times(row) for row in rows], published))

    for one, other in zip(told[0][0], told[1][0], strict=True):
        assert one == other
    assert told[0][1] == told[1][1]
    assert Verdict.PASS in {row.verdict for row in told[0][0]}


def _but_times(row: PartRow) -> PartRow:
    """What a part's row says, without clocks and the names of this run."""
    cameras = tuple(
        replace(camera, timings_ms={}, image_name=camera.image_name.split("_", 2)[2]) for camera in row.cameras
    )
    never = {"first_sign_mono_s": 0.0, "decided_mono_s": 0.0, "deadline_mono_s": 0.0, "decided_utc": ""}
    return replace(row, session="", cameras=cameras, **never)  # type: ignore[arg-type]


async def test_a_candidate_that_is_activated_ends_its_shadow_and_its_numbers_are_said(
    tmp_path: Path, thumbnail_bundle: Path, lenient: Path
) -> None:
    mine = tmp_path / "registry"
    shutil.copytree(thumbnail_bundle, mine)
    async with line(tmp_path, mine) as at:
        await begin(at, lenient)
        rows = await parts(at, [good_image(1), bad_image(1)])
        await at.until("results", lambda: len(results(at)) == 2)
        review = json.dumps({"part_seq": rows[1].part_seq, "says": "CONFIRMED"})
        await at.stop_agent()
        journal = Journal.open(tmp_path / "journal.sqlite3")
        await journal.event("REVIEW", review)
        journal.close()
        words = ("bundle", "activate", str(lenient), "--config", str(at.config), "--by", "Ada", "--json")
        ran = await asyncio.to_thread(edge_agent, *words)
        await at.start_agent()
        await at.until_ready()
        await parts(at, [bad_image(2)])
        await at.until("the end", lambda: "the line judges by it now" in _events(tmp_path))
        await at.until("the end of the process", lambda: not shadow_pid(at))

    assert ran.returncode == 0, ran.stderr
    assert f"KNOWN DEFECTS WOULD PASS by this bundle: part {rows[1].part_seq}" in ran.stderr
    said = json.loads(ran.stdout)["shadow"]
    assert (said["parts"], said["to_pass"], said["bad"]["of"], said["bad"]["wrong"]) == (2, 1, 1, 1)


def _events(folder: Path) -> str:
    with JournalReader.open(folder / "journal.sqlite3") as journal:
        return "\n".join(event.detail for event in journal.newest_events("SHADOW", 5))


@pytest.fixture
def config(tmp_path: Path, thumbnail_bundle: Path) -> Path:
    """A line.toml of a line where no agent runs, with a journal."""
    path = tmp_path / "line.toml"
    path.write_text(
        'schema_version = 1\n[line]\nname = "caps"\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n'
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        f'[[bundle]]\nprogram = 1\npath = "{thumbnail_bundle}"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )
    Journal.open(tmp_path / "j.sqlite3").close()
    return path


def refused(config: Path, candidate: Path) -> str:
    ran = edge_agent_here("shadow", "begin", str(candidate), "--config", str(config), "--by", "Ada")
    assert ran.code != 0
    file = ShadowFile.open(config.parent / "j.sqlite3")
    assert file is None or file.active() is None
    return ran.err


def test_a_candidate_of_another_place_is_refused(config: Path, lenient: Path) -> None:
    config.write_text(config.read_text().replace("program = 1", "program = 2"))
    assert "program 1, camera 1 has no [[bundle]]" in refused(config, lenient)


def test_a_candidate_for_images_of_another_size_is_refused(
    config: Path, lenient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bundle.load

    def other(folder: Path, **trusted: Any) -> Bundle:
        """The candidate's reference image is twice as wide; its hashes are proven before."""
        bundle = whole(folder, **trusted)
        return replace(bundle, reference=np.hstack([bundle.reference] * 2)) if folder == lenient else bundle

    monkeypatch.setattr(line_bundles.Bundle, "load", other)
    assert "was made of images of 320 x 120, the bundle in use of images of 160 x 120" in refused(config, lenient)


def test_a_damaged_candidate_is_refused(config: Path, lenient: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(lenient, damaged)
    network = next(damaged.glob("*.onnx"))
    network.write_bytes(network.read_bytes()[:-1] + b"x")
    assert network.name in refused(config, damaged)


def test_the_bundle_in_use_is_no_candidate(config: Path, thumbnail_bundle: Path) -> None:
    assert "is the bundle in use" in refused(config, thumbnail_bundle)


def test_without_an_archive_there_is_nothing_to_judge(config: Path, lenient: Path) -> None:
    config.write_text(config.read_text() + 'keep = "none"\n')
    assert 'store.keep is "none"' in refused(config, lenient)


def test_where_not_every_pass_is_kept_that_is_said(config: Path, lenient: Path) -> None:
    config.write_text(config.read_text() + "keep_pass_every = 10\n")
    ran = edge_agent_here("shadow", "begin", str(lenient), "--config", str(config), "--by", "Ada")
    assert ran.code == 0, ran.err
    assert "does not keep every PASS" in ran.out
    assert "no agent runs on this line" in ran.out


def test_only_whoever_may_begins_one(config: Path, lenient: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    add = ("--password-file", str(secret), "--config", str(config))
    assert (
        edge_agent_here(
            "users", "add", "Eva", "--role", "engineer", "--new-password-file", str(secret), "--config", str(config)
        ).code
        == 0
    )
    ran = edge_agent_here("shadow", "begin", str(lenient), "--config", str(config), "--by", "Ada")
    assert ran.code == 77
    signed = edge_agent_here("shadow", "begin", str(lenient), "--as", "Eva", *add)
    assert signed.code == 0, signed.err
    assert '"by": "Eva (engineer)"' in _journal(config)


def _journal(config: Path) -> str:
    with JournalReader.open(config.parent / "j.sqlite3") as journal:
        return "\n".join(event.detail for event in journal.newest_events("SHADOW", 5))
