"""Who changed what: from the journal alone, across starts, versions and rotations, and never a secret."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.feed.records import event_record
from edge_agent.report.changed import change_json
from edge_agent.settings import load_settings
from edge_agent.store import opening
from edge_agent.store.changes import changes_between
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.rotation import rotate
from edge_agent.store.starts import START, Started, last_start, last_values, values_of
from tests.unit.test_journal_commands import edge_agent
from tests.unit.test_store_chain import forge
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSIONS = {"edge-agent": "0.1.0", "numpy": "2.3.0", "python": "3.11.2"}
REAL = {"simulated": False, "dry_run": False}
_TOML = """\
schema_version = 1
[line]
deadline_ms = {deadline_ms}
min_part_spacing_ms = 2000
[images]
spool = "spool"
[images.folder]
path = "drop"
[output]
host = "192.168.10.30"
[[bundle]]
program = 1
path = "bundles/zipper"
[store]
journal = "journal.db"
archive = "archive"
{more}
"""


def note(journal: Path, *events: tuple[str, str], parts: int = 0) -> None:
    async def write(opened: Journal) -> None:
        for kind, detail in events:
            await opened.event(kind, detail)
        for _ in range(parts):
            await opened.append(part_row(opened.next_part_seq))

    opened = Journal.open(journal)
    try:
        asyncio.run(write(opened))
    finally:
        opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Path]:
    """Writes line.toml and the START of an agent with it, as ``run`` does; gives the journal."""

    def begin(
        deadline_ms: int = 700,
        more: str = "",
        *,
        is_service: bool = True,
        by: str = "edge-agent",
        run: dict[str, bool] = REAL,
        **versions: str,
    ) -> Path:
        config = tmp_path / "line.toml"
        config.write_text(_TOML.format(deadline_ms=deadline_ms, more=more))
        settings = load_settings(config)
        journal = settings.store.journal
        note(journal)
        values = values_of(settings, {**VERSIONS, **versions}, run)
        with JournalReader.open(journal) as reader:
            last, was_started = last_values(reader)
        started = Started(by, is_service, settings.source, values, last, is_first=not was_started)
        note(journal, ("START", started.detail("the agent is up")))
        return journal

    return begin


def told(journal: Path) -> list[dict[str, Any]]:
    return [change_json(change) for change in changes_between(journal).found]


def test_a_start_names_the_keys_that_differ_from_the_last_start_and_no_other(start: Callable[..., Path]) -> None:
    start()
    start()
    journal = start(900, '[log]\nlevel = "debug"\n')
    start(900, '[log]\nlevel = "debug"\n')

    first, changed = told(journal)
    assert first["title"] == "agent started"
    assert "the first start of this journal" in first["words"]
    assert [(value["key"], value["old"], value["new"]) for value in changed["values"]] == [
        ("line.deadline_ms", 700, 900),
        ("log.level", "info", "debug"),
    ]
    assert changed["title"] == "agent started with other settings"
    assert changed["by"].endswith(" (owns line.toml)")


def test_a_table_that_comes_or_goes_and_another_version_and_mode_are_told(start: Callable[..., Path]) -> None:
    start(more="[web]\n")
    journal = start(run={"simulated": False, "dry_run": True}, is_service=False, by="ada", **{"edge-agent": "0.2.0"})

    changed = told(journal)[-1]
    assert changed["title"] == "agent started with other settings, another version, another mode"
    assert changed["by"] == "ada"
    by_name = {value["name"]: (value["was"], value["is"]) for value in changed["values"]}
    assert by_name["version of edge-agent"] == ("0.1.0", "0.2.0")
    assert by_name["dry run"] == ("no", "yes")
    assert by_name["web.port"] == ("8480", "not set")


def test_start_carries_version_and_hash_of_line_toml(start: Callable[..., Path], tmp_path: Path) -> None:
    import hashlib

    journal = start()
    with JournalReader.open(journal) as reader:
        (event,) = reader.events_of(("START",))
    found = json.loads(event.detail)

    assert found["version"] == "0.1.0"
    assert found["line_toml"]["sha256"] == hashlib.sha256((tmp_path / "line.toml").read_bytes()).hexdigest()
    assert found["line_toml"]["owner"]
    assert found["says"] == "the agent is up"


def test_no_secret_is_in_the_journal_and_a_changed_one_is_told_all_the_same(
    start: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("token", "pass"):
        (tmp_path / name).write_text("do not tell\n")
        (tmp_path / name).chmod(0o600)
    receivers = (
        '[webhook]\nurl = "https://ada:{0}@mes.example:8443/in/{0}?key={0}"\ntoken_file = "token"\n'
        '[mqtt]\nhost = "mqtt.example"\nuser = "line"\npassword_file = "pass"\n'
    )
    start(more=receivers.format("hunter2"))
    journal = start(more=receivers.format("hunter3"))

    assert b"hunter" not in journal.read_bytes()
    assert b"do not tell" not in journal.read_bytes()
    assert b"https://mes.example:8443/..." in journal.read_bytes()
    assert "no value that is kept here differs" in told(journal)[-1]["words"]


def test_a_start_of_an_older_version_says_that_it_recorded_nothing(start: Callable[..., Path], tmp_path: Path) -> None:
    note(tmp_path / "journal.db", ("START", "the agent is up"), ("START", "DRY RUN: the output stays REJECT"))
    journal = start()
    start(800)

    old, dry, first, changed = told(journal)
    assert old["words"] == "what changed is not recorded by that version"
    assert dry["words"] == "DRY RUN: the output stays REJECT; what changed is not recorded by that version"
    assert "not recorded: the version before kept no settings" in first["words"]
    assert first["values"] is None
    assert [value["key"] for value in changed["values"]] == ["line.deadline_ms"]


def test_a_rotation_says_who_and_the_next_start_still_knows_the_values(start: Callable[..., Path]) -> None:
    note(start(), parts=2)
    journal = start(800)
    kept = rotate(journal, by="Ada")
    start(950)

    changes = changes_between(journal)
    assert [change.kind for change in changes.found] == ["START", "START", "ROTATE", "START"]
    assert changes.found[2].by == "Ada"
    assert [(value.old, value.new) for value in changes.found[3].values or ()] == [(800, 950)]
    with JournalReader.open(journal) as reader:
        assert reader.audit().problems == ()

    kept.rename(kept.with_name("elsewhere.db"))
    alone = changes_between(journal)
    assert [change.kind for change in alone.found] == ["ROTATE", "START"]
    assert alone.missing == kept.name
    assert changes_between(journal, alone.found[1].at_utc).missing == "", "that time is in this file"


def test_values_that_somebody_altered_are_seen_by_the_audit(start: Callable[..., Path]) -> None:
    journal = start()
    forge(journal, "UPDATE event SET detail = replace(detail, '700', '650') WHERE kind = 'START'")

    with JournalReader.open(journal) as reader:
        assert reader.audit().problems


_LIMIT = (
    "program 1, camera 1: limit 1.45 -> 1.8 set by Ada at home at 2026-11-29T21:00:00+00:00: dust: on the fixture (all)"
    "; although 2 known defects pass (bundle aaaaaaaaaaaa before); bbbb in bundles/x; it judges from the next start on"
)
_BUNDLE = (
    "program 1, camera 1: {id} limit {limit} /b/zipper-{id}; "
    "zipper-{id} {id} activated by {by} at 2026-11-24T09:00:00+00:00: {why}"
)


def test_who_and_why_are_read_from_each_kind_of_change(tmp_path: Path) -> None:
    first = _BUNDLE.format(id="aa" * 6, limit="0.41", by="Ada at home", why="first lot")
    second = _BUNDLE.format(id="bb" * 6, limit="0.45", by="Grace", why="new lot: 7; harder light")
    review = {"part_seq": 4711, "says": "OVERTURNED", "by": "Lin", "note": "only dust"}
    chosen = {
        "what": "rollback",
        "program": 1,
        "camera": 1,
        "folder": "zipper-a",
        "bundle_id": "aa" * 32,
        "by": "Eve",
        "why": "rejects",
    }
    challenge = {"ok": True, "rejected": 3, "of": 3, "golden_passed": 0, "golden": 0, "through": "line", "by": "Max"}
    note(
        tmp_path / "journal.db",
        ("BUNDLE", first),
        ("BUNDLE", first),
        ("BUNDLE", second),
        ("BUNDLE_CHOSEN", json.dumps(chosen)),
        ("LIMIT", _LIMIT),
        ("REVIEW", json.dumps(review)),
        ("BYPASS", "begins, by A. Rossi, for 900 s: lamp replaced, by hand, for 3 s: no"),
        ("BYPASS", 'ends: by "O\'Hara"; it was begun by A. Rossi'),
        ("BYPASS", "ends: its time is over; it was begun by A. Rossi"),
        ("CHALLENGE", json.dumps(challenge)),
        ("OUTPUT_TEST", "begins, by Ada: PASS is energised by hand"),
        ("OUTPUT_TEST", "ends: every step was read back; REJECT stands"),
        ("ACKNOWLEDGE", "part 7, which was rejected and not seen leaving, by Ada, by day"),
        ("DISK", "begins: full"),
    )

    found = told(tmp_path / "journal.db")
    assert [(one["kind"], one["by"], one["why"]) for one in found] == [
        ("BUNDLE", "Ada at home", "first lot"),
        ("BUNDLE", "Grace", "new lot: 7; harder light"),
        ("BUNDLE_CHOSEN", "Eve", "rejects"),
        ("LIMIT", "Ada at home", "dust: on the fixture (all)"),
        ("REVIEW", "Lin", "only dust"),
        ("BYPASS", "A. Rossi", "lamp replaced, by hand, for 3 s: no"),
        ("BYPASS", "O'Hara", ""),
        ("BYPASS", "", "its time is over"),
        ("CHALLENGE", "Max", ""),
        ("OUTPUT_TEST", "Ada", ""),
        ("OUTPUT_TEST", "", ""),
        ("ACKNOWLEDGE", "Ada, by day", ""),
    ]
    assert [(value["was"], value["is"]) for value in found[1]["values"]] == [("aa" * 6, "bb" * 6), ("0.41", "0.45")]
    assert found[2]["words"].startswith("program 1, camera 1: zipper-a aaaaaaaaaaaa gone back to")
    assert [(value["was"], value["is"]) for value in found[3]["values"]] == [("1.45", "1.8")]
    assert found[3]["words"] == "program 1, camera 1; 2 known defects pass"
    assert found[4]["words"] == "part 4711: was a good part"


def test_receivers_of_results_hear_what_changed_and_not_the_whole_of_line_toml(start: Callable[..., Path]) -> None:
    start()
    journal = start(900)
    with JournalReader.open(journal) as reader:
        *_, event = reader.events_of(("START",))
    sent = json.loads(event_record(event)["detail"])

    assert "values" in json.loads(event.detail)
    assert "values" not in sent
    assert [one["key"] for one in sent["changed"]] == ["line.deadline_ms"]


def test_a_line_of_a_thousand_bundles_is_kept_whole(start: Callable[..., Path]) -> None:
    many = "".join(
        f'[[bundle]]\nprogram = {n % 1000}\ncamera = {1 + n // 1000}\npath = "bundles/{n}"\n' for n in range(2, 1000)
    )
    start(more=many)
    journal = start(800, more=many)

    assert [value["key"] for value in told(journal)[-1]["values"]] == ["line.deadline_ms"]


@pytest.mark.usefixtures("berlin")
def test_the_command_tells_it_the_newest_first_in_local_time(start: Callable[..., Path], tmp_path: Path) -> None:
    start()
    journal = start(900)
    ran = edge_agent("changes", "--config", "line.toml", cwd=tmp_path)
    as_json = json.loads(edge_agent("changes", "--config", "line.toml", "--json", "--most", "1", cwd=tmp_path).stdout)
    table = edge_agent("changes", "--journal", str(journal), "--for", "excel", "--from", "today", cwd=tmp_path)
    none = edge_agent("changes", "--journal", str(journal), "--to", "2020-01-01", cwd=tmp_path)

    lines = ran.stdout.splitlines()
    assert ran.returncode == 0
    assert "+01:00  agent started with other settings  by " in lines[0]
    assert lines[1] == "    line.deadline_ms: 700 -> 900"
    assert "the first start of this journal" in lines[2]
    assert [one["title"] for one in as_json["changes"]] == ["agent started with other settings"]
    assert table.stdout.startswith("\ufeffat_local;at_utc;title;by;why;words;name;was;is;")
    assert ";line.deadline_ms;700;900;START;" in table.stdout
    assert (none.returncode, none.stdout) == (1, "nothing was changed\n")
    assert "--most 2 shows all" in edge_agent("changes", "--config", "line.toml", "--most", "1", cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_line_starts_although_the_values_of_its_last_start_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a journal that is too long to be looked through at a start, an old page may be damaged."""
    journal, mark = tmp_path / "journal.db", "m" * 3000
    note(journal, *[("REVIEW", "{}")] * 200, (START, json.dumps({"values": {"line.name": mark}})))
    note(journal, *[("REVIEW", "{}")] * 2000, parts=1)
    content = bytearray(journal.read_bytes())
    page = content.index(mark.encode()) // 4096 * 4096
    content[page : page + 8] = b"\xff" * 8
    journal.write_bytes(content)
    monkeypatch.setattr(opening, "_CHECK_AT_MOST_S", 0.0)
    monkeypatch.setattr(opening, "_CHECK_STEPS", 1)

    Journal.open(journal).close()  # this much a start looks at

    assert last_start(journal) == (None, True)
