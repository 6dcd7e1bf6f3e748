"""The addresses for looking back under bad visitors: hostile values are refused in words, and cost little."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import Journal
from edge_agent.web import download, looking_back, thumbnails
from edge_agent.web.guard import REVIEW_MAX_BYTES
from tests.security.web_site import part_row, reject_row, served, web_settings, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.security.web_site import Served


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    settings = web_settings(tmp_path)
    rows = [
        part_row(1),
        reject_row(2),
        part_row(3, detail="=HYPERLINK(1)"),
        part_row(4, verdict=Verdict.FAULT, reason=Reason.STALE),
    ]
    await written(settings.store.journal, rows)
    async with served(settings) as site:
        yield site


HOSTILE = (
    "reason=NONE",
    "reason=SCORE'--",
    "reason=" + "&reason=".join(["SCORE"] * 60),
    "camera=0",
    "camera=10",
    "camera=x",
    "reviewed=maybe",
    "reviewed=",
    "bypassed=1",
    "count=-1",
    "count=" + "9" * 30,
    "count=1.5",
    "image=",
    "image=%00",
    "image=" + "*" * 201,
    "since=0001-01-01T00:00:00%2B23:00",
    "until=9999-12-31T23:59:59-23:00",
    "since=NaN",
    "before=0",
    "after=-1",
    "after=" + "9" * 20,
    "unknown=1",
    "most=1e9",
)


async def test_a_filter_that_is_none_is_said_everywhere(at: Served) -> None:
    for query in HOSTILE:
        for address in ("/api/parts", "/api/totals", "/api/parts.csv"):
            reply = await at.ask(f"{address}?{query}")

            assert reply.status == 400, (address, query)
            assert len(reply.body) < 1000, query


async def test_text_that_is_odd_finds_nothing_and_breaks_nothing(at: Served) -> None:
    for text in (
        "' OR 1=1 --",
        "[[[[",
        "*" * 200,
        "*a" * 100,
        "?" * 200,
        "\\..\\..\\etc\\passwd",
        "../../etc/passwd",
        "9" * 200,
        "9223372036854775808",
        "999999999999999999",
        "0",
        "-1",
        "1e400",
        "0001-01-01",
        "9999-12-31T23:59:59-23:59",
        "yesterday 99:99",
        "<script>alert(1)</script>",
        "\U0001f600",
        "٣",
        " ",
        "part_999999999999999999_CAM1_PASS_00000000.png",
        "part_99999999999999999999999_CAM1_PASS_00000000.png",
    ):
        reply = await at.ask(f"/api/find?text={quote(text)}")

        assert reply.status == 200, (text, reply.body)
        assert all(set(part) >= {"part_seq"} for group in reply.json["groups"] for part in group["parts"]), text
        assert len(reply.body) < 20_000, text
    for query in ("", "text=", "text=%00", "text=" + "a" * 201, "text=a&more=1"):
        assert (await at.ask(f"/api/find?{query}")).status == 400, query


async def test_a_limit_from_an_address_is_checked(at: Served) -> None:
    for query in (
        "bundle=x&limit=1&since=x",
        "bundle=x&limit=-1",
        "bundle=x&limit=inf",
        "bundle=&limit=1",
        "limit=1",
        "bundle=x&limit=1&more=1",
    ):
        assert (await at.ask(f"/api/reviewed?{query}")).status == 400, query
    unknown = await at.ask(f"/api/reviewed?bundle={quote(chr(39) + ' OR 1=1')}&limit=1")
    assert (unknown.status, unknown.json["decided_by_score"], unknown.json["bars"]) == (200, 0, [])
    tiny = await at.ask("/api/reviewed?bundle=bundle&limit=5e-324")
    assert (tiny.status, tiny.json["passes_to_reject"]) == (200, 2)


async def test_an_address_without_such_a_picture_finds_nothing(at: Served) -> None:
    for path in (
        "/api/parts/1/cameras/2/thumbnail",
        "/api/parts/1/cameras/1/thumbnail",
        "/api/parts/9/cameras/1/thumbnail",
        "/api/parts/0/cameras/1/thumbnail",
        "/api/parts/1/cameras/..%2f1/thumbnail",
        "/api/parts/1/cameras/1/outline.png",
    ):
        assert (await at.ask(path)).status == 404, path


async def test_an_image_name_from_the_wire_leads_to_no_file_outside_the_archive(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    (tmp_path / "secret.png").write_bytes(b"secret")
    rows = [part_row(1)]
    camera = rows[0].cameras[0]
    object.__setattr__(camera, "image_name", "x./../../secret.png")
    await written(settings.store.journal, rows)
    async with served(settings) as at:
        for picture in ("thumbnail", "image"):
            assert (await at.ask(f"/api/parts/1/cameras/1/{picture}")).status == 404


async def test_a_word_that_does_not_fit_the_verdict_is_refused(at: Served) -> None:
    for part, says in (
        ("1", "CONFIRMED"),
        ("1", "OVERTURNED"),
        ("2", "ESCAPE"),
        ("2", "PASS_CONFIRMED"),
        ("4", "ESCAPE"),
        ("4", "CONFIRMED"),
    ):
        reply = await at.review(part, says=says)
        assert reply.status == 409, (part, says)
    assert at.reviews == []
    for part, says in (("1", "ESCAPE"), ("3", "PASS_CONFIRMED"), ("2", "CONFIRMED")):
        assert (await at.review(part, says=says)).status == 200
    assert [(review.part_seq, review.says) for review in at.reviews] == [
        (1, "ESCAPE"),
        (3, "PASS_CONFIRMED"),
        (2, "CONFIRMED"),
    ]


async def test_an_escape_without_the_token_is_not_written(at: Served) -> None:
    for token in (None, "", "wrong"):
        assert (await at.review("1", token=token, says="ESCAPE")).status == 401
    too_long = await at.review("1", says="ESCAPE", note="x" * REVIEW_MAX_BYTES)
    assert too_long.status == 413
    assert at.reviews == []


async def test_reviews_of_an_old_and_of_a_later_version_lie_side_by_side(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2), part_row(3)])
    journal = Journal.open(settings.store.journal)
    for detail in (
        {"part_seq": 2, "says": "OVERTURNED", "by": "Ada", "note": ""},
        {"part_seq": 1, "says": "ESCAPE", "by": "Ada", "note": ""},
        {"part_seq": 3, "says": "SOMETHING_NEWER", "by": "Ada", "note": ""},
        {"part_seq": 3, "says": "ESCAPE", "by": "Ada", "note": "", "more": 1},
    ):
        await journal.event("REVIEW", json.dumps(detail))
    journal.close()
    async with served(settings) as at:
        said = {
            part["part_seq"]: part["review"] and part["review"]["says"]
            for part in (await at.ask("/api/parts")).json["parts"]
        }
        metrics = (await at.ask("/metrics")).body.decode()
        escapes = (await at.ask("/api/parts?reviewed=ESCAPE")).json["parts"]

    assert said == {1: "ESCAPE", 2: "OVERTURNED", 3: None}
    assert [part["part_seq"] for part in escapes] == [1]
    assert 'edge_agent_parts_reviewed{says="ESCAPE"} 1.0' in metrics
    assert 'edge_agent_parts_reviewed{says="CONFIRMED"} 0.0' in metrics


async def test_a_download_is_a_file_and_takes_no_formula(at: Served) -> None:
    reply = await at.ask("/api/parts.csv?verdict=PASS")

    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["content-disposition"].startswith('attachment; filename="parts-')
    assert b";'=HYPERLINK(1);" in reply.body
    assert (await at.ask("/api/parts.csv", method="POST", body=b"")).status == 405


async def test_a_download_that_is_too_large_is_refused_before_it_is_made(
    at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "_EXPORTED_AT_MOST", 2)

    reply = await at.ask("/api/parts.csv")

    assert reply.status == 413
    assert b"journal export" in reply.body


async def test_more_downloads_than_places_are_asked_to_wait_and_a_place_comes_back(at: Served) -> None:
    for _ in range(download._AT_ONCE):
        assert download._places.acquire(blocking=False)
    try:
        busy = await at.ask("/api/parts.csv")
    finally:
        for _ in range(download._AT_ONCE):
            download._places.release()
    assert (busy.status, busy.headers["retry-after"]) == (503, "1")
    for _ in range(2 * download._AT_ONCE):
        assert (await at.ask("/api/parts.csv")).status == 200


async def test_more_small_pictures_than_places_are_asked_to_wait(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_WAITING_MAX", 0)

    assert (await at.ask("/api/parts/1/cameras/1/thumbnail")).status == 503


async def test_many_questions_at_once_are_all_answered(at: Served) -> None:
    addresses = [
        "/api/queue",
        "/api/bundles",
        "/api/totals",
        "/api/find?text=1",
        "/api/parts/2",
        "/api/reviewed?bundle=bundle&limit=1",
    ]

    replies = await asyncio.gather(*(at.ask(address) for address in addresses * 6))

    assert {reply.status for reply in replies} == {200}
