"""``edge-agent users``, and the commands that a user signs for: who may not is refused, and all of it is recorded."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from edge_agent.people.roles import Role
from edge_agent.people.users import read_users, users_path
from edge_agent.store.changes import changes_between
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.people import users
from tests.command_line import edge_agent_here
from tests.security.people_site import ADA, LIN, PASSWORDS, QUINN, change, team
from tests.security.web_site import web_settings, with_web

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings
    from tests.command_line import Ran

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the terminal of a line PC")


@pytest.fixture
def line(tmp_path: Path) -> Settings:
    """A line without users, and without an agent."""
    settings = web_settings(tmp_path)
    Journal.open(settings.store.journal).close()
    for name, password in PASSWORDS.items():
        (tmp_path / f"{name}.password").write_text(password + "\n")
    return settings


def run(line: Settings, *words: str, user: str = "", password_of: str = "") -> Ran:
    """A command on that line, signed by a user with that one's password, or another one's."""
    folder = line.store.journal.parent
    signs = ["--as", user, "--password-file", f"{folder}/{password_of or user}.password"] if user else []
    return edge_agent_here(*words, "--config", str(folder / "line.toml"), *signs)


def new(line: Settings, name: str) -> list[str]:
    return ["--new-password-file", f"{line.store.journal.parent}/{name}.password"]


def records(line: Settings) -> list[dict[str, object]]:
    with JournalReader.open(line.store.journal) as journal:
        return [json.loads(event.detail) for event in journal.events_of(("USERS",))]


def test_the_first_user_is_an_engineer_and_everybody_after_is_signed_for(line: Settings) -> None:
    assert run(line, "users", "list").code == 1
    assert run(line, "users", "add", LIN, "--role", "operator", *new(line, LIN)).code == 64
    assert run(line, "users", "add", LIN, "--role", "director").code == 64
    assert not users_path(line.store.journal).exists()
    assert run(line, "users", "add", ADA, "--role", "engineer", *new(line, ADA)).code == 0
    assert run(line, "users", "add", LIN, "--role", "operator", *new(line, LIN)).code == 77
    assert run(line, "users", "add", LIN, "--role", "operator", *new(line, LIN), user=ADA, password_of=LIN).code == 77
    assert run(line, "users", "add", LIN, "--role", "operator", *new(line, LIN), user=ADA).code == 0
    assert run(line, "users", "add", QUINN, "--role", "quality", *new(line, QUINN), user=LIN).code == 77
    listed = run(line, "users", "list", "--json")

    assert [(one["name"], one["role"]) for one in json.loads(listed.out)["users"]] == [
        (ADA, "engineer"),
        (LIN, "operator"),
    ]
    assert "argon2" not in listed.out
    assert [(one["what"], one["user"], one.get("role")) for one in records(line)] == [
        ("add", ADA, None),  # by whoever owns the state folder: nobody proved who that is
        ("add", LIN, "engineer"),
    ]


def test_a_password_is_never_an_argument_and_never_in_the_journal(
    line: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(line, "users", "add", ADA, "--role", "engineer", "--password", PASSWORDS[ADA]).code == 64
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    no_terminal = run(line, "users", "add", ADA, "--role", "engineer")
    assert (no_terminal.code, "no terminal" in no_terminal.err) == (64, True)
    run(line, "users", "add", ADA, "--role", "engineer", *new(line, ADA))
    for path in line.store.journal.parent.iterdir():
        if path.is_file() and path.suffix != ".password":
            assert PASSWORDS[ADA].encode() not in path.read_bytes(), path


def test_what_a_user_is_changes_by_an_engineer_and_the_own_password_by_oneself(line: Settings) -> None:
    change(line, team())
    stamps = {user.name: user.stamp for user in team().users}
    assert run(line, "users", "role", LIN, "quality", user=QUINN).code == 77
    assert run(line, "users", "password", QUINN, *new(line, LIN), user=LIN).code == 77
    assert run(line, "users", "disable", ADA, user=ADA).code == 64  # the last engineer
    assert run(line, "users", "disable", "Eve", user=ADA).code == 64
    assert records(line) == []
    assert {user.name: user.stamp for user in read_users(users_path(line.store.journal)).users} == stamps
    assert run(line, "users", "password", LIN, *new(line, QUINN), user=LIN).code == 0
    assert run(line, "users", "role", LIN, "quality", user=ADA).code == 0
    assert run(line, "users", "disable", QUINN, user=ADA).code == 0
    assert run(line, "users", "role", LIN, "operator", user=QUINN).code == 77  # switched off
    assert run(line, "users", "enable", QUINN, user=ADA).code == 0

    assert [(one["what"], one["user"], one["user_role"], one["by"]) for one in records(line)] == [
        ("password", LIN, "operator", LIN),
        ("role", LIN, "quality", ADA),
        ("disable", QUINN, "quality", ADA),
        ("enable", QUINN, "quality", ADA),
    ]
    told = run(line, "journal", "changes").out
    assert "Lin is quality assurance from now on" in told
    assert "by Ada (engineer)" in told


def test_when_nobody_can_sign_any_more_the_owner_of_the_state_folder_does_it_on_record(line: Settings) -> None:
    change(line, team())
    assert run(line, "users", "password", ADA, *new(line, QUINN)).code == 77
    assert run(line, "users", "password", ADA, *new(line, QUINN), "--unsigned").code == 0
    (record,) = records(line)

    assert (record["what"], record["user"], "role" in record) == ("password", ADA, False)
    assert run(line, "users", "enable", LIN, user=ADA, password_of=QUINN).code == 0


def test_users_that_cannot_be_read_let_nobody_sign(line: Settings) -> None:
    users_path(line.store.journal).write_text("{")
    for words in (
        ["users", "list"],
        ["users", "add", ADA, "--role", "engineer", *new(line, ADA)],
        ["bypass", "end", "--by", "x"],
    ):
        assert run(line, *words).code in (69, 78), words
    assert run(line, "bundle", "activate", "new", "--by", "Ada").code == 78
    assert records(line) == []


CHANGES_OF_THE_LINE = (
    (["bundle", "activate", "{folder}/new"], ADA, (LIN, QUINN)),
    (["bundle", "rollback"], ADA, (LIN, QUINN)),
    (["bundle", "relimit", "--to", "1.8", "--why", "dust", "--yes"], QUINN, (LIN,)),
    (["bypass", "begin", "--why", "lamp", "--yes"], QUINN, (LIN,)),
)


@pytest.mark.parametrize(
    ("words", "may", "may_not"), CHANGES_OF_THE_LINE, ids=lambda one: one[1] if isinstance(one, list) else ""
)
def test_a_command_that_changes_the_line_wants_a_user_with_that_role(
    line: Settings, words: list[str], may: str, may_not: tuple[str, ...]
) -> None:
    change(line, team())
    command = [word.format(folder=line.store.journal.parent) for word in words]
    for name in may_not:
        refused = run(line, *command, user=name)
        assert (refused.code, f"{name} is" in refused.err) == (77, True), refused.err
    assert run(line, *command, user=may, password_of=LIN).code == 77
    assert run(line, *command, user="Eve", password_of=may).code == 77
    assert run(line, *command, "--by", may).code == 77
    assert run(line, *command, "--by", may, user=may).code == 64
    # Signed for: and here is no bundle, and no agent.
    assert run(line, *command, user=may).code in (64, 65, 69)


def test_whoever_ends_a_bypass_needs_no_role(line: Settings) -> None:
    change(line, team())
    assert run(line, "bypass", "end", user=LIN).code == 69  # no agent runs here
    assert run(line, "bypass", "end", "--by", "somebody").code == 69
    assert run(line, "bypass", "end", user=LIN, password_of=ADA).code == 77
    assert run(line, "bypass", "end").code == 64


def test_a_challenge_is_signed_by_any_user_and_by_nobody_else(line: Settings) -> None:
    samples = line.store.journal.parent / "samples"
    samples.mkdir()
    (samples / "dent.bmp").write_bytes(b"")
    change(line, team())
    assert run(line, "challenge", str(samples)).code == 77
    assert run(line, "challenge", str(samples), "--by", LIN).code == 77
    assert run(line, "challenge", str(samples), user=LIN, password_of=ADA).code == 77
    for name in (LIN, QUINN, ADA):  # signed for: and here is no bundle
        assert run(line, "challenge", str(samples), user=name).code in (64, 65)


def test_without_users_a_name_is_enough_but_not_one_that_looks_signed(line: Settings) -> None:
    for words in (["bundle", "activate", "new"], ["bypass", "begin", "--why", "lamp", "--yes"], ["bypass", "end"]):
        faked = run(line, *words, "--by", "Eve (engineer)")
        assert (faked.code, "nobody proved it" in faked.err) == (64, True), words
    assert run(line, "bundle", "activate", "new", user=ADA).code == 64  # there is nobody to sign as
    assert run(line, "bypass", "begin", "--why", "lamp", "--yes").code == 64
    assert run(line, "bypass", "begin", "--why", "lamp", "--yes", "--by", "Ada").code == 69


async def test_records_say_who_and_in_which_role_and_old_ones_are_read_as_ever(line: Settings) -> None:
    journal = Journal.open(line.store.journal)
    place = "program 3, camera 1"
    await journal.event("BYPASS", "begins, by A. Rossi, for 900 s: lamp")
    await journal.event("BYPASS", "begins, by A. Rossi (quality), for 900 s: lamp")
    await journal.event("BYPASS", "ends: by 'A. Rossi (quality)'; it was begun by A. Rossi (quality)")
    moved = "limit 1.5 -> 1.8 set by A. Weber (engineer) at 2026-11-29T10:00:00+00:00: dust (bundle abcdef before)"
    await journal.event("LIMIT", f"{place}: {moved}; abc in bundles/x; later")
    switched = "x abcdef activated by A. Weber (engineer) at 2026-11-29T10:00:00+00:00: lot"
    await journal.event("BUNDLE", f"{place}: abc limit 1.5 bundles/x; {switched}")
    await journal.event(
        "BUNDLE_CHOSEN", json.dumps({"by": "A. Weber (engineer)", "why": "lot", "program": 3, "camera": 1})
    )
    await journal.event(
        "REVIEW", json.dumps({"part_seq": 1, "says": "ESCAPE", "by": "Lin", "note": "", "role": "operator"})
    )
    await journal.event("REVIEW", json.dumps({"part_seq": 1, "says": "ESCAPE", "by": "Lin", "note": ""}))
    journal.close()
    found = changes_between(line.store.journal).found

    assert [(one.kind, one.by, one.role) for one in found] == [
        ("BYPASS", "A. Rossi", ""),
        ("BYPASS", "A. Rossi", "quality"),
        ("BYPASS", "A. Rossi", "quality"),
        ("LIMIT", "A. Weber", "engineer"),
        ("BUNDLE", "A. Weber", "engineer"),
        ("BUNDLE_CHOSEN", "A. Weber", "engineer"),
        ("REVIEW", "Lin", "operator"),
        ("REVIEW", "Lin", ""),
    ]
    assert "by A. Weber (engineer)" in run(line, "journal", "changes").out
    assert run(line, "journal", "verify").code == 0


def test_the_doctor_says_when_nobody_can_sign_and_when_passwords_can_be_overheard(line: Settings) -> None:
    def found(settings: Settings = line) -> tuple[Result, str]:
        finding = users(Site(line.store.journal.with_name("line.toml"), settings))
        return finding.result, finding.evidence

    assert found() == (Result.OK, "this line has no users: names in its records are not proven")
    change(line, team())
    assert found() == (Result.WARN, "Ada is the only engineer: nobody else can add users or give passwords anew")
    change(line, lambda now: now.with_role(QUINN, Role.ENGINEER))
    assert found() == (Result.OK, "3 users, 2 of them engineers")
    change(line, lambda now: now.with_disabled(ADA, is_disabled=True))
    assert found()[0] is Result.WARN
    change(line, team())
    open_to_all = with_web(line, host="192.168.10.1")
    assert found(open_to_all)[0] is Result.WARN
    assert "plain HTTP" in found(open_to_all)[1]
    users_path(line.store.journal).chmod(0o644)
    assert found()[0] is Result.FAIL


def test_who_says_what_was_seen_at_the_gate_signs_for_it(line: Settings) -> None:
    change(line, team())
    watchdog = ("output", "test", "--watchdog", "--yes")
    assert run(line, *watchdog).code == 77
    assert run(line, *watchdog, "--by", ADA).code == 77
    operator = run(line, *watchdog, user=LIN)
    assert (operator.code, "engineer or quality" in operator.err) == (77, True)
    assert run(line, "output", "acknowledge", "--by", LIN).code == 77
    assert run(line, "output", "acknowledge", user=LIN, password_of=ADA).code == 77
    # Signed: now it is the agent that is missing.
    assert run(line, "output", "acknowledge", user=LIN).code == 69
    assert records(line) == []
