"""A replay by several processes of this machine: the bits of one process, and nothing is lost or done twice."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Capture, Outcome, Reason, Verdict
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.store.rows import CameraRow
from edge_agent.store.writer import JournalWriter
from edge_agent.tools.replay import replay_folder
from tests.plant import Ran, done_chunks, images_below, results, until, verdict_bits
from tests.shadowed import candidate_of
from tests.simulated.line import bad_image, edge_agent, good_image
from tests.simulated.poisoned_replay import POISON
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.tools.replay import ReplayedImage

pytestmark = pytest.mark.timeout(600)

NUMBER = 120


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_below(tmp_path_factory.mktemp("replayed"), NUMBER)


@pytest.fixture(scope="module")
def expected(images: Path, thumbnail_bundle: Path) -> list[tuple[object, ...]]:
    """What one process finds, by two threads."""
    return [verdict_bits(image) for image in in_one_process(images, thumbnail_bundle)]


def in_one_process(images: Path, bundle: Path) -> list[ReplayedImage]:
    inspector = Inspector(Bundle.load(bundle), threads=2)
    inspector.warm_up()
    return list(replay_folder(images, {(1, 1): inspector}, None, lambda *_: None).images)


def bits(out: Path) -> list[tuple[object, ...]]:
    return [verdict_bits(image) for image in results(out)]


def command(images: Path, bundle: Path, out: Path, *, chunk: int = 10, workers: int = 2) -> tuple[str, ...]:
    options = ("--out", str(out), "--workers", str(workers), "--chunk", str(chunk))
    return ("replay", str(images), "--bundle", str(bundle), *options)


def test_two_workers_find_what_one_process_finds_bit_for_bit(
    tmp_path: Path, images: Path, thumbnail_bundle: Path, expected: list[tuple[object, ...]]
) -> None:
    with Ran((*command(images, thumbnail_bundle, tmp_path / "out"), "--json")) as ran:
        code, out, err = ran.end()

    assert code == 0, err
    assert bits(tmp_path / "out") == expected
    facts = json.loads(out)
    assert (facts["images"], facts["verdicts"]) == (NUMBER, Counter(str(one[1]) for one in expected))
    assert facts["verdicts"]["REJECT"] >= NUMBER // 5
    assert facts == {**json.loads((tmp_path / "out" / "summary.json").read_text()), "out": str(tmp_path / "out")}
    assert f"{NUMBER} of {NUMBER} images (100.0%)" in err


def test_workers_and_client_that_are_killed_at_random_lose_and_double_nothing(
    tmp_path: Path, images: Path, thumbnail_bundle: Path, expected: list[tuple[object, ...]]
) -> None:
    out, chance = tmp_path / "out", random.Random(7)
    arguments = command(images, thumbnail_bundle, out, chunk=4)
    for _ in range(3):
        before = len(done_chunks(out))
        with Ran(arguments) as ran:
            kills_at = before + chance.randint(1, 4)
            until("chunk", lambda at=kills_at: len(done_chunks(out)) >= at)
            victims = ran.workers()
            chance.choice(victims).kill()
            until("chunk behind it", lambda at=kills_at: len(done_chunks(out)) > at)
            victims += ran.workers()
            ran.kill()
        # Of the client that is gone no worker is left: nobody judges the same chunk twice.
        until("end of the workers", lambda victims=victims: not any(one.is_running() for one in victims))
    kept = {path: path.stat().st_mtime_ns for path in done_chunks(out)}
    with Ran(arguments) as ran:
        code, _, err = ran.end()

    assert code == 0, err
    assert f"going on: {len(kept)} of 30 chunks are done" in err
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was judged is not judged again"
    assert len(done_chunks(out)) == 30
    assert bits(out) == expected


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(
    tmp_path: Path, images: Path, thumbnail_bundle: Path, expected: list[tuple[object, ...]]
) -> None:
    out = tmp_path / "out"
    # One image a chunk: most of the work is still to come when the first chunk is seen, also by a test that is held up.
    with Ran(command(images, thumbnail_bundle, out, chunk=1)) as ran:
        until("chunk", lambda: len(done_chunks(out)) >= 1)
        workers = ran.workers()
        ran.ctrl_c()
        code, _, err = ran.end()

    assert code == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert not any(one.is_running() for one in workers)
    with Ran(command(images, thumbnail_bundle, out, chunk=1)) as ran:
        code, _, err = ran.end()
    assert code == 0, err
    assert bits(out) == expected


def test_an_image_that_ends_its_workers_is_found_and_told_and_the_others_are_judged(
    tmp_path: Path, images: Path, thumbnail_bundle: Path, expected: list[tuple[object, ...]]
) -> None:
    copy = tmp_path / "images"
    shutil.copytree(images, copy)
    (copy / "b" / "0005.bmp").write_bytes(good_image(5) + POISON)
    out = tmp_path / "out"
    with Ran(command(copy, thumbnail_bundle, out), module="tests.simulated.poisoned_replay") as ran:
        code, told, err = ran.end()

    assert code == 0, err
    found = results(out)
    (poison,) = [image for image in found if image.path.name == "0005.bmp"]
    assert (poison.verdict, poison.reason) == (Verdict.REJECT, Reason.INTERNAL)
    assert "0005.bmp: not judged: this image ended three workers" in told
    others = [verdict_bits(image) for image in found if image is not poison]
    assert others == [one for one in expected if one[0] != "0005.bmp"]


def test_other_images_or_another_bundle_are_refused_with_what_differs(
    tmp_path: Path, images: Path, thumbnail_bundle: Path
) -> None:
    copy, out = tmp_path / "images", tmp_path / "out"
    copy.mkdir()
    for name in ("1.bmp", "2.bmp"):
        (copy / name).write_bytes(good_image(int(name[0])))
    with Ran(command(copy, thumbnail_bundle, out, workers=1)) as ran:
        code, _, err = ran.end()
    assert code == 0, err
    other = tmp_path / "other"
    candidate_of(thumbnail_bundle, other, 1000.0)

    said = {}
    said["bundle"] = edge_agent(*command(copy, other, out))
    said["chunk"] = edge_agent(*command(copy, thumbnail_bundle, out, chunk=3))
    (copy / "3.bmp").write_bytes(good_image(3))
    said["more"] = edge_agent(*command(copy, thumbnail_bundle, out))
    (copy / "3.bmp").unlink()
    (copy / "2.bmp").write_bytes(good_image(4))
    said["changed"] = edge_agent(*command(copy, thumbnail_bundle, out))
    said["source"] = edge_agent(*command(images, thumbnail_bundle, out))

    assert {what: ran.returncode for what, ran in said.items()} == {
        "bundle": 65, "chunk": 64, "more": 65, "changed": 65, "source": 65
    }  # fmt: skip
    assert "for program/camera 1/1 bundle" in said["bundle"].stderr
    assert "was begun in chunks of 10 images" in said["chunk"].stderr
    assert '3.bmp"' in said["more"].stderr
    assert '2.bmp"' in said["changed"].stderr
    assert str(images) in said["source"].stderr


def recorded(folder: Path, journal: Path, bundle: Path, number: int) -> None:
    """An archive of parts of two cameras, whose images lie far from each other, and what a line recorded of them.

    Of the last part the second image is not here; of the first one the recorded score is not what anybody finds.
    """
    inspector = Inspector(Bundle.load(bundle), threads=2)
    with closing(JournalWriter(journal)) as writer:
        for seq in range(1, number + 1):
            cameras = []
            for camera in (1, 2):
                data = bad_image(seq) if (seq + camera) % 4 == 0 else good_image(10 * seq + camera)
                found = inspector.inspect(data)
                name = f"part_{seq:012d}_CAM{camera}_PASS_{found.image_sha256[:8]}.bmp"
                (folder / f"cam{camera}").mkdir(parents=True, exist_ok=True)
                if (seq, camera) != (number, 2):
                    (folder / f"cam{camera}" / name).write_bytes(data)
                capture = Capture(seq, camera, "s", name, None, found.image_sha256, 0.0, None)
                row = CameraRow.of(capture, found)
                cameras.append(replace(row, score=0.5) if (seq, camera) == (1, 1) else row)
            bad = next((one for one in cameras if one.outcome is not Outcome.OK), None)
            verdict, reason = (Verdict.PASS, Reason.OK) if bad is None else (Verdict.REJECT, bad.reason or Reason.SCORE)
            writer.append(replace(part_row(seq, verdict=verdict, reason=reason), cameras=tuple(cameras), program=1))


def test_parts_of_two_cameras_are_decided_from_images_of_different_chunks(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    archive, journal, out = tmp_path / "archive", tmp_path / "journal.sqlite3", tmp_path / "out"
    recorded(archive, journal, thumbnail_bundle, 9)
    inspector = Inspector(Bundle.load(thumbnail_bundle), threads=2)
    here = replay_folder(archive, {(1, 1): inspector}, journal, lambda *_: None)

    arguments = (*command(archive, thumbnail_bundle, out, chunk=3, workers=1), "--journal", str(journal), "--json")
    with Ran(arguments) as ran:
        code, told, err = ran.end()

    assert code == 1, err
    assert bits(out) == [verdict_bits(image) for image in here.images]
    assert json.loads(told) == {**here.facts(), "out": str(out)}
    assert [image.recorded.part_seq for image in here.differences if image.recorded] == [1]
    assert here.compared == 17


def test_a_second_replay_in_the_same_folder_is_refused(tmp_path: Path, images: Path, thumbnail_bundle: Path) -> None:
    out = tmp_path / "out"
    with Ran(command(images, thumbnail_bundle, out, chunk=4)) as ran:
        until("list", (out / "replay.json").exists)
        ran.process.send_signal(signal.SIGSTOP)  # else it may be done before the second one has looked
        second = edge_agent(*command(images, thumbnail_bundle, out, chunk=4))
        ran.kill()

    assert second.returncode == 75
    assert "another replay works in" in second.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", "2"), "name it with --out"),
        (("--chunk", "2"), "name it with --out"),
        (("--out", "o", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"), "leave one of them out"),
        (("--out", "o", "--scheduler", "tcp://192.0.2.1:8786"), "can have it execute anything"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    tmp_path: Path, thumbnail_bundle: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "1.bmp").write_bytes(good_image(1))
    ran = edge_agent("replay", str(tmp_path), "--bundle", str(thumbnail_bundle), *options, cwd=tmp_path)

    assert ran.returncode == 64
    assert words in ran.stderr
