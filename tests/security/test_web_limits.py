"""A limit on the page: what it would do is told to everybody, and only a person with the token makes it one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest, manifest_id
from tests.security.people_site import ADA, PASSWORDS, QUINN, Visitor, change, team
from tests.security.web_site import TOKEN, part_row, reject_row, served, web_settings, written
from tests.unit.test_manifest_fuzz import MANIFEST_AS_WRITTEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.security.web_site import Reply, Served

BUNDLE = manifest_id(MANIFEST_AS_WRITTEN)
"""Of a bundle with a limit of 1.9 and one good part, which scores 0.5."""


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / MANIFEST).write_bytes(encode_manifest(MANIFEST_AS_WRITTEN))
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2)])
    async with served(settings) as site:
        yield site


async def move(at: Served, token: str | None = TOKEN, **body: Any) -> Reply:
    said = {"bundle": BUNDLE, "limit": 2.5, "by": "A. Weber", "why": "dust", "told": "ab" * 32, **body}
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return await at.ask("/api/limit", method="POST", headers=headers, body=json.dumps(said).encode())


async def test_what_a_limit_would_do_is_told_without_a_token(at: Served) -> None:
    reply = await at.ask(f"/api/limit?bundle={BUNDLE}&limit=2.5&since=2026-11-23T10:00:00Z")

    assert reply.status == 200, reply.body
    assert (reply.json["limit"], reply.json["to"], reply.json["good_parts"]) == (1.9, 2.5, 1)
    assert "next start" in reply.json["takes_effect"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"bundle={BUNDLE}", 400),
        (f"bundle={BUNDLE}&limit=nan", 400),
        (f"bundle={BUNDLE}&limit=-1", 400),
        (f"bundle={BUNDLE}&limit=2&since=yesterday", 400),
        ("bundle=..%2F..&limit=2", 400),
        (f"bundle={'cd' * 32}&limit=2", 404),
        (f"bundle={BUNDLE}&limit=1.9", 409),
        (f"bundle={BUNDLE}&limit=0.1", 409),
    ],
)
async def test_what_is_no_question_is_said(at: Served, query: str, status: int) -> None:
    assert (await at.ask(f"/api/limit?{query}")).status == status


async def test_without_the_token_no_limit_is_moved(at: Served) -> None:
    for token in (None, "", "wrong", TOKEN[:-1], TOKEN.upper()):
        assert (await move(at, token=token)).status == 401, token
    assert at.limits == []


async def test_a_page_without_a_token_file_moves_no_limit(tmp_path: Path) -> None:
    settings = web_settings(tmp_path, token=False)
    await written(settings.store.journal, [])
    async with served(settings) as at:
        assert (await move(at)).status == 403
        assert at.limits == []


async def test_a_page_of_another_origin_moves_no_limit(at: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}
    reply = await at.ask("/api/limit", method="POST", headers=headers, body=b"{}")

    assert (reply.status, at.limits) == (403, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": ""},
        {"by": "  "},
        {"by": "x" * 65},
        {"by": "a\nb"},
        {"why": ""},
        {"why": "   "},
        {"why": "x" * 201},
        {"why": "\ud800"},
        {"limit": 0},
        {"limit": "much"},
        {"limit": True, "also": 1},
        {"bundle": "../../etc"},
        {"program": 3},
        {"told": "nothing"},
        {"although_known_defects_pass": "perhaps"},
    ],
)
async def test_a_wish_that_is_none_is_said_and_not_handed_on(at: Served, wrong: dict[str, Any]) -> None:
    assert (await move(at, **wrong)).status == 400
    assert at.limits == []


async def test_a_limit_with_name_reason_and_token_is_handed_on_as_it_was_said(at: Served) -> None:
    reply = await move(at, by=" <b>Weber</b> ", although_known_defects_pass=True)

    assert reply.status == 200, reply.body
    assert (reply.json["bundle_id"], reply.json["limit"]) == ("ab" * 32, 2.5)
    (asked,) = at.limits
    assert (asked.program, asked.camera, asked.bundle_id, asked.to) == (3, 1, BUNDLE, 2.5)
    assert (asked.by, asked.why, asked.although_known_defects_pass) == ("<b>Weber</b>", "dust", True)


async def test_what_the_agent_refuses_is_said_in_its_words(at: Served) -> None:
    at.limit_error = "by a limit of 2.5 known defects would pass: part 2"

    reply = await move(at)

    assert reply.status == 409
    assert b"known defects would pass: part 2" in reply.body


async def test_a_user_signs_for_a_limit_with_the_role_and_nobody_else_once_there_are_users(at: Served) -> None:
    change(at.site.settings, team())
    visitor = Visitor(at)
    await visitor.sign_in(QUINN)
    wish = {"bundle": BUNDLE, "limit": 2.5, "why": "dust", "told": "ab" * 32}
    assert (await move(at)).status == 401  # the token
    assert (await visitor.ask("/api/limit", {**wish, "by": ADA, "password": PASSWORDS[QUINN]})).status == 409
    assert at.limits == []
    assert (await visitor.ask("/api/limit", {**wish, "by": QUINN, "password": PASSWORDS[QUINN]})).status == 200
    assert [(one.by, one.why) for one in at.limits] == [("Quinn (quality)", "dust")]


async def test_a_name_that_nobody_proved_moves_no_limit_as_if_it_were_signed(at: Served) -> None:
    assert (await move(at, by="A. Weber (engineer)")).status == 400
    assert at.limits == []
