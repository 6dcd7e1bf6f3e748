"""Replay: the image tells what it can, the record tells the rest, and what is not here is said."""

from __future__ import annotations

import hashlib
import tracemalloc
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from drivers.simulated.camera import encode_bmp
from edge_agent.domain import Inspection, Judgement, Outcome, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.store.shrink import shrunk
from edge_agent.store.writer import JournalWriter
from edge_agent.tools.replay import ReplayResult, replay_folder
from edge_agent.tools.replay.report import write_replay_report
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow

IMAGE = b"an image of a good part"
SHA256 = hashlib.sha256(IMAGE).hexdigest()


class Judges:
    """Every image is good, with the score that was recorded; ``score`` says otherwise."""

    def __init__(self, score: float = 0.1) -> None:
        self.score = score

    def inspect(self, data: bytes) -> Inspection:
        sha256 = hashlib.sha256(data).hexdigest()
        return Inspection(Outcome.OK, Reason.OK, self.score, 1.5, "bundle", sha256)


def row(seq: int, verdict: Verdict = Verdict.PASS, reason: Reason = Reason.OK, **changes: Any) -> PartRow:
    made = part_row(seq, verdict=verdict, reason=reason, **changes)
    cameras = tuple(
        replace(camera, image_sha256=SHA256, score=0.1, bundle_id="bundle", condition={}) for camera in made.cameras
    )
    return replace(made, cameras=changes.get("cameras", cameras), program=1)


def replayed(
    tmp_path: Path,
    rows: list[PartRow],
    images: list[int],
    score: float = 0.1,
    *,
    swapped: dict[int, bytes] | None = None,
    with_journal: bool = True,
) -> ReplayResult:
    """These rows in the journal, the images of these parts in the folder, some with other bytes under their names."""
    with closing(JournalWriter(tmp_path / "journal.sqlite3")) as writer:
        for recorded in rows:
            writer.append(recorded)
    folder = tmp_path / "archive"
    folder.mkdir()
    for seq in images:
        (folder / f"part_{seq:012d}_CAM1_PASS_{SHA256[:8]}.bmp").write_bytes((swapped or {}).get(seq, IMAGE))
    inspectors: Any = {(1, 1): Judges(score)}
    journal = tmp_path / "journal.sqlite3" if with_journal else None
    return replay_folder(folder, inspectors, journal, lambda *_: None)


@pytest.mark.parametrize(
    ("verdict", "reason", "judgement"),
    [
        (Verdict.PASS, Reason.OK, Judgement.OK),
        (Verdict.REJECT, Reason.CONTROLLER_NG, Judgement.NG),
        (Verdict.REJECT, Reason.LATE, Judgement.OK),
        (Verdict.REJECT, Reason.OVERRUN, Judgement.OK),
        (Verdict.REJECT, Reason.NO_RESULT, None),
        (Verdict.REJECT, Reason.STALE, None),
        (Verdict.REJECT, Reason.LOCKED, Judgement.OK),
        (Verdict.FAULT, Reason.NOT_READY, Judgement.OK),
        (Verdict.FAULT, Reason.JOURNAL, Judgement.OK),
    ],
)
def test_what_no_image_can_tell_is_taken_from_the_record(
    tmp_path: Path, verdict: Verdict, reason: Reason, judgement: Judgement | None
) -> None:
    result = replayed(tmp_path, [row(1, verdict, reason, controller_judgement=judgement)], [1])

    assert [(image.verdict, image.reason) for image in result.images] == [(verdict, reason)]
    assert result.exit_code == 0


def test_a_score_that_differs_in_its_last_bit_is_a_difference_even_of_a_late_part(tmp_path: Path) -> None:
    result = replayed(tmp_path, [row(1, Verdict.REJECT, Reason.LATE)], [1], score=0.10000000000000002)

    assert result.exit_code == 1
    assert "recorded score 0.1" in result.differences[0].difference


def test_an_image_that_is_kept_smaller_is_judged_by_the_very_bytes_that_came(tmp_path: Path) -> None:
    came = encode_bmp(np.tile(np.arange(64, dtype=np.uint8), (48, 1)))
    small = shrunk(came)
    assert small is not None
    with closing(JournalWriter(tmp_path / "journal.sqlite3")) as writer:
        for seq in (1, 2):
            writer.append(of(seq, came))
    sha256 = hashlib.sha256(came).hexdigest()
    (tmp_path / "archive").mkdir()
    for seq, stored in ((1, small), (2, small.replace(b"IDAT", b"IDAX"))):
        (tmp_path / "archive" / f"part_{seq:012d}_CAM1_PASS_{sha256[:8]}.png").write_bytes(stored)
    inspectors: Any = {(1, 1): Judges()}
    result = replay_folder(tmp_path / "archive", inspectors, tmp_path / "journal.sqlite3", lambda *_: None)

    assert [image.inspection.image_sha256 == sha256 for image in result.images] == [True, False]
    assert [image.is_altered for image in result.images] == [False, True]
    assert result.compared == 2


def test_a_sampled_archive_says_that_it_cannot_replay_the_shift(tmp_path: Path) -> None:
    rows = [row(seq) for seq in range(1, 7)]
    rows[2] = row(3, Verdict.REJECT, Reason.NO_IMAGE, cameras=())
    result = replayed(tmp_path, rows, [2, 6])
    words = "\n".join(result.summary())

    assert (result.of_record, result.absent) == (1, 2)
    assert result.exit_code == 0
    assert "the shift cannot" in words
    assert result.to_json()["parts_without_image_here"] == 2


def test_a_whole_archive_says_nothing_of_the_kind(tmp_path: Path) -> None:
    result = replayed(tmp_path, [row(1), row(2)], [1, 2])

    assert (result.of_record, result.absent) == (0, 0)
    assert "cannot" not in "\n".join(result.summary())


OTHER = b"an image of another part"


def of(seq: int, image: bytes, verdict: Verdict = Verdict.PASS, reason: Reason = Reason.OK) -> PartRow:
    """The row of a part with that image."""
    made = row(seq, verdict, reason)
    sha256 = hashlib.sha256(image).hexdigest()
    return replace(made, cameras=tuple(replace(camera, image_sha256=sha256) for camera in made.cameras))


@pytest.mark.parametrize("is_known", [True, False], ids=["of another part", "of nothing recorded"])
def test_an_archived_file_that_is_not_the_recorded_image_is_a_difference(tmp_path: Path, *, is_known: bool) -> None:
    rows = [row(1), *([of(2, OTHER)] if is_known else [])]
    result = replayed(tmp_path, rows, [1], swapped={1: OTHER})
    (image,) = result.images
    said = "\n".join(result.summary())

    assert result.exit_code == 1
    assert (image.verdict, image.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN), "it is not judged as that part's"
    assert image.recorded is not None
    assert image.recorded.part_seq == 1
    assert hashlib.sha256(OTHER).hexdigest() in image.difference
    assert SHA256 in image.difference
    assert image.difference in said
    assert "all identical" not in said
    assert result.to_json()["altered"] == 1


def test_a_file_that_is_not_what_its_name_says_is_told_without_a_journal(tmp_path: Path) -> None:
    result = replayed(tmp_path, [], [1, 2], swapped={1: OTHER}, with_journal=False)

    assert [bool(image.difference) for image in result.images] == [True, False]
    assert result.exit_code == 1
    assert SHA256[:8] in "\n".join(result.summary())


def test_another_file_whose_hash_begins_alike_is_told_by_the_journal(tmp_path: Path) -> None:
    begins_alike = replace(row(1).cameras[0], image_sha256=SHA256[:8] + "0" * 56)
    result = replayed(tmp_path, [row(1, cameras=(begins_alike,))], [1])

    assert result.exit_code == 1
    assert begins_alike.image_sha256 in result.images[0].difference


def test_an_archive_of_another_journal_is_not_taken_for_an_altered_one(tmp_path: Path) -> None:
    result = replayed(tmp_path, [of(1, OTHER)], [1])

    assert (result.compared, result.exit_code) == (0, 0)


def test_a_part_whose_image_changed_before_its_inspection_is_replayed_as_recorded(tmp_path: Path) -> None:
    never_judged = replace(row(1).cameras[0], outcome=None, reason=Reason.IMAGE_BROKEN, score=None, bundle_id=None)
    broken = row(1, Verdict.REJECT, Reason.IMAGE_BROKEN, cameras=(never_judged,))
    result = replayed(tmp_path, [broken], [1], swapped={1: OTHER})

    assert (result.images[0].verdict, result.images[0].reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)
    assert result.exit_code == 1, "the file is not what the record names"


def test_a_file_that_changes_while_the_report_is_made_is_refused(tmp_path: Path) -> None:
    result = replayed(tmp_path, [row(1)], [1])
    result.images[0].path.write_bytes(OTHER)
    judges: Any = Judges()
    judges.bundle = SimpleNamespace(id="bundle")

    with pytest.raises(DataError, match="changed while it was replayed"):
        write_replay_report(tmp_path / "report.html", result, {(1, 1): judges})


def test_what_was_passed_over_is_told_and_files_that_cannot_be_read_are_named_before_any_is_judged(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    (folder / "__MACOSX").mkdir(parents=True)
    (folder / "__MACOSX" / "._a.bmp").write_bytes(b"\0\5")
    (folder / "b.tif").write_bytes(b"II*\0")
    (folder / "a.bmp").write_bytes(IMAGE)
    inspectors: Any = {(1, 1): Judges()}

    result = replay_folder(folder, inspectors, None, lambda *_: None)

    assert [image.path.name for image in result.images] == ["a.bmp"]
    assert "__MACOSX" in "".join(result.summary())
    assert ".tif is not read" in "".join(result.summary())
    assert result.to_json()["notes"] == list(result.notes)

    (folder / "c.bmp").symlink_to(folder / "nowhere.bmp")
    (folder / "d.png").symlink_to(folder / "d.png")
    with pytest.raises(DataError) as refused:
        replay_folder(folder, {}, None, lambda *_: None)
    assert "c.bmp: a link that leads nowhere" in str(refused.value)
    assert "d.png: a link that leads nowhere" in str(refused.value)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_bytes(b"II*\0")

    with pytest.raises(DataError, match=r"holds no images: b\.tif is in a format") as refused:
        replay_folder(tmp_path, {}, None, lambda *_: None)
    assert "mogrify" in refused.value.hint


def test_images_that_cannot_be_judged_are_named_with_the_reason(tmp_path: Path) -> None:
    class Refuses(Judges):
        def inspect(self, data: bytes) -> Inspection:
            found = super().inspect(data)
            return replace(found, outcome=Outcome.NG, reason=Reason.IMAGE_BROKEN, detail="the file is empty")

    for name in ("a.bmp", "b.bmp"):
        (tmp_path / name).write_bytes(IMAGE)
    inspectors: Any = {(1, 1): Refuses()}

    result = replay_folder(tmp_path, inspectors, None, lambda *_: None)

    assert sum("bmp: the file is empty" in line for line in result.summary()) == 2
    results: Any = result.to_json()["results"]
    assert [one["detail"] for one in results] == ["the file is empty"] * 2


def test_the_memory_of_a_replay_does_not_hang_on_how_many_images_there_are(tmp_path: Path) -> None:
    inspectors: Any = {(1, 1): Judges()}
    peaks = []
    for number in (300, 3000):
        folder = tmp_path / str(number)
        folder.mkdir()
        for index in range(number):
            (folder / f"{index:05d}.bmp").write_bytes(IMAGE)
        tracemalloc.start()
        result = replay_folder(folder, inspectors, None, lambda *_: None)
        assert sum(image.verdict is Verdict.PASS for image in result.images) == number
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    # The names of the files are known beforehand: 360 bytes each. With what these judges say it would be 870.
    assert (peaks[1] - peaks[0]) / 2700 < 600
