"""Users at the operator's page: who may not is refused, and nobody signs in the name of another."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.people.roles import Role
from edge_agent.people.throttle import Throttle
from edge_agent.people.users import Users, users_path
from tests.security.people_site import ADA, LIN, PASSWORDS, QUINN, Visitor, change, team
from tests.security.web_site import TOKEN, part_row, reject_row, served, web_settings, with_web, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.settings import Settings
    from tests.security.web_site import Served


@pytest.fixture
async def line(tmp_path: Path) -> Settings:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2), reject_row(3)])
    change(settings, team())
    return settings


@pytest.fixture
async def at(line: Settings) -> AsyncIterator[Served]:
    async with served(line) as site:
        yield site


# --- who is nobody ---------------------------------------------------------------------------------------


async def test_nobody_signs_without_a_session_and_the_token_alone_gives_no_right_any_more(at: Served) -> None:
    assert (await Visitor(at).review()).status == 401
    assert (await at.review()).status == 401  # with the right token
    assert (
        await at.ask("/api/limit", method="POST", headers={"Authorization": f"Bearer {TOKEN}"}, body=b"{}")
    ).status == 401
    assert (at.reviews, at.limits) == ([], [])


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(at: Served) -> None:
    answers = set()
    for name, password in (
        (ADA, PASSWORDS[LIN]),
        ("Eve", PASSWORDS[ADA]),
        (ADA, PASSWORDS[ADA] + "x"),
        (LIN, "x"),
    ):
        visitor = Visitor(at)
        reply = await visitor.sign_in(name, password)
        answers.add((reply.status, reply.body, "set-cookie" in reply.headers))
        assert await visitor.who() is None
    assert answers == {(401, b"the name or the password is wrong", False)}


NO_SIGN_INS: tuple[dict[str, Any], ...] = (
    {},
    {"name": ADA},
    {"name": "", "password": "x"},
    {"name": ADA, "password": 1},
    {"name": "\udcff", "password": "x"},
    {"name": "x" * 49, "password": "x"},
    {"name": ADA, "password": "x" * 201},
    {"name": ADA, "password": PASSWORDS[ADA], "role": "engineer"},
)


@pytest.mark.parametrize("body", NO_SIGN_INS)
async def test_a_sign_in_that_is_none_is_refused_and_its_password_not_repeated(
    at: Served, body: dict[str, Any]
) -> None:
    reply = await Visitor(at).ask("/api/session", body)

    assert reply.status == 400
    assert PASSWORDS[ADA].encode() not in reply.body
    assert b"x" * 40 not in reply.body


async def test_a_cookie_that_was_tampered_with_is_nobodys(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(ADA)
    good = visitor.cookie
    name, _, token = good.partition("=")
    assert (await visitor.review()).status == 200
    for wrong in (
        f"{name}={token[:-1]}",
        f"{name}={token}A",
        f"{name}={token.swapcase()}",
        f"{name}={token[::-1]}",
        f"{name}=",
        name,
        f"other={token}",
        f"{name}=%00",
        f"{name}=Ada",
        f"{name}=\xfc",
        f'{name}="{token}',
        f"{name}={'x' * 8000}",
    ):
        assert (await Visitor(at, wrong).review()).status == 401, wrong
    assert len(at.reviews) == 1


async def test_a_session_that_was_stolen_ends_with_its_sign_out(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(ADA)
    thief = Visitor(at, visitor.cookie)
    assert await thief.who() == ADA
    reply = await visitor.ask("/api/signout", {})

    assert (reply.status, visitor.cookie.partition("=")[2].strip('"')) == (200, "")
    assert await thief.who() is None
    assert (await thief.review()).status == 401


async def test_a_new_sign_in_ends_the_session_that_the_browser_had(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(ADA)
    first = visitor.cookie
    await visitor.sign_in(LIN)

    assert visitor.cookie != first
    assert await Visitor(at, first).who() is None
    assert await visitor.who() == LIN


async def test_a_session_ends_idle_and_after_a_shift(at: Served) -> None:
    now = [1000.0]
    at.site.access.sessions.clock = lambda: now[0]
    visitor = Visitor(at)
    await visitor.sign_in(ADA)
    now[0] += 29 * 60
    assert (await visitor.review()).status == 200
    for _ in range(5):
        now[0] += 6 * 60
        await visitor.ask("/api/session")  # to look is no use of it
    assert (await visitor.review()).status == 401
    await visitor.sign_in(ADA)
    for _ in range(25):
        now[0] += 29 * 60
        last = await visitor.review()
    assert last.status == 401


@pytest.mark.parametrize("what", ["disabled", "password", "role", "all gone", "damaged"])
async def test_what_becomes_of_a_user_ends_the_session_at_once(at: Served, line: Settings, what: str) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(LIN)
    assert (await visitor.review()).status == 200
    path = users_path(line.store.journal)
    if what == "damaged":
        path.write_text("{")
    elif what == "all gone":
        change(line, Users(users=tuple(user for user in team().users if user.name != LIN)))
    else:
        changes = {
            "disabled": lambda users: users.with_disabled(LIN, is_disabled=True),
            "password": lambda users: users.with_password(LIN, "another password of hers"),
            "role": lambda users: users.with_role(LIN, Role.QUALITY),
        }
        change(line, changes[what])
    reply = await visitor.review()

    assert reply.status == (500 if what == "damaged" else 401)
    assert len(at.reviews) == 1
    if what == "disabled":
        assert (await visitor.sign_in(LIN)).status == 401


async def test_a_damaged_file_of_users_does_not_bring_the_token_back(at: Served, line: Settings) -> None:
    path = users_path(line.store.journal)
    for content in (b"", b"{}", b'{"schema_version": 1, "users": []}'):
        path.write_bytes(content)
        assert (await at.review()).status == 500
    path.chmod(0o644)
    assert (await at.review()).status == 500
    assert at.reviews == []
    assert (await at.ask("/api/parts")).status == 200  # to look is as before
    assert (await at.ask("/metrics")).status == 200


# --- who may not -----------------------------------------------------------------------------------------


async def test_an_operator_reviews_and_moves_no_limit(at: Served) -> None:
    visitor = Visitor(at)
    assert (await visitor.sign_in(LIN)).json["user"]["may"] == ["review"]
    assert (await visitor.review()).status == 200
    asked = {"bundle": "ab" * 32, "limit": 1.5, "why": "dust", "told": "ab" * 32, "password": PASSWORDS[LIN]}
    reply = await visitor.ask("/api/limit", asked)

    assert (reply.status, at.limits) == (403, [])
    assert reply.body == b"Lin is operator, and this is for: quality assurance, engineer"


async def test_a_limit_wants_the_password_again(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(QUINN)
    asked = {"bundle": "ab" * 32, "limit": 1.5, "why": "dust", "told": "ab" * 32}
    assert (await visitor.ask("/api/limit", asked)).status == 401
    assert (await visitor.ask("/api/limit", {**asked, "password": PASSWORDS[ADA]})).status == 401
    # Signed for; and there is no such bundle on this line.
    assert (await visitor.ask("/api/limit", {**asked, "password": PASSWORDS[QUINN]})).status == 404


async def test_each_review_wants_the_password_where_line_toml_says_so(line: Settings) -> None:
    async with served(with_web(line, sign_with="password")) as at:
        visitor = Visitor(at)
        assert (await visitor.sign_in(LIN)).json["user"]["password_for"] == ["review", "decide", "limit"]
        assert (await visitor.review()).status == 401
        assert (await visitor.review(password=PASSWORDS[ADA])).status == 401
        assert (await visitor.review(password=PASSWORDS[LIN])).status == 200


async def test_the_form_of_somebody_who_is_no_longer_signed_in_here_signs_nothing(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(LIN)
    assert (await visitor.review(by=LIN)).status == 200
    await visitor.sign_in(ADA)  # in another window of the same browser
    reply = await visitor.review(by=LIN)

    assert (reply.status, reply.body) == (409, b"Ada is signed in here by now: look again")
    assert len(at.reviews) == 1


async def test_a_page_of_elsewhere_signs_nothing(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(ADA)
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{at.port + 1}"):
        assert (await Visitor(at, visitor.cookie, origin=origin).review()).status == 403, origin
        assert (await Visitor(at, origin=origin).sign_in(ADA)).status == 403, origin
        assert (await Visitor(at, visitor.cookie, origin=origin).ask("/api/signout", {})).status == 403, origin
    # A browser always says where a request that writes comes from.
    assert (await Visitor(at, visitor.cookie, origin=None).review()).status == 403
    assert at.reviews == []
    assert await visitor.who() == ADA


# --- tries -----------------------------------------------------------------------------------------------


async def test_tries_of_passwords_get_slower_for_known_and_unknown_names_alike(at: Served) -> None:
    now = [1000.0]
    at.site.access.throttle = Throttle(lambda: now[0])
    for name in (ADA, "Eve"):
        statuses = [(await Visitor(at).sign_in(name, "wrong wrong wrong")).status for _ in range(6)]
        assert statuses == [401] * 5 + [429], name
    waiting = await Visitor(at).sign_in(ADA)  # the right one
    assert (waiting.status, waiting.headers["retry-after"]) == (429, "10")
    assert (await Visitor(at).sign_in("ADA", PASSWORDS[ADA])).status == 429
    assert (await Visitor(at).sign_in(LIN)).status == 200
    now[0] += 10
    assert (await Visitor(at).sign_in(ADA)).status == 200


async def test_tries_at_once_are_counted_before_they_are_checked(at: Served) -> None:
    tries = [Visitor(at).sign_in(ADA, f"wrong password {n}") for n in range(12)]
    statuses = [reply.status for reply in await asyncio.gather(*tries)]

    assert statuses.count(401) <= 5
    assert set(statuses) <= {401, 429, 503}
    assert 429 in statuses


async def test_a_try_that_costs_no_hash_is_not_counted(at: Served) -> None:
    access = at.site.access
    access._waiting = 8  # so many are being checked
    replies = [await Visitor(at).sign_in(f"name {n}", "wrong wrong wrong") for n in range(8)]

    assert {reply.status for reply in replies} == {503}
    # Else a flood of names that nobody waited for has the throttle forget a name that has to wait.
    assert not access.throttle._tried


async def test_a_user_who_is_switched_off_while_the_password_is_checked_signs_nothing(
    at: Served, line: Settings
) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(QUINN)
    access, checked = at.site.access, threading.Event()
    access._thread.submit(checked.wait)  # as if another password were being checked
    asked = {"bundle": "ab" * 32, "limit": 1.5, "why": "dust", "told": "ab" * 32, "password": PASSWORDS[QUINN]}
    signing = asyncio.create_task(visitor.ask("/api/limit", asked))
    while not access._waiting:
        await asyncio.sleep(0)
    change(line, lambda users: users.with_role(QUINN, Role.OPERATOR))
    checked.set()
    reply = await signing

    assert (reply.status, at.limits) == (401, [])


async def test_the_password_of_a_signature_is_tried_as_slowly(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in(QUINN)
    asked = {"bundle": "ab" * 32, "limit": 1.5, "why": "dust", "told": "ab" * 32, "password": "wrong wrong wrong"}
    assert [(await visitor.ask("/api/limit", asked)).status for _ in range(6)] == [401] * 5 + [429]
