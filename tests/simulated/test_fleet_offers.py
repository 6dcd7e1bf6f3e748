"""A real line and a real fleet: a bundle is taken where line.toml says so, and by whose key; nothing else is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from edge_agent.bundles.line_bundles import proven
from edge_agent.bundles.signing import SigningKey, make_key, public_key_file, sign_bundle
from edge_agent.domain import Verdict
from edge_agent.fleet.bringing import bring_in
from edge_agent.fleet.bundles import folder_of
from edge_agent.fleet_line.messages import Offer
from edge_agent.fleet_line.offers import Following, signer_words
from edge_agent.fleet_line.server import FleetServer
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.registry import activate, bundle_in_use, rollback, switches
from edge_agent.settings import load_settings
from edge_agent.store.journal import JournalReader
from tests.fleet import Fleet, fleet_command
from tests.security.web_site import web_settings
from tests.shadowed import candidate_of
from tests.simulated.line import bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulated.line import Line

pytestmark = pytest.mark.timeout(400)


@dataclass
class Both:
    """A line that has joined a fleet, and a candidate that Ada signed."""

    fleet: Fleet
    at: Line
    candidate: Path
    candidate_id: str

    @property
    def bundles(self) -> Path:
        return self.at.folder / "bundles"

    async def command(self, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(fleet_command, self.fleet, *words)

    async def tile(self) -> dict[str, Any]:
        return (await asyncio.to_thread(self.fleet.lines))["Line 1"]

    async def until_tile(self, what: str, holds: Any) -> dict[str, Any]:
        for _ in range(600):
            try:
                tile = await self.tile()
            except (OSError, KeyError):
                tile = {}
            if tile and holds(tile):
                return tile
            await asyncio.sleep(0.2)
        raise AssertionError(f"no {what}: {tile}\n{self.at.log_tail()}")

    async def promote(self, folder: Path | None = None) -> None:
        await self.command("promote", str(folder or self.candidate), "--first", "Line 1", "--by", "Grace")

    def to_stage(self, stage: str) -> None:
        """As after enough parts, which a test does not wait for."""
        with closing(sqlite3.connect(self.fleet.folder / "fleet.sqlite3", timeout=20)) as database, database:
            database.execute("UPDATE promotion SET stage = ?, status = 'running'", (stage,))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Of the journal, the newest first."""
        with JournalReader.open(self.at.folder / "journal.sqlite3") as journal:
            return [json.loads(event.detail) for event in journal.newest_events(kind, 9)]

    async def judged(self, image: bytes) -> Verdict:
        before = len(self.at.rows())
        await self.at.controller.wire_trigger(image)
        return (await self.at.until_rows(before + 1))[-1].verdict


@asynccontextmanager
async def joined(folder: Path, bundle: Path, follow: str) -> AsyncIterator[Both]:
    make_key(folder / "ada.key", "Ada", None)
    key = SigningKey.read(folder / "ada.key", lambda: b"")
    shutil.copytree(bundle, folder / "bundles")
    sign_bundle(folder / "bundles", key, "Ada")
    candidate = folder / "candidate"
    candidate_id = candidate_of(bundle, candidate, 1000.0)
    sign_bundle(candidate, key, "Ada")
    fleet = Fleet(folder / "fleet")
    fleet.start()
    try:
        async with line(folder, folder / "bundles", start=False) as at:
            trusted = public_key_file(folder / "ada.key").read_text().strip()
            with at.config.open("a") as config:
                config.write(f'[signatures]\ntrusted_keys = ["{trusted}"]\n')
                config.write(f'[fleet]\nurl = "{fleet.url}"\nfollow = "{follow}"\n')
            both = Both(fleet, at, candidate, candidate_id)
            invited = await both.command("invite", "Line 1", "--by", "Grace")
            ran = await asyncio.to_thread(
                edge_agent, "fleet", "join", invited["invitation"], "--config", str(at.config)
            )
            assert ran.returncode == 0, ran.stderr
            await at.start_agent()
            await at.until_ready()
            await both.until_tile("READY", lambda tile: tile["state"] == "READY")
            yield both
    finally:
        fleet.kill()


def fleet_pid(at: Line) -> int:
    """The line's process for its fleet; 0 where there is none."""
    assert at.agent is not None
    children = Path(f"/proc/{at.agent.pid}/task/{at.agent.pid}/children").read_text().split()
    for child in children:
        if b"edge_agent.fleet_line" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


async def test_a_bundle_is_shadowed_put_to_use_and_left_again(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with joined(tmp_path, thumbnail_bundle, "activate") as both:
        before_id = bundle_in_use(both.bundles)[1]
        await both.promote()
        await both.until_tile("shadow", lambda tile: tile["shadow"])
        assert await both.judged(good_image(1)) is Verdict.PASS
        assert await both.judged(bad_image(1)) is Verdict.REJECT
        tile = await both.until_tile("comparison", lambda tile: tile["shadow"]["parts"] == 2)
        assert (tile["shadow"]["to_pass"], tile["passed"], tile["rejected"]) == (1, 1, 1)
        assert both.events("SHADOW")[0]["by"] == "fleet: Grace, promotion 1"

        both.to_stage("one")
        await both.until_tile("the bundle", lambda tile: tile["bundles"][0]["chosen_id"] == both.candidate_id)
        assert tile["bundles"][0]["bundle_id"] != both.candidate_id, "it judges from the agent's next start on"
        assert await both.judged(bad_image(2)) is Verdict.REJECT
        chosen = both.events("BUNDLE_CHOSEN")[0]
        assert (chosen["what"], chosen["by"]) == ("activate", "fleet: Grace, promotion 1")

        await both.command("stop", "1", "--by", "Grace", "--why", "enough")
        await both.until_tile("the old one", lambda tile: tile["bundles"][0]["chosen_id"] != both.candidate_id)
        last = switches(both.bundles)[-1]
        assert (last.what, last.by, last.why) == ("rollback", "fleet: Grace, promotion 1", "enough")
        assert before_id in (None, last.bundle_id)
        assert both.events("SHADOW")[0]["what"] == "ended"


async def test_what_a_person_on_the_line_chose_since_stays(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with joined(tmp_path, thumbnail_bundle, "activate") as both:
        await both.promote()
        both.to_stage("one")
        await both.until_tile("the bundle", lambda tile: tile["bundles"][0]["chosen_id"] == both.candidate_id)
        config = ("--config", str(both.at.config), "--by", "Ada")
        ran = await asyncio.to_thread(edge_agent, "bundle", "rollback", *config)
        assert ran.returncode == 0, ran.stderr
        await both.command("stop", "1", "--by", "Grace")
        await asyncio.sleep(4)  # nothing comes that could be waited for
        assert switches(both.bundles)[-1].by == "Ada"


@pytest.mark.parametrize("why", ["untrusted", "altered", "follows-nothing"])
async def test_what_this_line_does_not_take_is_refused_and_the_line_goes_on(
    tmp_path: Path, thumbnail_bundle: Path, why: str
) -> None:
    async with joined(tmp_path, thumbnail_bundle, "none" if why == "follows-nothing" else "shadow") as both:
        if why == "untrusted":
            make_key(tmp_path / "mallory.key", "Ada", None)
            sign_bundle(both.candidate, SigningKey.read(tmp_path / "mallory.key", lambda: b""), "Ada")
        if why == "follows-nothing":
            with pytest.raises(AssertionError, match="follows"):
                await both.promote()
            return
        if why == "altered":
            await both.at.stop_agent()
        await both.promote()
        if why == "altered":
            held = both.fleet.folder / "bundles" / both.candidate_id / "manifest.json"
            held.write_bytes(held.read_bytes().replace(b"1000.0", b"9000.0"))
            await both.at.start_agent()
            await both.at.until_ready()
        tile = await both.until_tile("refusal", lambda tile: any(a["kind"] == "refused" for a in tile["alerts"]))
        assert tile["shadow"] is None
        assert not both.events("SHADOW")
        assert await both.judged(good_image(1)) is Verdict.PASS
        assert await both.judged(bad_image(1)) is Verdict.REJECT


async def test_a_line_that_loses_its_fleet_goes_on_and_nothing_is_lost(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with joined(tmp_path, thumbnail_bundle, "activate") as both:
        assert await both.judged(good_image(1)) is Verdict.PASS
        both.fleet.kill()
        assert await both.judged(good_image(2)) is Verdict.PASS
        os.kill(fleet_pid(both.at), signal.SIGSTOP)
        assert await both.judged(good_image(3)) is Verdict.PASS
        os.kill(fleet_pid(both.at), signal.SIGKILL)
        assert await both.judged(bad_image(1)) is Verdict.REJECT
        await asyncio.to_thread(both.fleet.start)
        tile = await both.until_tile("all parts", lambda tile: tile["parts"] == 4)
        assert (tile["passed"], tile["rejected"]) == (3, 1)
        assert both.at.agent is not None
        assert both.at.agent.returncode is None


class ARegistry:
    """A line's bundles without an agent, and what its fleet would have brought there."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        make_key(folder / "ada.key", "Ada", None)
        key = SigningKey.read(folder / "ada.key", lambda: b"")
        self.folder, self.place = folder, folder / "bundle"
        shutil.copytree(bundle, self.place)
        sign_bundle(self.place, key, "Ada")
        self.first_id = str(read_manifest(self.place).content["id"])
        self.candidates = {}
        for number in (1, 2):
            candidate = folder / f"candidate-{number}"
            self.candidates[number] = candidate_of(bundle, candidate, 1000.0 * number)
            sign_bundle(candidate, key, "Ada")
        web_settings(folder)
        trusted = folder / "line.toml"
        trusted.write_text(
            trusted.read_text().replace("program = 3", "program = 1")
            + f'[signatures]\ntrusted_keys = ["{public_key_file(folder / "ada.key").read_text().strip()}"]\n'
            + '[fleet]\nurl = "http://127.0.0.1:1"\nfollow = "activate"\n'
        )
        self.settings = load_settings(trusted)
        assert self.settings.fleet is not None
        self.following = Following(self.settings, FleetServer(self.settings.fleet))

    def offer(self, number: int, stage: Literal["shadow", "activate", "withdrawn"]) -> Offer:
        entry = self.settings.bundle[0]
        return Offer(
            promotion_id=number,
            stage=stage,
            bundle_id=self.candidates[number],
            program=entry.program,
            camera=entry.camera,
            by="Grace",
        )

    def takes(self, number: int) -> None:
        """As the offer of that promotion is taken, after the bundle was fetched."""
        by = signer_words(self.offer(number, "activate"))
        prove = proven(self.settings, self.settings.bundle[0])
        activate(self.place, self.folder / f"candidate-{number}", by=by, why="", prove=prove)

    @property
    def in_use(self) -> str:
        return switches(self.place)[-1].bundle_id


def test_a_bundle_that_the_servers_disk_damaged_is_mended_by_promoting_it_again(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    """Lines refuse a damaged one, and ask for it again only after an hour."""
    at, fleet = ARegistry(tmp_path, thumbnail_bundle), tmp_path / "fleet"
    candidate = tmp_path / "candidate-1"
    place = folder_of(fleet, bring_in(fleet, candidate).id)
    for name in ("bank.npz", "manifest.json"):
        (place / name).write_bytes((place / name).read_bytes()[:-100])
        assert bring_in(fleet, candidate).id == at.candidates[1]
        assert (place / name).read_bytes() == (candidate / name).read_bytes()
    assert bring_in(fleet, place).id == at.candidates[1], "also by its own folder"
    assert [one.name for one in place.parent.iterdir()] == [place.name]


def test_behind_one_that_is_left_no_bundle_stands_that_was_withdrawn_as_well(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    at = ARegistry(tmp_path, thumbnail_bundle)
    at.takes(1)
    at.takes(2)
    at.following.step([at.offer(2, "activate"), at.offer(1, "withdrawn")], "s" * 43)
    assert at.in_use == at.candidates[2], "the newer one is as good as before"
    at.following.step([at.offer(1, "withdrawn"), at.offer(2, "withdrawn")], "s" * 43)
    assert at.in_use == at.first_id
    assert {(one.promotion_id, one.how) for one in at.following.taken} == {(2, "done"), (1, "done")}


def test_a_line_that_was_away_leaves_what_was_withdrawn_before_it_takes_what_is_new(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    at = ARegistry(tmp_path, thumbnail_bundle)
    at.takes(1)
    at.following.step([at.offer(2, "activate"), at.offer(1, "withdrawn")], "s" * 43)
    assert at.in_use == at.first_id, "the new one cannot be fetched here; the withdrawn one is left all the same"
    at.takes(2)
    at.following.step([at.offer(2, "withdrawn"), at.offer(1, "withdrawn")], "s" * 43)
    assert at.in_use == at.first_id


def test_a_withdrawn_bundle_that_a_person_went_back_to_stays(tmp_path: Path, thumbnail_bundle: Path) -> None:
    at = ARegistry(tmp_path, thumbnail_bundle)
    at.takes(1)
    at.takes(2)
    rollback(at.place, by="Ada", why="I know better", prove=proven(at.settings, at.settings.bundle[0]))
    at.following.step([at.offer(1, "withdrawn")], "s" * 43)
    assert at.in_use == at.candidates[1]
