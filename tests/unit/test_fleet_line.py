"""The line's side of a fleet, against servers that lie: what is refused, fetched and read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import ConfigError
from edge_agent.fleet_line import fetching
from edge_agent.fleet_line import server as server_module
from edge_agent.fleet_line.fetching import Fetcher
from edge_agent.fleet_line.messages import Answer, Offer, words
from edge_agent.fleet_line.offers import Following, signer_words
from edge_agent.fleet_line.rows import journal_name
from edge_agent.fleet_line.secret import NotJoined, read_secret, secret_file
from edge_agent.fleet_line.server import NotAnswered
from edge_agent.people.signing import role_apart
from edge_agent.publishing.sender import NotDelivered
from edge_agent.settings import FleetSettings
from edge_agent.store.reader import JournalReader
from tests.fleet import Lying, state_of
from tests.publishing import Written
from tests.security.web_site import web_settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

_ID = "c" * 64


def offer(stage: str = "shadow", **changes: Any) -> Offer:
    values = {"promotion_id": 4, "stage": stage, "bundle_id": _ID, "program": 3, "camera": 1, "by": "Grace"}
    return Offer.model_validate(values | changes)


def settings(folder: Path, follow: str) -> Settings:
    plain = web_settings(folder)
    fleet = FleetSettings.model_validate({"url": "http://127.0.0.1:9", "follow": follow})
    return plain.model_copy(update={"fleet": fleet})


@pytest.mark.parametrize(("follow", "stage"), [("none", "shadow"), ("none", "activate"), ("shadow", "activate")])
def test_what_line_toml_does_not_follow_is_refused_and_not_even_fetched(
    tmp_path: Path, follow: str, stage: str
) -> None:
    lying = Lying()
    with lying.running() as server:
        following = Following(settings(tmp_path, follow), server)
        following.step([offer(stage)], "s" * 43)
    (taken,) = following.taken
    assert (taken.how, f'"{follow}"' in taken.why) == ("refused", True)
    assert lying.asked == []


def test_without_a_trusted_key_nothing_is_fetched_whatever_is_followed(tmp_path: Path) -> None:
    lying = Lying()
    with lying.running() as server:
        following = Following(settings(tmp_path, "activate"), server)
        following.step([offer("shadow"), offer("activate", program=9)], "s" * 43)
    assert [taken.how for taken in following.taken] == ["refused", "refused"]
    assert lying.asked == []


def test_a_withdrawal_of_what_was_never_taken_does_nothing(tmp_path: Path) -> None:
    with Lying().running() as server:
        following = Following(settings(tmp_path, "activate"), server)
        following.step([offer("withdrawn")], "s" * 43)
        assert [taken.how for taken in following.taken] == ["done"]
        following.step([], "s" * 43)
    assert following.taken == ()


def test_whoever_promoted_it_has_no_role_on_this_line() -> None:
    said = signer_words(offer(by="A. Weber (engineer)"))
    assert role_apart(said) == (said, "")
    assert signer_words(offer(by="\n\0")) == "fleet: nobody, promotion 4"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"[]",
        b'{"schema_version": 1, "offers": [], "acknowledge": true}',
        b'{"schema_version": 2}',
        b'{"schema_version": 1, "offers": [{"promotion_id": 1}]}',
        b'{"schema_version": 1, "schema_version": 1}',
        b"[" * 60_000,
        b" " * 70_000,
    ],
)
def test_what_is_no_answer_of_a_fleet_is_none(body: bytes) -> None:
    with Lying({"/line/state": (200, body, {})}).running() as server, pytest.raises(NotAnswered):
        server.post("/line/state", state_of(), Answer, secret="s" * 43)


def test_a_redirect_is_not_followed() -> None:
    lying = Lying({"/line/state": (307, b"", {"Location": "/elsewhere"})})
    with lying.running() as server, pytest.raises(NotAnswered, match="307"):
        server.post("/line/state", state_of(), Answer, secret="s" * 43)
    assert lying.asked == ["/line/state"]


def bundle_of(**files: tuple[int, bytes]) -> Lying:
    """A server that offers files of those lengths, and sends those bytes."""
    said = {"schema_version": 1, "files": {name.replace("_", "."): length for name, (length, _) in files.items()}}
    answers = {f"/line/bundles/{_ID}": (200, json.dumps(said).encode(), {})}
    for name, (_, body) in files.items():
        answers[f"/line/bundles/{_ID}/{name.replace('_', '.')}"] = (200, body, {})
    return Lying(answers)


def test_a_bundle_is_fetched_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with bundle_of(manifest_json=(2, b"{}"), a_npz=(3, b"abc")).running() as server:
        folder = Fetcher(journal, server).fetch(_ID, "s" * 43)
    assert sorted(one.name for one in folder.iterdir()) == ["a.npz", "manifest.json"]
    for wrong in ((2, b"abc"), (4, b"abc")):
        other = tmp_path / f"other-{wrong[0]}" / "journal"
        with bundle_of(a_npz=wrong).running() as server, pytest.raises(NotAnswered):
            Fetcher(other, server).fetch(_ID, "s" * 43)
        assert list((other.parent / "journal.fleet-bundles").iterdir()) == []


def test_a_server_that_offers_one_bundle_after_the_other_is_not_followed_at_once(tmp_path: Path) -> None:
    lying = bundle_of(a_npz=(3, b"abc"))
    with lying.running() as server:
        fetcher = Fetcher(tmp_path / "journal", server)
        fetcher.fetch(_ID, "s" * 43)
        fetcher.fetch(_ID, "s" * 43)
        with pytest.raises(Exception, match="a moment ago"):
            fetcher.fetch("d" * 64, "s" * 43)
    assert len(lying.asked) == 2, "what is there already is not fetched again"


def test_a_candidate_that_judges_makes_no_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles of several places are offered at a time; the oldest that was fetched may be the one that judges."""
    monkeypatch.setattr(fetching, "_BETWEEN_S", 0.0)
    ids = [letter * 64 for letter in "abcde"]
    lying = Lying()
    for one in ids:
        files = json.dumps({"schema_version": 1, "files": {"a.npz": 3}}).encode()
        lying.answers |= {f"/line/bundles/{one}": (200, files, {}), f"/line/bundles/{one}/a.npz": (200, b"abc", {})}
    with lying.running() as server:
        fetcher = Fetcher(tmp_path / "journal", server)
        judging = fetcher.fetch(ids[0], "s" * 43)
        fetched = [fetcher.fetch(one, "s" * 43, in_use=judging.resolve()) for one in ids[1:]]
    assert (judging / "a.npz").read_bytes() == b"abc"
    assert [one.is_dir() for one in fetched] == [False, False, True, True]


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".hidden", "a/b", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    said = json.dumps({"schema_version": 1, "files": {name: 1}}).encode()
    with Lying({f"/line/bundles/{_ID}": (200, said, {})}).running() as server, pytest.raises(NotAnswered):
        Fetcher(tmp_path / "journal", server).fetch(_ID, "s" * 43)
    assert not (tmp_path / "journal.fleet-bundles").exists()


def test_a_bundle_that_would_fill_the_disk_is_not_fetched(tmp_path: Path) -> None:
    lying = bundle_of(a_npz=(1 << 40, b""))
    with lying.running() as server, pytest.raises(Exception, match="not fetched"):
        Fetcher(tmp_path / "journal", server).fetch(_ID, "s" * 43)
    assert len(lying.asked) == 1


def test_a_file_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Lying({"/f": (200, b"x" * 100_000, {})}).running() as server:
        monkeypatch.setattr(server_module, "monotonic_s", iter(range(0, 10_000, 100)).__next__)
        with pytest.raises(NotAnswered, match="did not come within"):
            list(server.pieces("/f", 100_000, 50.0, secret="s" * 43))


def test_two_journals_that_begin_alike_have_two_names(tmp_path: Path) -> None:
    names = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        written = Written(tmp_path / str(number) / "journal.sqlite3")
        with pytest.raises(NotDelivered):
            journal_name(written.path, "", 1, "")
        written.event(f"event {number}")
        names.append(journal_name(written.path, "", 1, ""))
        written.close()
    assert len({*names}) == 2
    assert {len(name) for name in names} == {32}
    for origin, of_another in (("f" * 64, ""), ("", "e" * 64)):
        with pytest.raises(NotDelivered):
            journal_name(tmp_path / "1" / "journal.sqlite3", origin, 1, of_another)


def test_parts_whose_numbers_a_restored_backup_gave_again_are_others(tmp_path: Path) -> None:
    """As the server knows a part by its journal and its number, one of them has to be another one."""
    written = Written(tmp_path / "journal.sqlite3")
    written.parts(1, 3)
    with JournalReader.open(written.path) as reader:
        newest = reader.newest_link()
    before = journal_name(written.path, "", newest, "")
    written.event("RESTORED")
    written.parts(4, 5)
    written.close()
    restored = journal_name(written.path, "", newest + 1, "")
    assert journal_name(written.path, "", newest, "") == before, "what was made before keeps its name"
    assert restored != before
    assert journal_name(written.path, "", newest + 3, "") == restored


def test_a_line_that_has_not_joined_says_what_to_do(tmp_path: Path) -> None:
    path = secret_file(settings(tmp_path, "none"))
    with pytest.raises(NotJoined) as raised:
        read_secret(path)
    assert "fleet join" in raised.value.hint
    path.write_bytes(b"\xff" * 40)
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        read_secret(path)


def test_long_words_are_cut_and_say_so() -> None:
    assert words("x" * 401) == "x" * 399 + "…"
    assert words("x" * 400) == "x" * 400


def test_without_the_extra_a_line_joins_and_a_server_says_what_it_needs(tmp_path: Path) -> None:
    """``pip install edge-agent`` alone: the line's side imports nothing of the server's."""
    hide = "import sys; sys.modules['sqlalchemy'] = None; sys.modules['psycopg'] = None; "
    line = "import edge_agent.fleet_line.process, edge_agent.fleet_line.keeper, edge_agent.wiring.agent"
    assert subprocess.run([sys.executable, "-c", hide + line], check=False).returncode == 0
    words = f"sys.argv = ['edge-agent', 'fleet', 'lines', '--folder', {str(tmp_path / 'f')!r}]; "
    ran = subprocess.run(
        [sys.executable, "-c", f"{hide}{words}from edge_agent.commands.main import main; main()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "edge-agent[fleet]" in ran.stderr) == (69, True)
