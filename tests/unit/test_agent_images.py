"""Good parts out of a running agent's journal and archive: in order, proven, and none of another part or program."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import Judgement
from edge_agent.domain import Reason, Verdict
from edge_agent.errors import Unavailable
from edge_agent.settings import Settings, load_settings
from edge_agent.store.journal import Journal
from edge_agent.tools import agent_images
from edge_agent.tools.agent_images import AgentImages, check_kept
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from drivers.base import Capture
    from edge_agent.store.journal import PartRow

_TOML = """\
schema_version = 1
[line]
deadline_ms = 700
min_part_spacing_ms = 1000
[images]
spool = "spool"
[images.folder]
path = "drop"
[output]
host = "127.0.0.1"
{trigger}
[[bundle]]
program = 3
path = "bundle"
[store]
journal = "journal.sqlite3"
archive = "archive"
{store}
"""


def settings_of(folder: Path, *, store: str = "", trigger: str = "") -> Settings:
    (folder / "line.toml").write_text(_TOML.format(store=store, trigger=trigger))
    return load_settings(folder / "line.toml")


class Agent:
    """What a running agent leaves: rows and archived images."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal = Journal.open(settings.store.journal)

    async def row(self, seq: int, *, is_filed: bool = True, **changes: Any) -> PartRow:
        """A FAULT of program 4, which has no bundle; its image lies in the archive if it ``is_filed``."""
        camera = {"outcome": None, "reason": None, "score": None, "bundle_id": None}
        camera |= {key.removeprefix("camera_"): changes.pop(key) for key in list(changes) if key.startswith("camera_")}
        row = part_row(
            seq, **{"program": 4, "verdict": Verdict.FAULT, "reason": Reason.NOT_READY, "score": None, **changes}
        )
        digest = hashlib.sha256(b"image %d" % seq).hexdigest()
        row = replace(row, cameras=(replace(row.cameras[0], image_sha256=digest, **camera),))
        if is_filed:
            self.file(row)
        await self.journal.append(row)
        return row

    def file(self, row: PartRow, data: bytes | None = None) -> None:
        """Its image, as the archive names it."""
        folder = self.settings.store.archive / row.decided_utc[:10]
        folder.mkdir(parents=True, exist_ok=True)
        name = f"part_{row.part_seq:012d}_CAM1_FAULT_{row.cameras[0].image_sha256[:8]}.bmp"
        (folder / name).write_bytes(data or b"image %d" % row.part_seq)


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    found = Agent(settings_of(tmp_path))
    yield found
    found.journal.close()


async def opened(agent: Agent, tmp_path: Path, program: int = 4) -> AgentImages:
    images = AgentImages(agent.settings, program, 1, tmp_path / "good-spool")
    await images.open()
    return images


async def some(images: AgentImages, number: int) -> list[Capture]:
    async with asyncio.timeout(20):
        return [await images.next() for _ in range(number)]


def bytes_of(capture: Capture) -> bytes:
    assert capture.path is not None
    return capture.path.read_bytes()


async def test_parts_that_are_decided_from_now_on_come_proven_and_whole(agent: Agent, tmp_path: Path) -> None:
    await agent.row(1)
    images = await opened(agent, tmp_path)
    await agent.row(2, count=17)
    await agent.row(3, controller_judgement=Judgement.NG)

    first, second = await some(images, 2)

    assert (first.count, first.program, first.broken, bytes_of(first)) == (17, 4, None, b"image 2")
    assert first.sha256 == hashlib.sha256(b"image 2").hexdigest()
    assert second.judgement is Judgement.NG
    assert not list(agent.settings.store.archive.rglob("*.part*"))
    assert len(list(agent.settings.store.archive.rglob("*.bmp"))) == 3  # they are copied, not taken


async def test_a_part_that_is_written_behind_a_later_one_is_not_overlooked(agent: Agent, tmp_path: Path) -> None:
    images = await opened(agent, tmp_path)
    await agent.row(5)
    assert [one.count for one in await some(images, 1)] == [5]
    await agent.row(4)
    await agent.row(6)

    assert [one.count for one in await some(images, 2)] == [4, 6]


async def test_an_image_that_is_filed_later_is_waited_for_and_one_that_never_is_is_said(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = await opened(agent, tmp_path)
    row = await agent.row(1, is_filed=False)
    coming = asyncio.create_task(images.next())
    await asyncio.sleep(0)
    agent.file(row)
    assert bytes_of(await coming) == b"image 1"

    monkeypatch.setattr(agent_images, "_FILED_WITHIN_S", 0.0)
    await agent.row(2, is_filed=False)
    (gone,) = await some(images, 1)
    assert (gone.broken, gone.path) == (Reason.NO_IMAGE, None)
    assert "not in the archive" in gone.detail


async def test_who_gives_up_waiting_gets_the_same_image_the_next_time(agent: Agent, tmp_path: Path) -> None:
    images = await opened(agent, tmp_path)
    row = await agent.row(1, is_filed=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await images.next()
    agent.file(row)

    assert [bytes_of(one) for one in await some(images, 1)] == [b"image 1"]


async def test_what_is_broken_altered_or_of_another_part_comes_with_its_reason(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_images, "_FILED_WITHIN_S", 0.0)
    images = await opened(agent, tmp_path)
    await agent.row(1, camera_reason=Reason.IMAGE_BROKEN, camera_detail="truncated")
    await agent.row(2, verdict=Verdict.REJECT, reason=Reason.STALE, detail="the link had a gap")
    altered = await agent.row(3)
    agent.file(altered, b"somebody was here")
    await agent.row(4)

    found = await some(images, 4)

    assert [(one.broken, one.path is None) for one in found] == [
        (Reason.IMAGE_BROKEN, True),
        (Reason.STALE, True),
        (Reason.NO_IMAGE, True),
        (None, False),
    ]
    assert found[0].detail == "truncated"
    assert "is not the image that was judged" in found[2].detail


async def test_parts_of_another_program_are_passed_over_and_said(agent: Agent, tmp_path: Path) -> None:
    images = await opened(agent, tmp_path)
    await agent.row(1, program=3)
    await agent.row(2, program=None)
    await agent.row(3)

    assert [one.count for one in await some(images, 1)] == [3]

    await agent.row(4, program=3)
    coming = asyncio.create_task(images.next())
    async with asyncio.timeout(20):
        while images._other_program is None:
            await asyncio.sleep(0.05)
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    assert "the agent has ended" in await images.why_silent()  # no desk is open here


@pytest.mark.parametrize(
    ("program", "store", "trigger", "words"),
    [
        (4, 'keep = "none"', "", 'store.keep is "none"'),
        (3, 'keep = "rejects"', "", "keeps the images of its rejects but not of all parts that pass"),
        (3, "keep_pass_every = 10", "", "keeps the images of its rejects but not of all parts that pass"),
        (4, "", '[trigger]\nsource = "interval"\ninterval_ms = 2000', "sends no triggers while it is not READY"),
    ],
)
def test_where_the_agent_has_no_good_parts_to_give_nothing_is_collected(
    tmp_path: Path, program: int, store: str, trigger: str, words: str
) -> None:
    with pytest.raises(Unavailable, match=words) as refused:
        check_kept(settings_of(tmp_path, store=store, trigger=trigger), program)
    assert refused.value.hint


def test_a_program_without_a_bundle_needs_its_rejects_alone(tmp_path: Path) -> None:
    assert check_kept(settings_of(tmp_path, store='keep = "rejects"'), 4) == ""
    assert "what it rejects is collected as well" in check_kept(settings_of(tmp_path), 3)
