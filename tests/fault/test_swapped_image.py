"""An image file that changes after it was proven: whatever stands in the journal is of the bytes that were judged."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from drivers.base import Published, Reason, Verdict
from edge_agent.domain import Inspection, Outcome
from edge_agent.store.journal import JournalReader
from tests.contract.test_capture_source import FolderBench, FtpBench, Running
from tests.fault.keyence_peer import bmp, image_name, soon, until
from tests.two_steps import AtOnce
from tests.unit.test_runtime_engine import Line, MemoryOutput, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from drivers.base import Capture, CaptureSource
    from edge_agent.store.journal import EventRow
    from tests.contract.test_capture_source import Bench

GOOD, BAD = bmp(fill=1), bmp(fill=0)
PROGRAM = 22
"""Of the folder that the bench's controller sends into."""


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Looks(AtOnce):
    """GOOD is good, all else is not; remembers what it was shown."""

    shown: list[bytes] = field(default_factory=list)

    def inspect(self, data: bytes) -> Inspection:
        self.shown.append(data)
        outcome, reason, score = (Outcome.OK, Reason.OK, 1.0) if data == GOOD else (Outcome.NG, Reason.SCORE, 3.0)
        return Inspection(outcome, reason, score, 2.0, "c0de" + 60 * "0", sha256_of(data))


@pytest.fixture(params=[FtpBench, FolderBench])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    maker: Callable[[Path], Bench] = request.param
    return maker(tmp_path)


@asynccontextmanager
async def running(bench: Bench, tmp_path: Path) -> AsyncIterator[tuple[CaptureSource, Line]]:
    """A source with its spool, and the engine that judges what comes from it."""
    async with Running(bench.make()) as source, line(tmp_path, program=PROGRAM, inspector=Looks(), deadline_s=5) as at:
        yield source, at


async def received(bench: Bench, source: CaptureSource, data: bytes, count: int = 31) -> Capture:
    """An image that the controller sent: proven, and in the spool."""
    await asyncio.to_thread(bench.send, image_name(count), data)
    capture = await soon(source.next())
    assert (capture.broken, capture.sha256) == (None, sha256_of(data))
    return capture


def spooled(capture: Capture) -> Path:
    assert capture.path is not None
    return capture.path


def altered(at: Line) -> list[EventRow]:
    with JournalReader.open(at.folder / "journal.sqlite3") as reader:
        return [event for event in reader.events() if event.kind == "IMAGE_ALTERED"]


async def test_the_row_has_the_hash_of_what_was_judged(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path) as (source, at):
        capture = await received(bench, source, GOOD)
        at.engine.on_capture(capture)
        at.result(31)
        (row,) = await at.rows(1)
        await until(lambda: not spooled(capture).exists(), "the filing")

        assert (row.verdict, row.cameras[0].image_sha256) == (Verdict.PASS, sha256_of(GOOD))
    assert altered(at) == []


async def test_an_image_that_is_another_one_at_its_inspection_is_not_judged(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path) as (source, at):
        capture = await received(bench, source, BAD)
        spooled(capture).write_bytes(GOOD)
        at.engine.on_capture(capture)
        at.result(31)
        (row,) = await at.rows(1)
        await until(lambda: bool(altered(at)), "the event")

    (camera,) = row.cameras
    (event,) = altered(at)
    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)
    assert "changed between its proof and its inspection" in row.detail
    assert sha256_of(GOOD) in row.detail
    assert (camera.outcome, camera.reason, camera.score) == (None, Reason.IMAGE_BROKEN, None)
    assert camera.image_sha256 == sha256_of(BAD), "the image that came, and that nobody judged"
    assert ("PASS", row.part_seq) not in at.output.said
    assert f"part {row.part_seq}, camera 1" in event.detail
    assert sha256_of(GOOD) in event.detail


async def test_an_image_that_is_gone_at_its_inspection_is_rejected_with_words(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path) as (source, at):
        capture = await received(bench, source, GOOD)
        spooled(capture).unlink()
        at.engine.on_capture(capture)
        at.result(31)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)
    assert "cannot be read again after its proof" in row.detail
    assert row.cameras[0].outcome is None


async def test_a_writer_that_goes_on_in_a_file_that_was_taken_is_found(tmp_path: Path) -> None:
    bench = FolderBench(tmp_path)
    async with running(bench, tmp_path) as (source, at):
        folder = tmp_path / "in" / "SD1_022" / "221020_103900" / "CAM1"
        folder.mkdir(parents=True)
        with (folder / image_name(31)).open("wb", buffering=0) as still_open:
            still_open.write(BAD)
            capture = await soon(source.next())
            still_open.seek(0)
            still_open.write(GOOD)
        assert (capture.broken, capture.sha256) == (None, sha256_of(BAD))
        at.engine.on_capture(capture)
        at.result(31)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)


async def test_a_file_that_is_written_again_under_its_name_is_another_capture(tmp_path: Path) -> None:
    bench = FolderBench(tmp_path)
    async with running(bench, tmp_path) as (source, at):
        first = await received(bench, source, BAD)
        second = await received(bench, source, GOOD)
        assert (first.name, spooled(first).read_bytes()) == (second.name, BAD)
        at.engine.on_capture(first)
        at.engine.on_capture(second)
        at.result(31)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)
    assert row.cameras[0].image_sha256 == sha256_of(BAD)


async def test_an_image_that_changes_after_its_verdict_is_kept_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, publish = FtpBench(tmp_path), MemoryOutput.publish
    async with running(bench, tmp_path) as (source, at):
        capture = await received(bench, source, GOOD)

        async def published(self: MemoryOutput, *said: object, **more: object) -> Published:
            spooled(capture).write_bytes(BAD)
            return await publish(self, *said, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(MemoryOutput, "publish", published)
        at.engine.on_capture(capture)
        at.result(31)
        (row,) = await at.rows(1)
        await until(lambda: bool(altered(at)), "the event")

    (event,) = altered(at)
    (kept,) = (tmp_path / "archive").rglob("part_*")
    assert (row.verdict, row.cameras[0].image_sha256) == (Verdict.PASS, sha256_of(GOOD)), "that is what was judged"
    assert kept.read_bytes() == BAD
    assert sha256_of(GOOD) in event.detail
    assert sha256_of(BAD) in event.detail
