"""Users who sign at the operator's page: by a proxy's word, two at one part, and what the agent hears of it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Reason
from edge_agent.people.roles import Role
from edge_agent.people.users import changing_users, users_path
from edge_agent.store.journal import Journal
from tests.security.people_site import ADA, LIN, PASSWORDS, Visitor, change, team
from tests.security.web_site import part_row, reject_row, served, web_settings, with_web, written

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


# --- a proxy's word --------------------------------------------------------------------------------------


async def test_a_proxys_header_is_believed_from_its_address_alone(line: Settings) -> None:
    named = {"X-Remote-User": ADA}
    async with served(line) as at:  # by default no header is
        assert (await Visitor(at, headers=named).review()).status == 401
    async with served(with_web(line, user_header="X-Remote-User", trusted_proxies=("192.0.2.1",))) as at:
        assert (await Visitor(at, headers=named).review()).status == 401
        assert await Visitor(at, headers=named).who() is None
    async with served(with_web(line, user_header="X-Remote-User", trusted_proxies=("127.0.0.0/8",))) as at:
        assert (await Visitor(at, headers=named).review()).status == 200
        assert [(one.by, one.role) for one in at.reviews] == [(ADA, Role.ENGINEER)]
        for nobody in ("Eve", "Ada\xff", "Ada, Lin", "x" * 5000):
            assert (await Visitor(at, headers={"X-Remote-User": nobody}).review()).status == 403, nobody
        assert (await Visitor(at, headers=named, origin=None).review()).status == 403
        assert (await Visitor(at, headers=named, origin="https://evil.example").review()).status == 403
        assert (await Visitor(at).review()).status == 401
        change(line, lambda users: users.with_disabled(LIN, is_disabled=True))
        assert (await Visitor(at, headers={"X-Remote-User": LIN}).review()).status == 403
        assert len(at.reviews) == 1


async def test_a_proxys_header_that_came_twice_is_nobodys(line: Settings) -> None:
    async with served(with_web(line, user_header="X-Remote-User", trusted_proxies=("127.0.0.1",))) as at:
        headers = {"X-Remote-User": ADA, "x-remote-user": LIN}
        assert (await Visitor(at, headers=headers).review()).status == 403


# --- two at once -----------------------------------------------------------------------------------------


async def test_of_two_people_at_one_part_the_second_is_told_who_was_first(at: Served, line: Settings) -> None:
    """The journal is written as the agent does it, so that the page reads it there."""
    ada, lin = Visitor(at), Visitor(at)
    await ada.sign_in(ADA)
    await lin.sign_in(LIN)
    journal = await asyncio.to_thread(Journal.open, line.store.journal)
    at.write_review = journal.event
    try:
        replies = await asyncio.gather(ada.review(seen=0), lin.review(seen=0, says="CONFIRMED"))
        second = next(reply for reply in replies if reply.status != 200)

        assert sorted(reply.status for reply in replies) == [200, 409]
        said = second.body.decode()
        first = at.reviews[0]
        assert re.match(
            rf"{first.by} \({first.role}\) was first, at .*: (was a good part|rightly rejected)\. Look", said
        )
        assert len(at.reviews) == 1
        told = (await ada.ask("/api/parts/2")).json["reviews"]
        assert [(one["by"], one["role"], one["who"]) for one in told] == [
            (first.by, first.role, f"{first.by} ({first.role})")
        ]
        again = lin if first.by == ADA else ada
        assert (await again.review(seen=1, says="CONFIRMED")).status == 200  # having looked, and of another opinion
    finally:
        await asyncio.to_thread(journal.close)


# --- who may ---------------------------------------------------------------------------------------------


async def test_the_cookie_is_for_the_server_alone_and_secure_behind_tls(at: Served) -> None:
    plain = (await Visitor(at).sign_in(ADA)).headers["set-cookie"].lower()
    host = f"127.0.0.1:{at.port}"
    secure = (await Visitor(at, origin=f"https://{host}").sign_in(ADA)).headers["set-cookie"].lower()

    for cookie in (plain, secure):
        assert re.match(r"edge_agent_8480=[\w-]{43};", cookie)
        assert {"httponly", "samesite=strict"} <= set(cookie.split("; "))
        assert "path" not in cookie  # of a proxy's path, whatever that is
        assert "expires" not in cookie
    assert ("secure" in plain, "secure" in secure) == (False, True)


async def test_who_signed_and_in_which_role_goes_to_the_agent(at: Served) -> None:
    visitor = Visitor(at)
    await visitor.sign_in("ada", PASSWORDS[ADA])
    await visitor.review(note="dust")
    (review,) = at.reviews

    assert (review.by, review.role, review.note) == (ADA, Role.ENGINEER, "dust")
    assert '"role":"engineer"' in review.detail()


async def test_a_line_without_users_goes_on_as_before(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2)])
    async with served(settings) as at:
        assert (await at.review()).status == 200
        (review,) = at.reviews
        assert review.detail() == '{"part_seq":2,"says":"OVERTURNED","by":"Ada","note":""}'
        faked = await at.review(by="Ada (engineer)")
        assert (faked.status, len(at.reviews)) == (400, 1)
        assert (await Visitor(at).ask("/api/session")).json == {"schema_version": 1, "has_users": False, "user": None}
        assert (await Visitor(at).sign_in(ADA)).status == 409


async def test_a_script_goes_on_with_the_token_where_line_toml_says_so(line: Settings) -> None:
    async with served(with_web(line, who_signs="users-or-token")) as at:
        assert (await at.review(by="a script")).status == 200
        assert (await at.review(by="Ada (engineer)")).status == 400
        assert (await at.review(token="wrong")).status == 401  # noqa: S106
        assert [(one.by, one.role) for one in at.reviews] == [("a script", None)]


async def test_the_first_users_need_no_restart_of_the_agent(tmp_path: Path) -> None:
    settings = web_settings(tmp_path, token=False)
    await written(settings.store.journal, [part_row(1), reject_row(2, reason=Reason.SCORE)])
    async with served(settings) as at:
        assert (await at.ask("/api/queue")).json["can_review"] is False
        change(settings, team())
        assert (await at.ask("/api/queue")).json["can_review"] is True
        visitor = Visitor(at)
        assert (await visitor.sign_in(LIN)).status == 200
        assert (await visitor.review()).status == 200


async def test_a_user_changes_the_own_password_and_every_other_session_ends(at: Served, line: Settings) -> None:
    ours, other = Visitor(at), Visitor(at)
    new = "a password of her own"
    for visitor in (ours, other):
        await visitor.sign_in(LIN)
    before = users_path(line.store.journal).read_bytes()
    for body, status in (
        ({"password": PASSWORDS[ADA], "new": new}, 401),
        ({"password": PASSWORDS[LIN], "new": "short"}, 400),
        ({"password": PASSWORDS[LIN], "new": "lin lin lin lin"}, 400),
        ({"password": PASSWORDS[LIN]}, 400),
        ({"password": PASSWORDS[LIN], "new": new, "user": ADA}, 400),
    ):
        assert (await ours.ask("/api/password", body)).status == status, body
    assert (await Visitor(at).ask("/api/password", {"password": PASSWORDS[LIN], "new": new})).status == 401
    assert (
        await Visitor(at, ours.cookie, origin=None).ask("/api/password", {"password": "x", "new": new})
    ).status == 403
    at.limit_error = "the journal refused"
    assert (await ours.ask("/api/password", {"password": PASSWORDS[LIN], "new": new})).status == 503
    assert users_path(line.store.journal).read_bytes() == before  # what the journal was not told is not done
    at.limit_error = ""
    at.passwords.clear()
    assert (await ours.ask("/api/password", {"password": PASSWORDS[LIN], "new": new})).status == 200

    assert at.passwords == [LIN]
    assert (await ours.who(), await other.who()) == (LIN, None)
    assert (await Visitor(at).sign_in(LIN)).status == 401
    assert (await Visitor(at).sign_in(LIN, new)).status == 200


async def test_who_types_a_password_at_a_terminal_keeps_nobody_from_signing_in(at: Served, line: Settings) -> None:
    visitor, path = Visitor(at), users_path(line.store.journal)
    await visitor.sign_in(LIN)
    new = {"password": PASSWORDS[LIN], "new": "a password of her own"}
    with changing_users(path):  # edge-agent users add, which asks for a password
        changing = asyncio.create_task(visitor.ask("/api/password", new))
        for is_checked in (False, True):  # the password of now is looked at, then right
            while bool(at.site.access.throttle._tried) is is_checked:
                await asyncio.sleep(0)
        assert (await Visitor(at).sign_in(ADA)).status == 200
        reply = await changing

    assert (reply.status, at.passwords) == (503, []), "and the journal was not told of what was not done"
    assert reply.json["error"] == "somebody else is changing the users of this line"
    assert (await visitor.ask("/api/password", new)).status == 200


async def test_a_script_with_the_token_does_not_sign_in_the_name_of_a_user(line: Settings) -> None:
    async with served(with_web(line, who_signs="users-or-token")) as at:
        for name in (ADA, "ada", f" {ADA} "):
            reply = await at.review(by=name)
            assert reply.status == 403, name
            assert b"the token does not prove that" in reply.body
        assert (await at.review(by="the robot")).status == 200
    assert [one.by for one in at.reviews] == ["the robot"]
