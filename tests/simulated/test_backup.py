"""Backup and restore: what is cut, bent or newer is refused; a killed one leaves the old line or the new."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from drivers.timing import monotonic_s
from edge_agent.domain import Reason
from edge_agent.errors import AlreadyRunning, DataError, UsageError
from edge_agent.fleet_line.secret import read_secret, secret_file, write_secret
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.registry import POINTER
from edge_agent.people.roles import Role
from edge_agent.people.users import Users, changing_users, users_path
from edge_agent.runtime.claim import claimed_restore
from edge_agent.settings import load_settings, unfinished_note
from edge_agent.store import opening, schema
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.kept import KEPT, kept_files
from edge_agent.tools.backup import restoring
from edge_agent.tools.backup.making import make_nightly
from edge_agent.tools.backup.placing import standing_at
from edge_agent.tools.backup.proving import verify
from edge_agent.tools.backup.restoring import RESTORED, Restored, restore
from edge_agent.tools.backup.switching import finish
from tests.a_backup import a_line, backed_up, part, tree, write_parts
from tests.command_line import edge_agent_here
from tests.other_user import SERVICE, give, owners
from tests.simulated.line import good_image, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.tools.backup.placing import Place

pytestmark = pytest.mark.slow
BLOCK = 512


@pytest.fixture
def old(tmp_path: Path, thumbnail_bundle: Path) -> Path:
    """A line; its line.toml."""
    return a_line(tmp_path / "old", thumbnail_bundle)


@pytest.fixture
def saved(old: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    return backed_up(old, tmp_path / "line.backup.tar").file


def bring_back(file: Path, config: Path, *, over: bool = False) -> Restored:
    config.parent.parent.mkdir(exist_ok=True)
    return restore(file, config, root=None, over=over, by="Ada")


def refused(file: Path, new: Path) -> str:
    """The words of the refusal; nothing at all was written."""
    before = tree(new.parent)
    with pytest.raises(DataError) as err:
        bring_back(file, new / "line.toml")
    assert tree(new.parent) == before
    assert not new.exists()
    with pytest.raises(DataError):
        verify(file)
    return str(err.value)


def events_of(journal: Path, kind: str) -> list[dict[str, Any]]:
    with JournalReader.open(journal) as reader:
        return [json.loads(event.detail) for event in reader.events_of((kind,))]


@pytest.mark.parametrize("kept", [0, 100, BLOCK, 5000, -BLOCK, -1])
def test_a_backup_that_was_cut_is_refused_and_nothing_is_written(saved: Path, tmp_path: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])

    assert "line.backup.tar" in refused(saved, tmp_path / "new" / "pc")


def test_one_changed_byte_is_refused_wherever_it_is(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    chosen = random.Random(7)
    places = [0, 150, BLOCK + 5, len(whole) - 1, *(chosen.randrange(len(whole)) for _ in range(60))]

    for at in places:
        bent = bytearray(whole)
        bent[at] ^= 1 << chosen.randrange(8)
        saved.write_bytes(bent)
        with pytest.raises(DataError):
            bring_back(saved, tmp_path / "new" / "pc" / "line.toml")

    assert not (tmp_path / "new" / "pc").exists()


def test_something_behind_the_end_is_refused(saved: Path, tmp_path: Path) -> None:
    with saved.open("ab") as file:
        file.write(bytes(BLOCK))

    assert "its members take" in refused(saved, tmp_path / "new" / "pc")


def sealed(head: bytes, members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar whose own sha256 of ``head`` is right, with any members."""
    file = BytesIO()
    proof = tarfile.TarInfo("backup.json.sha256"), f"{sha256(head).hexdigest()}\n".encode()
    for info, data in [(tarfile.TarInfo("backup.json"), head), proof, *members]:
        info.size, info.mode = len(data), 0o600
        block = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
        file.write(block + data + bytes(-len(data) % BLOCK))
    file.write(bytes(2 * BLOCK))
    return file.getvalue()


def told(saved: Path) -> dict[str, Any]:
    with tarfile.open(saved) as tar:
        file = tar.extractfile("backup.json")
        assert file is not None
        found: dict[str, Any] = json.load(file)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "state/../../outside",
        "state/..",
        "bundles/1-1/../x",
        "state/a/b",
        "state/",
        "",
        "x",
    ],
)
def test_a_member_that_leads_elsewhere_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    said = told(saved)
    said["members"].append({"name": name, "size": 1, "sha256": sha256(b"x").hexdigest()})
    saved.write_bytes(sealed(json.dumps(said).encode(), []))

    assert "is no name of a member" in refused(saved, tmp_path / "new" / "pc")


@pytest.mark.parametrize("name", ["state/authorized_keys", "journal/closed/other.sqlite3", "bundles/2-1/manifest.json"])
def test_a_member_that_line_toml_has_no_place_for_is_refused(old: Path, saved: Path, tmp_path: Path, name: str) -> None:
    said, toml = told(saved), old.read_bytes()
    extra = {"name": name, "size": 1, "sha256": sha256(b"x").hexdigest()}
    said |= {"members": [said["members"][0], extra], "head": ""}
    saved.write_bytes(
        sealed(json.dumps(said).encode(), [(tarfile.TarInfo("line.toml"), toml), (tarfile.TarInfo(name), b"x")])
    )
    new = tmp_path / "new" / "pc"

    with pytest.raises(DataError, match="has no place"):
        bring_back(saved, new / "line.toml")
    assert not new.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_link_or_a_device_is_refused(old: Path, saved: Path, tmp_path: Path, kind: bytes) -> None:
    said, toml = told(saved), old.read_bytes()
    said |= {"members": [said["members"][0]], "head": ""}
    info = tarfile.TarInfo("line.toml")
    info.type, info.linkname = kind, "/etc/passwd"
    saved.write_bytes(sealed(json.dumps(said).encode(), [(info, toml)]))

    assert "line.toml" in refused(saved, tmp_path / "new" / "pc")


def test_what_declares_more_than_the_file_has_is_refused_before_a_byte_of_it_is_read(
    saved: Path, tmp_path: Path
) -> None:
    said = told(saved)
    said["members"][1]["size"] = 1 << 49
    saved.write_bytes(sealed(json.dumps(said).encode(), []))

    assert "bytes of" in refused(saved, tmp_path / "new" / "pc")


def test_a_head_that_says_nothing_else_but_numbers_without_end_is_refused(saved: Path, tmp_path: Path) -> None:
    saved.write_bytes(sealed(b"[" * 100_000, []))

    assert "cannot be read" in refused(saved, tmp_path / "new" / "pc")


@pytest.mark.parametrize(
    ("key", "value"), [("edge_agent", "99.0.0"), ("journal_schema", 99), ("schema_version", 2), ("edge_agent", "0.2")]
)
def test_a_backup_of_a_newer_version_is_refused_with_the_way_out(
    saved: Path, tmp_path: Path, key: str, value: object
) -> None:
    saved.write_bytes(sealed(json.dumps(told(saved) | {key: value}).encode(), []))
    new = tmp_path / "new" / "pc"

    with pytest.raises(DataError, match="this is the older") as err:
        bring_back(saved, new / "line.toml")
    assert "install edge-agent" in err.value.hint
    assert not new.exists()


def test_a_journal_that_was_altered_before_the_backup_is_not_restored(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old.parent / "state/journal.sqlite3")) as journal:
        journal.executescript("DROP TRIGGER part_is_not_changed; UPDATE part SET verdict = 'FAULT' WHERE part_seq = 2")
    saved = backed_up(old, tmp_path / "line.backup.tar").file
    new = tmp_path / "new"

    proof = verify(saved)
    assert any("part 2 is not the row that was sealed" in problem for problem in proof.problems)
    with pytest.raises(DataError, match="does not prove itself"):
        bring_back(saved, new / "line.toml")
    assert not new.exists()
    assert edge_agent_here("backup", "--verify", str(saved)).code == 1


def test_an_altered_bundle_is_found(old: Path, tmp_path: Path) -> None:
    bundle = old.parent / "state/bundles/cursor"
    file = next(path for path in sorted(bundle.iterdir()) if path.suffix == ".onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    saved = backed_up(old, tmp_path / "line.backup.tar").file

    assert any("bundle of program 1" in problem for problem in verify(saved).problems)


def test_nothing_that_is_there_is_written_over(old: Path, saved: Path) -> None:
    before = tree(old.parent)

    with pytest.raises(UsageError, match="there is something already") as err:
        bring_back(saved, old)

    assert "--over" in err.value.hint
    assert tree(old.parent) == before


def test_what_is_there_is_put_away_with_the_time_and_can_still_be_read(old: Path, saved: Path) -> None:
    write_parts(old.parent / "state/journal.sqlite3", 4, 6)
    old.write_text(old.read_text() + "# changed since\n")

    restored = bring_back(saved, old, over=True)

    names = {path.name.split(".before-")[0] for path in restored.put_away}
    assert names >= {"line.toml", "journal.sqlite3", "cursor", "journal.sqlite3.webhook.position"}
    away = next(path for path in restored.put_away if path.name.startswith("journal.sqlite3.before-"))
    with JournalReader.open(away) as reader:
        assert [row.part_seq for row in reader.rows()] == [1, 2, 3, 4, 5, 6]
    assert "# changed since" not in old.read_text()
    with JournalReader.open(old.parent / "state/journal.sqlite3") as reader:
        assert [row.part_seq for row in reader.rows()] == [1, 2, 3]


def test_a_line_whose_journal_has_another_name_makes_way_as_well(old: Path, saved: Path) -> None:
    write_parts(old.parent / "state/other.sqlite3", 1, 1)
    old.write_text(old.read_text().replace("journal.sqlite3", "other.sqlite3"))
    running = Journal.open(old.parent / "state/other.sqlite3")
    try:
        with pytest.raises(AlreadyRunning):
            bring_back(saved, old, over=True)
    finally:
        running.close()

    bring_back(saved, old, over=True)

    assert load_settings(old).store.journal.name == "journal.sqlite3"


def test_a_restore_waits_for_no_agent_and_takes_nothing_from_one_that_runs(old: Path, saved: Path) -> None:
    running = Journal.open(old.parent / "state/journal.sqlite3")
    try:
        before = tree(old.parent)
        with pytest.raises(AlreadyRunning):
            bring_back(saved, old, over=True)
        assert tree(old.parent) == before
    finally:
        running.close()


def agent_run(config: Path) -> subprocess.CompletedProcess[str]:
    """A real start of an agent, which gives up by itself where somebody holds its line."""
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(180)
def test_an_agent_that_starts_while_a_restore_looks_is_held_off(
    old: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be put away while it writes: the restore holds the line before it looks what is there."""
    started: list[subprocess.CompletedProcess[str]] = []

    def looked(places: Iterable[Place], journal: Path) -> list[Path]:
        found = standing_at(places, journal)
        started.append(agent_run(old))
        return found

    monkeypatch.setattr(restoring, "standing_at", looked)

    bring_back(saved, old, over=True)

    assert [ran.returncode for ran in started] == [75] * len(started), started[0].stderr
    assert len(started) >= 2, "before anything is written, and right before it is put away"
    assert "another edge-agent holds the journal" in started[0].stderr


HOLDS_THE_LOCK = """
import sys
from pathlib import Path
from edge_agent.store.opening import take_lock
held = take_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.timeout(120)
def test_an_agent_that_the_names_of_this_pc_do_not_reach_is_seen_before_anything_is_put_away(
    old: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container of its own, on a line without a journal: its lock file is there only once it has started."""
    journal = old.parent / "state/journal.sqlite3"
    journal.with_name(journal.name + ".lock").unlink()
    prove, before = restoring._prove, old.read_bytes()
    with ExitStack() as running:

        def proved(*known: Any) -> None:
            prove(*known)
            command = [sys.executable, "-c", HOLDS_THE_LOCK, str(journal)]
            agent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            running.enter_context(agent)
            assert agent.stdout is not None
            assert agent.stdout.readline() == "held\n"

        monkeypatch.setattr(restoring, "_prove", proved)
        with pytest.raises(AlreadyRunning, match="another edge-agent holds the journal"):
            bring_back(saved, old, over=True)

    assert old.read_bytes() == before
    assert not list(old.parent.rglob("*.before-*"))
    assert not list(old.parent.rglob("*restoring-new*"))


def test_two_restores_of_one_line_do_not_do_each_others_renames(old: Path, saved: Path) -> None:
    with claimed_restore(old):
        with pytest.raises(AlreadyRunning, match="another restore of"):
            bring_back(saved, old, over=True)
        rest = edge_agent_here("restore", "--finish", "--config", str(old))
    assert (rest.code, "another restore of" in rest.err) == (75, True)


def test_what_a_backup_holds_and_what_it_does_not(old: Path, tmp_path: Path) -> None:
    made = backed_up(old, tmp_path / "line.backup.tar")

    names = [member.name for member in made.contents.members]
    assert names[0] == "line.toml"
    assert names[1:] == sorted(names[1:])
    assert {"journal/current", "state/journal.sqlite3.webhook.position", "bundles/1-1/manifest.json"} <= set(names)
    assert made.contents.left_out == {"images.ftp.password_file": str(old.parent / "ftp.password")}
    assert made.contents.archive_bytes == len(b"not in a backup")
    content = made.file.read_bytes()
    assert b"the-secret-word" not in content
    assert b"not in a backup" not in content
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert made.sha256 == sha256(content).hexdigest()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with tarfile.open(made.file) as tar:  # any tar reads it
        assert tar.getnames()[2:] == names
    assert verify(made.file).problems == ()


def test_two_backups_of_one_state_differ_in_their_time_alone(old: Path, tmp_path: Path) -> None:
    one = backed_up(old, tmp_path / "1.tar").contents
    two = backed_up(old, tmp_path / "2.tar").contents

    assert replace(one, made_utc="") == replace(two, made_utc="")


def test_the_list_of_kept_files_is_one(old: Path) -> None:
    state = old.parent / "state"
    for name in KEPT:
        (state / name.format(journal="journal.sqlite3").replace("*", "mqtt")).write_text("{}")
    (state / "something-else.json").write_text("{}")

    found = {path.name for path in kept_files(state / "journal.sqlite3")}

    assert "journal.sqlite3.users" in found
    assert "something-else.json" not in found
    assert len(found) == len(KEPT) + 1  # the position of two receivers


def test_what_users_are_kept_by_comes_back_for_its_owner_alone(old: Path, tmp_path: Path) -> None:
    users = old.parent / "state/journal.sqlite3.users"
    users.write_text("hashes")
    users.chmod(0o600)

    bring_back(backed_up(old, tmp_path / "line.backup.tar").file, tmp_path / "new" / "line.toml")

    back = tmp_path / "new/state/journal.sqlite3.users"
    assert (back.read_text(), back.stat().st_mode & 0o777) == ("hashes", 0o600)


def test_the_journal_is_copied_to_one_moment_while_it_is_written(old: Path, tmp_path: Path) -> None:
    journal = old.parent / "state/journal.sqlite3"
    began, enough, slowest = threading.Event(), threading.Event(), [0.0]
    written: list[int] = []

    async def write() -> None:
        running = Journal.open(journal)
        number = running.next_part_seq
        while not enough.is_set():
            since = monotonic_s()
            await running.append(part(number))
            slowest[0] = max(slowest[0], monotonic_s() - since)
            written.append(number)
            number += 1
            if len(written) >= 50:
                began.set()
        running.close()

    writer = threading.Thread(target=asyncio.run, args=(write(),))
    writer.start()
    try:
        assert began.wait(60)
        before = written[-1]
        made = backed_up(old, tmp_path / "line.backup.tar")
        after = written[-1]
    finally:
        enough.set()
        writer.join()

    assert before <= made.contents.last_part_seq <= after
    assert after > before, "it went on being written"
    assert verify(made.file).problems == ()
    bring_back(made.file, tmp_path / "new" / "line.toml")
    with JournalReader.open(tmp_path / "new/state/journal.sqlite3") as reader:
        assert [row.part_seq for row in reader.rows()] == list(range(1, made.contents.last_part_seq + 1))


def test_closed_journals_come_along_and_follow_each_other(old: Path, tmp_path: Path) -> None:
    assert edge_agent_here("journal", "rotate", "--config", str(old)).code == 0
    write_parts(old.parent / "state/journal.sqlite3", 4, 5)

    saved = backed_up(old, tmp_path / "line.backup.tar").file
    bring_back(saved, tmp_path / "new" / "line.toml")

    assert verify(saved).problems == ()
    closed = tmp_path / "new/state/journal-000000000001-000000000003.sqlite3"
    with JournalReader.open(closed) as reader:
        assert [row.part_seq for row in reader.rows()] == [1, 2, 3]


def test_a_restored_journal_goes_on_with_its_chain_and_says_where_it_comes_from(saved: Path, tmp_path: Path) -> None:
    head = told(saved)["head"]
    new = tmp_path / "new"

    restored = bring_back(saved, new / "line.toml")

    journal = new / "state/journal.sqlite3"
    (event,) = events_of(journal, RESTORED)
    assert event["sha256"] == sha256(saved.read_bytes()).hexdigest() == restored.sha256
    assert (event["file"], event["by"], event["head"]) == (str(saved), "Ada", head)
    write_parts(journal, 4, 4)
    said = edge_agent_here("journal", "verify", "--config", str(new / "line.toml"), "--head", head)
    assert (said.code, said.err.strip()) == (0, "")
    assert (new / "line.toml").stat().st_mode & 0o777 == 0o640
    assert journal.stat().st_mode & 0o777 == 0o640


def test_an_older_journal_is_brought_up_to_date_by_the_restore(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = old.parent / "state"
    for path in state.glob("journal.sqlite3*"):
        path.unlink()
    older = schema.SCHEMA_VERSION - 1
    with monkeypatch.context() as past:
        past.setattr(schema, "SCHEMA_VERSION", older)
        opening.open_database(state / "journal.sqlite3").close()
    made = backed_up(old, tmp_path / "line.backup.tar")
    assert made.contents.journal_schema == older

    bring_back(made.file, tmp_path / "new" / "line.toml")

    with closing(sqlite3.connect(tmp_path / "new/state/journal.sqlite3")) as journal:
        assert journal.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
    write_parts(tmp_path / "new/state/journal.sqlite3", 1, 1)


def test_another_root_takes_every_path(saved: Path, tmp_path: Path) -> None:
    root, config = tmp_path / "root", Path("/etc/edge-agent/line.toml")

    restored = restore(saved, config, root=root, over=False, by="Ada")

    assert restored.config == root / "etc/edge-agent/line.toml"
    assert restored.by_hand == {"images.ftp.password_file": str(root / "etc/edge-agent/ftp.password")}
    assert (root / "etc/edge-agent/state/journal.sqlite3").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_restores_belongs_to_whose_folder_it_is(saved: Path, tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    state.mkdir(parents=True)
    give(state, SERVICE)

    bring_back(saved, tmp_path / "new" / "line.toml")

    assert owners(state) == {SERVICE}
    assert (tmp_path / "new" / "line.toml").stat().st_uid == 0


def test_the_registry_brings_the_bundle_in_use_and_the_one_before(old: Path, tmp_path: Path) -> None:
    registry, other = old.parent / "state/bundles/cursor", tmp_path / "other"
    shutil.copytree(registry, other)
    bundle_id = read_manifest(other).text("id")
    history = json.dumps(
        {
            "schema_version": 1,
            "switches": [
                {"what": "activate", "folder": name, "bundle_id": bundle_id, "by": "A", "at_utc": "t", "why": ""}
                for name in ("first", "second", "third")
            ],
        }
    )
    shutil.rmtree(registry)
    registry.mkdir()
    for name in ("first", "second", "third", "never-used"):
        shutil.copytree(other, registry / name)
    (registry / POINTER).write_text(history)

    names = [member.name for member in backed_up(old, tmp_path / "line.backup.tar").contents.members]

    folders = {name.split("/")[2] for name in names if name.startswith("bundles/1-1/") and name.count("/") == 3}
    assert folders == {"second", "third"}
    assert f"bundles/1-1/{POINTER}" in names


def test_a_nightly_backup_keeps_so_many_of_its_line_and_touches_nothing_else(old: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    for name in (
        "zipper-4-20260101T000000Z.backup.tar",
        "zipper-4-20260102T000000Z.backup.tar",
        "zipper-44-20260101T000000Z.backup.tar",
        ".zipper-4-20260102T000000Z.backup.tar.part",
        "holiday.jpg",
    ):
        (share / name).write_text("x")

    made = make_nightly(load_settings(old), old, share, 2, lambda *_: None)

    assert [path.name for path in made.removed] == ["zipper-4-20260101T000000Z.backup.tar"]
    assert {path.name for path in share.iterdir()} == {
        "zipper-4-20260102T000000Z.backup.tar",
        "zipper-44-20260101T000000Z.backup.tar",
        made.file.name,
        "holiday.jpg",
    }


def test_a_nightly_backup_stays_where_the_clock_was_ahead_once(old: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    for year in ("2025", "2098", "2099"):
        (share / f"zipper-4-{year}0101T000000Z.backup.tar").write_text("x")

    made = make_nightly(load_settings(old), old, share, 1, lambda *_: None)

    assert made.file.exists()
    assert [path.name for path in made.removed] == ["zipper-4-20250101T000000Z.backup.tar"]


@pytest.mark.parametrize(("one", "other"), [("検査一", "検査二"), ("zipper 4", "zipper-4"), ("Prüfung", "Pr-fung")])
def test_two_lines_on_one_share_keep_their_own_backups(old: Path, tmp_path: Path, one: str, other: str) -> None:
    share = tmp_path / "share"
    share.mkdir()
    text = old.read_text()
    old.write_text(text.replace("zipper 4", other), encoding="utf-8")
    theirs = make_nightly(load_settings(old), old, share, 1, lambda *_: None)
    before = theirs.file.rename(theirs.file.with_name(theirs.file.name.replace("-20", "-19")))
    old.write_text(text.replace("zipper 4", one), encoding="utf-8")

    made = [make_nightly(load_settings(old), old, share, 1, lambda *_: None) for _ in range(2)]

    assert before.exists()
    assert verify(before).contents.line == other
    assert before not in (*made[0].removed, *made[1].removed)


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema_version": 1, "users": []}'])
def test_users_that_are_damaged_are_found_before_they_are_needed(old: Path, tmp_path: Path, content: bytes) -> None:
    (old.parent / "state/journal.sqlite3.users").write_bytes(content)

    proof = verify(backed_up(old, tmp_path / "line.backup.tar").file)

    assert proof.problems == ("state/journal.sqlite3.users: it is damaged: once it is restored nobody can sign",)


def test_what_is_still_to_do_names_this_pcs_places_and_the_users_of_then(old: Path, tmp_path: Path) -> None:
    journal, new = old.parent / "state/journal.sqlite3", tmp_path / "new/line.toml"
    new.parent.mkdir()
    with changing_users(users_path(journal)) as changing:
        changing.write(Users().with_added("Ada", Role.ENGINEER, "correct horse battery"))
    saved = backed_up(old, tmp_path / "line.backup.tar").file

    said = edge_agent_here("restore", str(saved), "--config", str(new))

    assert said.code == 0, said.err
    assert f"rsync -a OLD-PC:{old.parent}/state/archive/ {new.parent}/state/archive/" in said.out
    assert "users are as they were then" in said.out


def test_a_line_of_a_fleet_joins_it_again_on_a_new_pc_and_not_where_its_secret_is(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new/line.toml"
    new.parent.mkdir()
    old.write_text(old.read_text() + '[fleet]\nurl = "https://fleet.plant.example:8490"\n')
    secret = secret_file(load_settings(old))
    write_secret(secret, "s" * 43)
    saved = backed_up(old, tmp_path / "line.backup.tar").file
    assert b"s" * 43 not in saved.read_bytes()

    said = edge_agent_here("restore", str(saved), "--config", str(new))
    again = edge_agent_here("restore", str(saved), "--over", "--config", str(old))

    assert (said.code, again.code) == (0, 0), said.err + again.err
    assert "https://fleet.plant.example:8490 is told nothing before this line joins it again" in said.out
    assert "joins it again" not in again.out
    assert read_secret(secret) == "s" * 43


_KILLED = """
import os, signal, sys
from pathlib import Path
from edge_agent.commands.main import main
left = int(sys.argv[1])
def count(event, args):
    global left
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown", "os.rmdir"):
        if event == "open" and not isinstance(args[2], int):
            return
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
sys.argv = ["edge-agent", *sys.argv[2:]]
main()
"""


def killed_after(steps: int, *words: str) -> int:
    """Run a command that ends itself by SIGKILL after so many opened, renamed or removed files; its exit code."""
    return subprocess.run(
        [sys.executable, "-c", _KILLED, str(steps), *words], capture_output=True, check=False, timeout=120
    ).returncode


def steps_of(*words: str, most: int = 4096) -> int:
    """How many such steps the command takes, at most; found by halving would need a fresh state each time."""
    counted = _KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass").replace(
        "main()", f"import atexit; atexit.register(lambda: print('STEPS', {most} - left)); main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", counted, str(most), *words], capture_output=True, text=True, check=True, timeout=120
    )
    return int(ran.stdout.split("STEPS ")[1])


def test_a_killed_backup_leaves_the_one_before(old: Path, saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    words = ("backup", str(saved), "--config", str(old))
    steps = steps_of("backup", str(tmp_path / "counted.tar"), "--config", str(old))
    ends = set()

    for at in [*random.Random(3).sample(range(steps), 6), steps - 2, steps - 1]:
        ends.add(killed_after(at, *words))
        if saved.read_bytes() != before:
            assert verify(saved).problems == ()

    assert ends == {-signal.SIGKILL}
    assert edge_agent_here(*words).code == 0
    assert verify(saved).problems == ()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_restore_that_is_killed_leaves_the_old_line_or_the_new_one_and_never_half(
    saved: Path, tmp_path: Path, thumbnail_bundle: Path
) -> None:
    counted = a_line(tmp_path / "counted" / "pc", thumbnail_bundle, parts=1)
    steps = steps_of("restore", str(saved), "--config", str(counted), "--over")
    new_toml = counted.read_text()
    states: set[str] = set()

    for number, at in enumerate([*random.Random(5).sample(range(steps), 10), *range(steps - 16, steps, 2)]):
        config = a_line(tmp_path / f"run{number}" / "pc", thumbnail_bundle, parts=1)
        config.write_text(config.read_text() + "# the old one\n")
        before = tree(config.parent)
        assert killed_after(at, "restore", str(saved), "--config", str(config), "--over") == -signal.SIGKILL
        if config.exists() and "# the old one" in config.read_text():
            left = tree(config.parent)
            assert {name: left.get(name) for name in before} == before, f"killed after {at} steps"
            states.add("old")
            continue
        if not config.exists():
            assert unfinished_note(config).exists()
            assert "restore --finish" in edge_agent_here("config", "check", "--config", str(config)).err
            assert finish(config)
            states.add("finished")
        else:
            states.add("new")
        assert config.read_text() == new_toml
        with JournalReader.open(config.parent / "state/journal.sqlite3") as reader:
            assert [row.part_seq for row in reader.rows()] == [1, 2, 3]
        assert len(events_of(config.parent / "state/journal.sqlite3", RESTORED)) == 1
        assert edge_agent_here("bundle", "list", "--config", str(config)).code == 0

    assert states >= {"old", "finished"}


@pytest.mark.parametrize("note", [b"", b"{}", b'{"renames_2": []}', b'{"renames_1": [{"source": 7}]}', b"[[[["])
def test_a_note_that_cannot_be_read_is_said_and_nothing_is_renamed(old: Path, saved: Path, note: bytes) -> None:
    unfinished_note(old).write_bytes(note)
    before = tree(old.parent)

    with pytest.raises(DataError, match="cannot be read"):
        bring_back(saved, old, over=True)

    assert tree(old.parent) == before


def test_a_disk_without_room_is_said_before_anything_is_written(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10, used=9, free=1))

    with pytest.raises(OSError, match="MiB"):
        bring_back(saved, tmp_path / "new" / "line.toml")
    with pytest.raises(OSError, match="TMPDIR"):
        verify(saved)

    assert not (tmp_path / "new" / "state").exists()
    assert not (tmp_path / "new" / "line.toml").exists()


def test_a_second_backup_of_the_same_file_waits_outside(old: Path, saved: Path) -> None:
    part_file = saved.with_name(f".{saved.name}.part")
    with part_file.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning):
            backed_up(old, saved)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["backup", "{folder}"], 64),
        (["backup", "{folder}/no-folder", "--keep", "3"], 64),
        (["backup", "--verify", "{folder}", "--keep", "3"], 64),
        (["backup", "--verify", "{folder}/nothing"], 74),
        (["backup", "{folder}/not/there.tar", "--config", "{config}"], 74),
        (["restore"], 64),
        (["restore", "{folder}/x", "--finish"], 64),
        (["restore", "{config}"], 65),
        (["restore", "{folder}"], 65),
    ],
)
def test_wrong_words_have_their_exit_code(old: Path, words: list[str], code: int) -> None:
    said = edge_agent_here(*(word.format(folder=old.parent, config=old) for word in words))

    assert said.code == code, said.err
    assert "error: " in said.err


async def test_two_commands_move_a_running_line_and_the_agent_goes_on_there(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    (tmp_path / "old").mkdir()
    shutil.copytree(thumbnail_bundle, tmp_path / "old/bundle")
    saved = tmp_path / "line.backup.tar"
    async with line(tmp_path / "old", Path("bundle")) as at:
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(1)
        moved = await asyncio.to_thread(edge_agent_here, "backup", str(saved), "--config", str(at.config))
        assert moved.code == 0, moved.err
        assert await at.stop_agent() == 0  # the old PC is off

        new = tmp_path / "new"
        back = await asyncio.to_thread(edge_agent_here, "restore", str(saved), "--config", str(new / "line.toml"))
        assert back.code == 0, back.err
        assert "The old PC must be off" in back.out
        shutil.copy(tmp_path / "old/ftp.password", new)  # what it says is to be done by hand

        at.folder, at.config = new, new / "line.toml"
        await at.start_agent()
        await at.until_ready()
        # On a busy machine a link may be away for the first of them; one that passes is what is asked for.
        for seq in range(2, 7):
            await at.controller.wire_trigger(good_image(seq))
            rows = await at.until_rows(seq)
            if rows[-1].reason is Reason.OK:
                break
        assert [row.part_seq for row in rows] == list(range(1, len(rows) + 1)), "the numbers go on"
        assert (rows[0].reason, rows[-1].reason) == (Reason.OK, Reason.OK), [(r.reason, r.detail) for r in rows]
        assert await at.stop_agent() == 0
    assert edge_agent_here("journal", "verify", "--config", str(new / "line.toml")).code == 0
