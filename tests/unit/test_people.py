"""Users, roles, sessions and tries of passwords: what may not be is refused, and nothing is kept in clear."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest
from argon2 import extract_parameters

from edge_agent.errors import ConfigError, NotPermitted, UsageError
from edge_agent.people.passwords import fits, hashed, nobodys
from edge_agent.people.roles import Action, Role, roles_for
from edge_agent.people.sessions import LONGEST_S, Sessions
from edge_agent.people.signing import Person, plain_name, role_apart, sign
from edge_agent.people.throttle import Throttle
from edge_agent.people.users import Users, UsersFile, changing_users, read_users, users_path
from edge_agent.report.words import signer_words
from edge_agent.wording import LANGUAGES, speaking

PASSWORD = "correct horse battery"  # noqa: S105 - of these tests alone


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def users() -> Users:
    return Users().with_added("Ada", Role.ENGINEER, PASSWORD).with_added("Lin", Role.OPERATOR, PASSWORD + "2")


@pytest.mark.parametrize(
    "password", ["", "short", "a" * 40, "ada ada ada 1", "x" * 201, "nine char", "two\nlines of it"]
)
def test_a_password_that_does_not_do_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(UsageError) as refused:
        Users().with_added("Ada", Role.ENGINEER, password)

    assert not password or password not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize("name", ["", " ", "x" * 49, "A. Weber (engineer)", "two\nlines", " Ada", "\x00"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a user"):
        Users().with_added(name, Role.ENGINEER, PASSWORD)


def test_a_name_belongs_to_one_person_however_it_is_typed(users: Users) -> None:
    for typed in ("ada", "ADA", " Ada ", "\uff21da"):
        assert users.find(typed) is users.users[0]
    with pytest.raises(UsageError, match="already"):
        users.with_added("ADA", Role.OPERATOR, PASSWORD)


def test_the_first_user_and_the_last_engineer_can_change_users(users: Users) -> None:
    with pytest.raises(UsageError, match="the first user is an engineer"):
        Users().with_added("Lin", Role.OPERATOR, PASSWORD)
    with pytest.raises(UsageError, match="the last engineer"):
        users.with_role("Ada", Role.QUALITY)
    with pytest.raises(UsageError, match="the last engineer"):
        users.with_disabled("Ada", is_disabled=True)
    with pytest.raises(UsageError, match="there is no user"):
        users.with_role("Eve", Role.OPERATOR)


def test_what_is_kept_is_an_argon2id_hash_with_a_salt_of_its_own() -> None:
    one, other = hashed(PASSWORD), hashed(PASSWORD)

    assert one != other
    assert PASSWORD not in one
    assert (extract_parameters(one).memory_cost, extract_parameters(one).time_cost) == (64 * 1024, 3)
    assert extract_parameters(nobodys()) == extract_parameters(one)
    assert fits(one, PASSWORD)
    assert not fits(one, PASSWORD + " ")
    assert not fits(nobodys(), PASSWORD)


def test_a_letter_typed_in_another_way_is_the_same_password() -> None:
    assert fits(hashed("fünfzehn Äpfel"), "fu\u0308nfzehn A\u0308pfel")


def test_the_file_is_for_its_owner_alone_and_has_no_password(tmp_path: Path, users: Users) -> None:
    path = users_path(tmp_path / "journal.sqlite3")
    with changing_users(path) as changing:
        changing.write(users)

    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert read_users(path) == users
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others on this PC may read"):
        read_users(path)


def test_a_damaged_file_is_never_a_line_without_users(tmp_path: Path, users: Users) -> None:
    path = tmp_path / "journal.sqlite3.users"
    whole = users.model_dump_json().encode()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "a newer one": whole.replace(b'"schema_version":1', b'"schema_version":2'),
        "nobody": b'{"schema_version": 1, "users": []}',
        "a role that there is not": whole.replace(b"operator", b"director"),
        "a hash of something else": whole.replace(b"$argon2id$", b"$1$$$$$$$$"),
        "another key": whole.replace(b'"is_disabled"', b'"is_enabled"'),
        "bytes": b"\xff\xfe\x00",
        "a list": b"[]",
    }
    for what, content in damaged.items():
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=r"the users cannot be read|the file names no user"):
            read_users(path)
        with pytest.raises(ConfigError):
            UsersFile(path).now()
        assert path.read_bytes() == content, what


def test_the_users_are_those_of_the_newest_file(tmp_path: Path, users: Users) -> None:
    path = tmp_path / "journal.sqlite3.users"
    file = UsersFile(path)
    assert file.now() == Users()
    with changing_users(path) as changing:
        changing.write(users)
        assert file.now() == users
        changing.write(users.with_role("Lin", Role.QUALITY))
    lin = file.now().find("Lin")
    assert lin is not None
    assert lin.role is Role.QUALITY
    path.write_text("{")
    with pytest.raises(ConfigError):
        file.now()
    with pytest.raises(ConfigError):  # not the one before, at the second look either
        file.now()
    path.unlink()
    assert file.now() == Users()


def test_two_who_change_users_at_once_lose_nothing(tmp_path: Path, users: Users) -> None:
    path = tmp_path / "journal.sqlite3.users"
    with changing_users(path) as changing:
        changing.write(users)
    begin = threading.Barrier(2)

    def add(name: str) -> None:
        begin.wait()
        with changing_users(path) as changing:
            changing.write(changing.users.with_added(name, Role.OPERATOR, PASSWORD))

    both = [threading.Thread(target=add, args=(name,)) for name in ("Max", "Zoe")]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert [user.name for user in read_users(path).users] == ["Ada", "Lin", "Max", "Zoe"]


def test_every_action_has_somebody_and_an_operator_may_say_only_what_was_seen() -> None:
    assert all(roles_for(action) for action in Action)
    assert {action for action in Action if Role.OPERATOR in roles_for(action)} == {
        Action.REVIEW,
        Action.ACKNOWLEDGE,
        Action.CHALLENGE,
    }
    assert roles_for(Action.USERS) == {Role.ENGINEER}
    assert roles_for(Action.DECIDE) == {Role.QUALITY, Role.ENGINEER}


def test_a_role_that_may_not_is_told_who_may() -> None:
    with pytest.raises(NotPermitted, match="Lin is operator, and this wants somebody who is engineer or quality"):
        sign(Person("Lin", Role.OPERATOR, "session"), Action.LIMIT)


def test_a_signature_says_who_in_which_role_what_and_why() -> None:
    signed = sign(Person("A. Weber", Role.ENGINEER, "password"), Action.LIMIT, "dust")

    assert signed.words == "A. Weber (engineer)"
    assert role_apart(signed.words) == ("A. Weber", "engineer")
    told = signed.to_json()
    assert (told["by"], told["role"], told["proof"], told["why"]) == ("A. Weber", "engineer", "password", "dust")
    assert told["signed_utc"] == signed.at_utc


def test_a_name_that_nobody_proved_has_no_role_and_cannot_look_as_if_it_had() -> None:
    said = sign(Person("Ada", None, "this PC"), Action.ACTIVATE)

    assert said.words == "Ada"
    assert "role" not in said.to_json()
    for faked in ("Ada (engineer)", "Ada Lovelace (quality)"):
        with pytest.raises(UsageError, match="nobody proved it"):
            plain_name(faked)
    assert plain_name("Ada (night shift)") == "Ada (night shift)"


@pytest.mark.parametrize(
    "faked",
    [
        "Ada  (engineer)",
        "Ada(engineer)",
        "Ada (Engineer)",
        "Ada ( engineer )",
        "Ada \uff08engineer\uff09",
        "Ada (engineer) ",
    ],
)
def test_a_name_that_nobody_proved_does_not_look_signed_to_an_eye(faked: str) -> None:
    with pytest.raises(UsageError, match="nobody proved it"):
        plain_name(faked)


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_a_name_that_nobody_proved_does_not_look_signed_in_any_language(spoken: str) -> None:
    with speaking(spoken):
        shown = [signer_words("Ada", role) for role in Role]
    for faked in shown:
        with pytest.raises(UsageError, match="nobody proved it"):
            plain_name(faked)


def test_a_session_is_known_by_its_token_alone_and_the_server_keeps_only_its_hash(users: Users) -> None:
    sessions = Sessions(idle_s=600, clock=Clock())
    token = sessions.begin(users.users[0])

    assert len(token) >= 43
    assert token not in repr(sessions)
    assert sessions.of(token, users) == users.users[0]
    for wrong in ("", token[:-1], token + "A", token.swapcase(), "\udcff", "x" * 10_000):
        assert sessions.of(wrong, users) is None
    sessions.end(token)
    assert sessions.of(token, users) is None


def test_a_session_ends_idle_after_a_shift_and_with_every_change_of_its_user(users: Users) -> None:
    clock = Clock()
    sessions = Sessions(idle_s=600, clock=clock)
    idle = sessions.begin(users.users[0])
    clock.now += 599
    assert sessions.of(idle, users)  # a look does not keep it alive
    clock.now += 1
    assert sessions.of(idle, users) is None

    busy = sessions.begin(users.users[0])
    for _ in range(int(LONGEST_S / 540)):
        assert sessions.of(busy, users, is_use=True)
        clock.now += 540
    assert sessions.of(busy, users, is_use=True) is None

    changes = {
        "role": users.with_role("Lin", Role.QUALITY),
        "password": users.with_password("Lin", "another one of them"),
        "disabled": users.with_disabled("Lin", is_disabled=True),
        "disabled and enabled": users.with_disabled("Lin", is_disabled=True).with_disabled("Lin", is_disabled=False),
        "gone": Users(users=users.users[:1]),
    }
    for what, changed in changes.items():
        token = sessions.begin(users.users[1])
        assert sessions.of(token, users), what
        assert sessions.of(token, changed) is None, what
        assert sessions.of(token, users) is None, what


def test_sessions_are_bounded_and_the_oldest_ends(users: Users) -> None:
    sessions = Sessions(idle_s=600, clock=Clock())
    tokens = [sessions.begin(users.users[0]) for _ in range(300)]

    assert [sessions.of(token, users) is not None for token in tokens].count(True) == 256
    assert sessions.of(tokens[0], users) is None
    assert sessions.of(tokens[-1], users) is not None


def test_wrong_passwords_are_tried_ever_slower_and_the_right_one_waits_too() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.take("ada") for _ in range(5)] == [0.0] * 5
    assert throttle.take("ada") == 10.0
    clock.now += 9.5
    assert throttle.take("ada") == 0.5  # asking while it waits makes it no longer
    clock.now += 0.5
    for wait_s in (20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        assert throttle.take("ada") == 0.0
        assert throttle.take("ada") == wait_s
        clock.now += wait_s


def test_a_right_password_begins_anew_and_other_names_do_not_wait() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(4):
        throttle.take("ada")
    throttle.take("ada")
    throttle.right("ada")
    assert [throttle.take("ada") for _ in range(5)] == [0.0] * 5
    assert throttle.take("ada") > 0
    assert throttle.take("lin") == 0.0


def test_a_flood_of_names_takes_no_more_room() -> None:
    throttle = Throttle(Clock())
    for n in range(10_000):
        assert throttle.take(f"nobody {n}") == 0.0

    assert len(throttle._tried) <= 4096


def test_the_file_names_every_key_that_is_read(tmp_path: Path, users: Users) -> None:
    told = json.loads(users.model_dump_json())

    assert set(told) == {"schema_version", "users"}
    assert set(told["users"][0]) == {"name", "role", "password", "is_disabled", "stamp"}


def test_the_table_for_part_11_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(test_\w+[.]py)`", (root / "docs/people.md").read_text("utf-8")))

    assert len(named) > 5
    assert [name for name in sorted(named) if not list((root / "tests").glob(f"*/{name}"))] == []
