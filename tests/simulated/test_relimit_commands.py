"""edge-agent bundle relimit: what it would do, known defects, the new bundle, the journal, and a running agent."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.bundles.limits import move_limit
from edge_agent.bundles.prospect import LimitWish, foresee
from edge_agent.bundles.signing import make_key, public_key_file
from edge_agent.domain import Outcome, Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import switches
from edge_agent.runtime.claim import claimed_limits
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal, JournalReader, PartRow
from edge_agent.store.rotation import rotate
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.bundles import bundle_verified
from tests.command_line import Ran, edge_agent_here
from tests.security.web_site import part_row, reject_row
from tests.simulated.line import edge_agent, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

_TOML = """\
schema_version = 1
[line]
deadline_ms = 60000
min_part_spacing_ms = 70000
[images]
spool = "spool"
[images.folder]
path = "in"
[output]
host = "127.0.0.1"
[[bundle]]
program = 1
path = "bundles"
[store]
journal = "j.sqlite3"
archive = "a"
"""


@pytest.fixture
def config(tmp_path: Path, thumbnail_bundle: Path) -> Path:
    """A line without an agent, whose [[bundle]] path is a plain bundle with a limit of 1.5."""
    at_limit(shutil.copytree(thumbnail_bundle, tmp_path / "bundles"), 1.5)
    path = tmp_path / "line.toml"
    path.write_text(_TOML)
    path.chmod(0o600)
    return path


def at_limit(folder: Path, value: float, **more: Any) -> Path:
    found = json.loads((folder / MANIFEST).read_text())
    found["limit"] |= {"value": value, "review_from": value}
    (folder / MANIFEST).write_bytes(encode_manifest({**found, **more}))
    return folder


def judged(bundle_id: str, seq: int, score: float, limit: float = 1.5, **changes: Any) -> PartRow:
    """A part that this score decided."""
    make = part_row if score < limit else reject_row
    row = make(seq, score=score, limit=limit, bundle_id=bundle_id, **changes)
    is_ok = score < limit
    camera = replace(
        row.cameras[0],
        score=score,
        limit=limit,
        bundle_id=bundle_id,
        outcome=Outcome.OK if is_ok else Outcome.NG,
        reason=Reason.OK if is_ok else Reason.SCORE,
    )
    return replace(row, cameras=(camera,))


def journal_of(path: Path, rows: list[PartRow], **said: str) -> None:
    """Parts, and what people said of them: ``part_3="CONFIRMED"``."""

    async def write() -> None:
        for row in rows:
            await journal.append(row)
        for part, says in said.items():
            review = {"part_seq": int(part.removeprefix("part_")), "says": says, "by": "Ada", "note": ""}
            await journal.event("REVIEW", json.dumps(review))

    journal = Journal.open(path)
    try:
        asyncio.run(write())
    finally:
        journal.close()


def test_a_defect_that_came_to_be_known_after_somebody_looked_is_said(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    rows = [judged(bundle.id, 1, 1.6), judged(bundle.id, 2, 1.7)]
    journal_of(tmp_path / "j.sqlite3", rows, part_1="CONFIRMED")
    settings = load_settings(config)
    wish = LimitWish(1, 1, 1.8, "Ada", "a try", although_known_defects_pass=True)
    seen = foresee(settings, wish).defects_digest
    journal_of(tmp_path / "j.sqlite3", [], part_2="CONFIRMED")

    with pytest.raises(DataError, match=r"what is known has changed meanwhile.*part 2"):
        move_limit(settings, replace(wish, told=seen))

    assert Bundle.load(tmp_path / "bundles").id == bundle.id


def test_a_defect_over_which_people_differ_is_no_known_one_and_that_is_noted(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    rows = [judged(bundle.id, 1, 1.6), judged(bundle.id, 2, 1.7)]
    journal_of(tmp_path / "j.sqlite3", rows, part_1="CONFIRMED", part_2="CONFIRMED")
    wish = LimitWish(1, 1, 1.8, "Ada", "a try")
    assert [part.part_seq for part in foresee(load_settings(config), wish).parts] == [1, 2]

    differs = {"part_seq": 2, "says": "OVERTURNED", "by": "Lin", "note": ""}
    journal = Journal.open(tmp_path / "j.sqlite3")
    try:
        asyncio.run(journal.event("REVIEW", json.dumps(differs)))
    finally:
        journal.close()
    found = foresee(load_settings(config), wish)
    assert ([part.part_seq for part in found.parts], found.overturned) == ([1], 0), "neither good nor defective"
    assert "people differ over parts, which count as neither good nor defective: 1 (part 2)" in "\n".join(found.lines())
    would = "of these somebody calls defective what WOULD PASS by this limit; decide them first: 1 (part 2)"
    assert would in found.notes
    assert not any("WOULD PASS" in note for note in foresee(load_settings(config), replace(wish, to=1.65)).notes)


def relimit(config: Path, to: float, *more: str) -> Ran:
    words = ("--by", "A. Weber", "--why", "dust on the fixture")
    return edge_agent_here("bundle", "relimit", "--config", str(config), "--to", str(to), *words, *more)


def events(config: Path, kind: str) -> list[str]:
    with JournalReader.open(config.parent / "j.sqlite3") as journal:
        return [event.detail for event in journal.events() if event.kind == kind]


def test_what_it_would_do_is_said_and_nothing_done_without_a_yes(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    scores = {1: 0.2, 2: 1.3, 3: 1.6, 4: 1.9, 5: 1.7, 6: 9.0}
    rows = [judged(bundle.id, seq, score) for seq, score in scores.items()]
    rows.append(judged("another bundle", 7, 1.6))
    journal_of(tmp_path / "j.sqlite3", rows, part_5="OVERTURNED", part_6="CONFIRMED")

    ran = relimit(config, 1.8, "--json")
    lower = relimit(config, 1.2, "--json")

    assert (ran.code, lower.code) == (1, 1), ran.err
    assert "nothing was changed; the same command with --yes does it" in ran.err
    said = json.loads(ran.out)
    assert (said["limit"], said["to"], said["done"]) == (1.5, 1.8, False)
    assert (said["decided_by_score"], said["rejected_before"], said["rejected_then"]) == (6, 4, 2)
    assert (said["passes_to_reject_parts"], said["rejects_to_pass_parts"]) == ([], [3, 5])
    assert (said["of_them_confirmed"], said["of_them_overturned"]) == (0, 1)
    assert (said["good_parts_known"], said["good_parts_known_rejected"]) == (1, 0)
    assert said["good_parts"] == 24
    assert said["known_defect_parts"] == 1
    assert said["refusal"] is None
    assert json.loads(lower.out)["passes_to_reject_parts"] == [2]
    assert Bundle.load(tmp_path / "bundles").id == bundle.id
    assert (tmp_path / "bundles" / MANIFEST).exists()  # still the plain bundle that it was
    assert events(config, "LIMIT") == []


def test_the_new_bundle_says_who_and_why_and_is_loaded_by_everything(config: Path, tmp_path: Path) -> None:
    before = Bundle.load(tmp_path / "bundles")

    ran = relimit(config, 1.8, "--program", "1", "--yes", "--json")

    assert ran.code == 0, ran.err
    assert "no defect is known here: nothing says what this limit lets through" in ran.err
    said = json.loads(ran.out)
    after = Bundle.load(tmp_path / "bundles")
    assert (after.id, after.limit, after.review_from) == (said["new_bundle_id"], 1.8, 1.8)
    assert after.id != before.id
    assert after.created == before.created  # the day of the calibration
    assert after.manifest["files"] == before.manifest["files"]
    (change,) = after.manifest["limit_changes"]
    assert (change["parent"], change["limit"], change["to"]) == (before.id, 1.5, 1.8)
    assert (change["by"], change["why"]) == ("A. Weber", "dust on the fixture")
    (written,) = events(config, "LIMIT")
    assert f"program 1, camera 1: limit 1.5 -> 1.8 set by A. Weber at {change['at_utc']}" in written
    assert after.id in written
    assert [switch.by for switch in switches(tmp_path / "bundles")][1:] == ["A. Weber"]
    assert not list(tmp_path.glob(".relimit*"))

    listed = edge_agent_here("bundle", "list", "--config", str(config)).out
    shown = edge_agent_here("bundle", "show", str(after.folder)).out
    compared = edge_agent_here("bundle", "compare", str(before.folder / before.folder.name), str(after.folder)).out
    assert "limit 1.5 -> 1.8 set by A. Weber" in listed
    assert "limit_changes: ['limit 1.5 -> 1.8 set by A. Weber" in shown
    assert "The limit was set by A. Weber at" in shown
    assert "limit set by hand" in compared
    assert "the memory of good parts" not in compared
    assert bundle_verified(Site(config, load_settings(config))).result is Result.OK

    images = tmp_path / "images"
    images.mkdir()
    (images / "1.bmp").write_bytes(good_image(1))
    played = edge_agent_here("replay", str(images), "--config", str(config), "--json")
    assert played.code == 0, played.err
    assert [image["limit"] for image in json.loads(played.out)["results"]] == [1.8]

    back = edge_agent_here("bundle", "rollback", "--config", str(config), "--by", "Ada")
    assert back.code == 0, back.err
    assert Bundle.load(tmp_path / "bundles").id == before.id


def test_known_defects_that_would_pass_are_named_and_refused_until_somebody_says_although(
    config: Path, tmp_path: Path
) -> None:
    image = {"name": "bad2.bmp", "sha256": "ab" * 32, "outcome": "NG", "reason": "SCORE", "score": 1.55}
    defective = {"statement": "all were found", "missed": 0, "miss_bound_95": 0.9, "images": [image]}
    before = Bundle.load(at_limit(tmp_path / "bundles", 1.5, defective=defective))
    rows = [judged(before.id, 1, 1.6), judged(before.id, 2, 2.0)]
    journal_of(tmp_path / "j.sqlite3", rows, part_1="CONFIRMED", part_2="CONFIRMED")

    refused = relimit(config, 1.8, "--yes")
    assert refused.code == 65
    assert "known defects would pass: bad2.bmp (score 1.55), part 1 (score 1.6); none of them" in refused.err
    assert "by 1.55 or less" in refused.err
    assert "--although-known-defects-pass" in refused.err
    assert Bundle.load(tmp_path / "bundles").id == before.id
    assert relimit(config, 1.8, "--since", "2027-01-01 00:00").code == 65  # a defect does not grow old

    asked = relimit(config, 1.8, "--although-known-defects-pass")
    assert (asked.code, Bundle.load(tmp_path / "bundles").id) == (1, before.id)

    done = relimit(config, 1.8, "--yes", "--although-known-defects-pass")
    assert done.code == 0, done.err
    after = Bundle.load(tmp_path / "bundles")
    assert after.manifest["limit_changes"][0]["known_defects"] == ["bad2.bmp", "part 1"]
    assert "KNOWN DEFECTS PASS by it, 2: bad2.bmp, part 1." in after.manifest["limit"]["statement"]
    assert after.manifest["defective"]["images"][0]["outcome"] == "OK"
    assert "although 2 known defects pass" in events(config, "LIMIT")[0]

    # What was confirmed under the bundle before counts for the one that was made of it, and is said again.
    assert "part 1 (score 1.6, as today)" in relimit(config, 1.9, "--yes").err
    assert relimit(config, 1.55, "--yes").code == 0


def test_an_escape_is_a_known_defect_until_the_limit_stops_it(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    journal_of(tmp_path / "j.sqlite3", [judged(bundle.id, 1, 1.2), judged(bundle.id, 2, 1.1)], part_1="ESCAPE")

    assert "part 1 (score 1.2, as today)" in relimit(config, 1.3, "--yes").err
    assert Bundle.load(tmp_path / "bundles").id == bundle.id
    assert relimit(config, 1.15, "--yes").code == 0


def test_what_was_confirmed_in_a_journal_that_was_closed_is_not_forgotten(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    journal_of(tmp_path / "j.sqlite3", [judged(bundle.id, 1, 1.6)], part_1="CONFIRMED")
    closed = rotate(tmp_path / "j.sqlite3")

    assert "part 1 (score 1.6)" in relimit(config, 1.8, "--yes").err

    closed.rename(tmp_path / "elsewhere.sqlite3")
    away = relimit(config, 1.8)
    assert away.code == 1
    assert f"note: {closed.name}, the journal before, is not there" in away.out


def test_a_reject_that_something_else_rejects_as_well_is_none_that_would_pass(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    one = judged(bundle.id, 1, 1.6)
    second = replace(one.cameras[0], camera=2, bundle_id="other", image_sha256="cd" * 32)
    late = judged(bundle.id, 2, 1.6, reason=Reason.LATE)
    bypassed = replace(judged(bundle.id, 3, 1.6), verdict=Verdict.PASS, reason=Reason.BYPASS)
    journal_of(tmp_path / "j.sqlite3", [replace(one, cameras=(*one.cameras, second)), late, bypassed])

    said = json.loads(relimit(config, 1.8, "--json").out)

    assert (said["decided_by_score"], said["rejects_to_pass_parts"]) == (0, [])


def test_a_defect_that_two_cameras_stopped_is_not_forgotten_when_both_limits_are_moved(
    config: Path, tmp_path: Path
) -> None:
    second_camera = at_limit(shutil.copytree(tmp_path / "bundles", tmp_path / "second"), 1.5, camera=2)
    more = '[[bundle]]\nprogram = 1\ncamera = 2\npath = "second"\n[store]'
    config.write_text(_TOML.replace("[store]", more).replace("[line]", "[line]\ncameras = [1, 2]"))
    one = judged(Bundle.load(tmp_path / "bundles").id, 1, 1.6)
    two = replace(one.cameras[0], camera=2, bundle_id=Bundle.load(second_camera).id, image_sha256="cd" * 32)
    journal_of(tmp_path / "j.sqlite3", [replace(one, cameras=(*one.cameras, two))], part_1="CONFIRMED")

    done = relimit(config, 1.8, "--yes")
    assert done.code == 0, done.err  # the second camera stops it

    refused = relimit(config, 1.8, "--camera", "2", "--yes")
    assert refused.code == 65
    assert "known defects would pass: part 1 (score 1.6);" in refused.err
    assert relimit(config, 1.55, "--camera", "2", "--yes").code == 0


@pytest.mark.parametrize(
    ("verdict", "reason", "says"),
    [
        (Verdict.REJECT, Reason.NO_RESULT, "CONFIRMED"),
        (Verdict.REJECT, Reason.STALE, "CONFIRMED"),
        (Verdict.PASS, Reason.BYPASS, "ESCAPE"),
    ],
)
def test_a_defect_counts_whatever_else_decided_its_part(
    config: Path, tmp_path: Path, verdict: Verdict, reason: Reason, says: str
) -> None:
    row = judged(Bundle.load(tmp_path / "bundles").id, 1, 1.6)
    journal_of(tmp_path / "j.sqlite3", [replace(row, verdict=verdict, reason=reason)], part_1=says)

    assert "known defects would pass: part 1 (score 1.6);" in relimit(config, 1.8, "--yes").err


def test_a_late_reject_whose_score_was_good_is_no_known_defect(config: Path, tmp_path: Path) -> None:
    row = judged(Bundle.load(tmp_path / "bundles").id, 1, 0.2)
    late = replace(row, verdict=Verdict.REJECT, reason=Reason.LATE)
    journal_of(tmp_path / "j.sqlite3", [late], part_1="CONFIRMED")

    assert foresee(load_settings(config), LimitWish(1, 1, 1.8)).known_defects == ()


def test_a_defect_that_somebody_confirms_while_another_one_is_asked_is_said(config: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tmp_path / "bundles")
    journal_of(tmp_path / "j.sqlite3", [judged(bundle.id, 1, 1.6)])
    settings, wish = load_settings(config), LimitWish(1, 1, 1.8, "Ada", "a try", although_known_defects_pass=True)
    prospect = foresee(settings, wish)
    journal_of(tmp_path / "j.sqlite3", [], part_1="CONFIRMED")

    with pytest.raises(DataError, match=r"what is known has changed meanwhile.*part 1"):
        move_limit(settings, wish, prospect=prospect)

    assert Bundle.load(tmp_path / "bundles").id == bundle.id


def test_two_people_do_not_move_two_limits_of_a_line_at_once(config: Path, tmp_path: Path) -> None:
    bundle, settings = Bundle.load(tmp_path / "bundles"), load_settings(config)

    with claimed_limits(settings.store.journal), pytest.raises(AlreadyRunning, match="another limit of this line"):
        move_limit(settings, LimitWish(1, 1, 1.8, "Ada", "a try"))

    assert Bundle.load(tmp_path / "bundles").id == bundle.id


def test_a_line_that_asks_for_signatures_wants_the_key_again(config: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "ada.key", "Ada", None)
    trusted = public_key_file(tmp_path / "ada.key").read_text().strip()
    config.write_text(_TOML + f'[signatures]\ntrusted_keys = ["{trusted}"]\n')
    assert edge_agent_here("bundle", "sign", str(tmp_path / "bundles"), "--key", str(tmp_path / "ada.key")).code == 0
    before = Bundle.load(tmp_path / "bundles")

    without = relimit(config, 1.8, "--yes")
    assert without.code == 64
    assert "--key KEYFILE signs it here" in without.err
    assert Bundle.load(tmp_path / "bundles").id == before.id

    only_written = relimit(config, 1.8, "--yes", "--out", str(tmp_path / "new"))
    assert only_written.code == 0, only_written.err
    assert Bundle.load(tmp_path / "bundles").id == before.id
    assert Bundle.load(tmp_path / "new").limit == 1.8

    signed = relimit(config, 1.7, "--yes", "--key", str(tmp_path / "ada.key"))
    assert signed.code == 0, signed.err
    after = Bundle.load(tmp_path / "bundles", trusted=load_settings(config).trusted_keys)
    assert (after.limit, after.signature is not None) == (1.7, True)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--to", "1.5"), 64, "1.5 is the limit already"),
        (("--to", "nan"), 64, "is no limit"),
        (("--to", "-9"), 64, "is no limit"),
        (("--to", "1.8", "--by", " "), 64, "--by ' ' does not do"),
        (("--to", "1.8", "--why", "x" * 201), 64, "1 to 200 characters"),
        (("--to", "1.8", "--program", "9"), 64, "program 9, camera 1 has no [[bundle]]"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    config: Path, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    before = (tmp_path / "bundles" / MANIFEST).read_bytes()
    given = {"--by": "A. Weber", "--why": "dust"} | dict(zip(options[::2], options[1::2], strict=True))

    ran = edge_agent_here(
        "bundle", "relimit", "--config", str(config), "--yes", *(word for pair in given.items() for word in pair)
    )

    assert ran.code == code, ran.err
    assert words in ran.err
    assert (tmp_path / "bundles" / MANIFEST).read_bytes() == before


async def test_a_running_agent_judges_by_the_limit_that_it_started_with_and_its_journal_says_what_comes(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    bundle = shutil.copytree(thumbnail_bundle, tmp_path / "bundles")
    limit = Bundle.load(bundle).limit
    asked = ("bundle", "relimit", "--config", str(tmp_path / "line.toml"), "--to", "50", "--by", "Ada", "--why", "w")
    async with line(tmp_path, bundle) as at:
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(1)
        ran = await asyncio.to_thread(edge_agent, *asked, "--yes", "--json", cwd=tmp_path)
        await at.controller.wire_trigger(good_image(2))
        await at.until_rows(2)
        await at.stop_agent()
        await at.start_agent()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(3))
        rows = await at.until_rows(3)
        await at.stop_agent()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            told = [(event.kind, event.detail) for event in journal.events() if event.kind in ("LIMIT", "BUNDLE")]

    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["recorded_via"] == "agent"
    assert "next start" in said["takes_effect"]
    assert [row.limit for row in rows] == [limit, limit, 50.0]
    assert [row.bundle_id for row in rows] == [said["bundle_id"], said["bundle_id"], said["new_bundle_id"]]
    assert [kind for kind, _ in told] == ["BUNDLE", "LIMIT", "BUNDLE"]
    assert "set by Ada" in told[2][1]
