"""The operator's page under bad visitors: what is not asked for rightly is refused, and nothing is changed."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Verdict
from edge_agent.errors import ConfigError
from edge_agent.feed.state import ArchivedKind
from edge_agent.store.journal import Journal
from edge_agent.web.guard import REVIEW_MAX_BYTES, read_token
from edge_agent.web.site import _VIEWERS_MAX, monitoring
from tests.security.web_site import TOKEN, agent_state, part_row, reject_row, served, web_settings, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.security.web_site import Served


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2), part_row(3)])
    async with served(settings) as site:
        site.site.live.hear(agent_state())
        yield site


async def test_a_foreign_name_is_refused_everywhere_and_ours_are_answered(at: Served) -> None:
    for host in ("evil.example", "evil.example:8480", "", "127.0.0.1.evil.example", "[::2]:1", "localhost.", "@"):
        for path in ("/", "/events", "/api/parts", "/metrics"):
            assert (await at.ask(path, headers={"Host": host})).status in (400, 421), (host, path)
    for host in ("127.0.0.1:8480", "LOCALHOST", "[::1]:8480", "line7.example:80"):
        assert (await at.ask("/healthz", headers={"Host": host})).status == 200, host


async def test_every_answer_forbids_scripts_frames_and_guessing_that_are_not_ours(at: Served) -> None:
    for path in (
        "/",
        "/page.js",
        "/api/parts",
        "/none",
        "/metrics",
        "/api/parts/1/cameras/1/image",
        "/api/parts?most=0",
    ):
        reply = await at.ask(path)
        policy = reply.headers["content-security-policy"]

        assert "default-src 'none'" in policy, path
        assert "script-src 'self'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert reply.headers["x-content-type-options"] == "nosniff", path
        assert "server" not in reply.headers, path


async def test_the_page_has_no_inline_script_no_inline_style_and_nothing_from_elsewhere(at: Served) -> None:
    html = (await at.ask("/")).body.decode()

    assert html.count("<script") == html.count('<script type="module" src="page.js"></script>') == 1
    assert "style=" not in html
    assert "onclick" not in html
    for path in ("/", "/page.js", "/page.css", "/tr.js", "/words.js"):
        text = (await at.ask(path)).body.decode()
        assert "http://" not in text.replace("http://www.w3.org/", "")
        assert "https://" not in text
        assert "innerHTML" not in text


NO_ADDRESSES = (
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/static/../site.py",
    "/site.py",
    "/index.html/..%5c..%5csite.py",
    "/api/parts/..%2f..%2fweb_token",
    "/api/parts/1/cameras/1/..%2f..%2f..%2fweb_token",
    "/api/parts/1/cameras/..%2f1/image",
    "/api/parts/1/cameras/1/image%00.png",
    "/api/parts/1/cameras/2/image",
    "/api/parts/1/cameras/1/secret",
    "/api/parts/0",
    "/api/parts/-1",
    "/api/parts/+1",
    "/api/parts/1e3",
    "/api/parts/%D9%A1",
    "/api/parts/4",
    "/api/parts/9223372036854775808",
    "/api/parts/" + "9" * 6000,
    "/api/parts/1%27%20OR%201=1",
)


async def test_an_address_that_is_none_finds_nothing(at: Served) -> None:
    for path in NO_ADDRESSES:
        reply = await at.ask(path)

        assert reply.status == 404, path
        assert b"root:" not in reply.body, path
        assert TOKEN.encode() not in reply.body, path


NO_FILTERS = (
    "since=yesterday",
    "verdict=OK",
    "verdict=PASS'--",
    "program=1000",
    "program=-1",
    "program=x",
    "score_min=nan",
    "score_max=inf",
    "before=0",
    "before=" + "9" * 30,
    "most=0",
    "most=201",
    "most=1e2",
    "unknown=1",
    "since=" + "1" * 4000,
    "since=%00",
    "%ff=%ff",
)


async def test_a_filter_that_is_none_is_said(at: Served) -> None:
    for query in NO_FILTERS:
        reply = await at.ask(f"/api/parts?{query}")

        assert reply.status == 400, query
        assert len(reply.body) < 1000, query


async def test_changes_are_told_the_newest_first_and_a_time_that_is_none_is_said(at: Served) -> None:
    journal = await asyncio.to_thread(Journal.open, at.site.settings.store.journal)
    await journal.event("BYPASS", "begins, by <b>Ada</b>, for 900 s: lamp")
    await journal.event("REVIEW", '{"part_seq": 2, "says": "OVERTURNED", "by": "Lin", "note": "dust"}')
    await asyncio.to_thread(journal.close)
    found = (await at.ask("/api/changes")).json

    assert [(one["kind"], one["by"], one["why"]) for one in found["changes"]] == [
        ("REVIEW", "Lin", "dust"),
        ("BYPASS", "<b>Ada</b>", "lamp"),
    ]
    assert (found["of"], found["missing"]) == (2, None)
    assert len((await at.ask("/api/changes?most=1")).json["changes"]) == 1
    assert (await at.ask("/api/changes?until=2020-01-01T00:00:00Z")).json["changes"] == []
    for query in ("since=x", "most=0", "most=1001", "kind=START", "since=%00"):
        assert (await at.ask(f"/api/changes?{query}")).status == 400, query
    assert (await at.ask("/api/changes", headers={"Host": "evil.example"})).status == 421


async def test_a_limit_that_is_none_is_said(at: Served) -> None:
    for query in (
        "",
        "bundle=x",
        "bundle=x&limit=0&since=2026-01-01",
        "bundle=x&limit=nan&since=2026-01-01",
        "bundle=&limit=1&since=2026-01-01",
        "bundle=x&limit=1&since=x",
    ):
        assert (await at.ask(f"/api/reviewed?{query}")).status == 400, query


async def test_what_only_reads_takes_no_other_method(at: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        for path in ("/", "/events", "/api/parts", "/api/parts/2", "/metrics"):
            assert (await at.ask(path, method=method, body=b"")).status == 405, (method, path)


async def test_without_the_token_nothing_is_written(at: Served) -> None:
    for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xfc" * 20, "x" * 4000):
        assert (await at.review(token=token)).status == 401, token
    assert at.reviews == []


async def test_a_page_without_a_token_file_is_read_only(tmp_path: Path) -> None:
    settings = web_settings(tmp_path, token=False)
    await written(settings.store.journal, [reject_row(1), reject_row(2)])
    async with served(settings) as at:
        assert (await at.review()).status == 403
        assert (await at.review(token="")).status == 403
        assert at.reviews == []


UNSAID = "seen: say how many reviews of this part you know of; 0 for none"
NO_REVIEWS = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"[" * 4000,
    b'{"seen":0,"says":"PASS","by":"Ada"}',
    b'{"seen":0,"says":"CONFIRMED"}',
    b'{"seen":0,"says":"CONFIRMED","by":""}',
    b'{"seen":0,"says":"CONFIRMED","by":"   "}',
    b'{"seen":0,"says":"CONFIRMED","by":"a\\nb"}',
    b'{"seen":0,"says":"CONFIRMED","by":"a\\u0000"}',
    b'{"seen":0,"says":"CONFIRMED","by":7}',
    b'{"seen":0,"says":"CONFIRMED","by":"Ada","part_seq":1}',
    b'{"seen":0,"says":"CONFIRMED","by":"' + b"x" * 65 + b'"}',
    b'{"seen":0,"says":"CONFIRMED","by":"Ada","note":"' + b"x" * 501 + b'"}',
    b'{"seen":0,"says":"CONFIRMED","by":"Ada","note":"\\ud800"}',
)


async def test_a_review_that_is_none_is_said_and_not_written(at: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for body in NO_REVIEWS:
        reply = await at.ask("/api/parts/2/review", method="POST", headers=headers, body=body)

        assert reply.status == 400, body
    assert at.reviews == []


async def test_a_review_has_to_say_how_many_words_its_speaker_knows_of(at: Served) -> None:
    """Without that, of two people at once the second would overrule the first without having read it."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for unsaid in ({}, {"seen": None}):
        body = json.dumps({"says": "OVERTURNED", "by": "Ada", **unsaid}).encode()
        reply = await at.ask("/api/parts/2/review", method="POST", headers=headers, body=body)
        assert (reply.status, reply.body.decode()) == (400, UNSAID), unsaid
    for wrong in ("0", 0.5, -1, True, [0], 2**40):
        assert (await at.review(seen=wrong)).status == 400, wrong
    assert at.reviews == []
    assert (await at.review(seen=0)).status == 200
    assert [one.by for one in at.reviews] == ["Ada"]


async def test_a_body_that_is_too_large_or_has_no_length_is_not_read(at: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = "/api/parts/2/review"

    for length in (str(REVIEW_MAX_BYTES + 1), "99999999999999999999", "-1", "x"):
        reply = await at.ask(address, method="POST", headers={**headers, "Content-Length": length})
        assert reply.status in (400, 413)
    chunked = await at.ask(address, method="POST", headers={**headers, "Transfer-Encoding": "chunked"}, body=None)
    assert chunked.status == 413
    assert at.reviews == []


async def test_headers_without_an_end_are_not_collected(at: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        writer.write(b"GET / HTTP/1.1\r\n")
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"X-Long: " + b"x" * 10_000 + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    assert (await at.ask("/healthz")).status == 200


async def test_a_page_of_another_origin_cannot_review(at: Served) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", ""):
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": origin}
        body = b'{"says":"CONFIRMED","by":"Ada"}'
        assert (await at.ask("/api/parts/2/review", method="POST", headers=headers, body=body)).status == 403, origin
    assert at.reviews == []


async def test_a_review_with_the_token_is_handed_on_as_it_was_said(at: Served) -> None:
    name = "<script>alert(1)</script>"

    reply = await at.review(by=name, note="</td>")

    assert reply.status == 200
    assert [(r.part_seq, r.says, r.by, r.note) for r in at.reviews] == [(2, "OVERTURNED", name, "</td>")]


async def test_only_a_reject_is_reviewed(at: Served) -> None:
    assert (await at.review("1")).status == 409
    assert (await at.review("99")).status == 404
    assert at.reviews == []


async def test_a_review_that_the_journal_refused_is_no_success(at: Served) -> None:
    at.review_error = "the disk is full"

    reply = await at.review()

    assert reply.status == 503
    assert "the disk is full" in reply.json["error"]


async def test_where_only_metrics_are_served_there_is_no_part_and_no_picture(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1), reject_row(2)])
    async with served(settings, monitoring) as at:
        for path in ("/", "/page.js", "/events", "/api/parts", "/api/parts/1", "/api/parts/1/cameras/1/image"):
            assert (await at.ask(path)).status == 404, path
        assert (await at.review()).status == 404
        assert (await at.ask("/healthz")).status == 503
        assert "agent" in (await at.ask("/readyz")).json["reasons"]
        at.site.live.hear(agent_state(output="the remote I/O is not there"))
        assert (await at.ask("/healthz")).status == 200
        not_ready = await at.ask("/readyz")
        assert (not_ready.status, not_ready.json["reasons"]) == (503, {"output": "the remote I/O is not there"})
        assert b"edge_agent_ready 0.0" in (await at.ask("/metrics")).body
        assert (await at.ask("/metrics", headers={"Host": "evil.example"})).status == 421


async def test_markup_in_names_comes_as_data_and_never_as_a_page(at: Served) -> None:
    reply = await at.ask("/api/parts/1")

    assert reply.headers["content-type"] == "application/json"
    assert reply.json["cameras"][0]["image_name"] == "<b>CAM1</b>.bmp"


async def test_more_viewers_than_chairs_are_sent_away_and_a_free_chair_is_given_again(at: Served) -> None:
    at.site.measured.viewers = _VIEWERS_MAX
    assert (await at.ask("/events")).status == 503
    at.site.measured.viewers = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"event: state"), 10)
    assert at.site.measured.viewers == 1
    writer.close()
    async with asyncio.timeout(10):
        while at.site.measured.viewers:
            await asyncio.sleep(0.01)


async def test_a_dry_run_and_what_is_degraded_are_told(at: Served) -> None:
    why = {"challenge": "<b>overdue</b>"}
    at.site.live.hear(agent_state().model_copy(update={"is_dry_run": True, "degraded": why}))
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"event: state\ndata: "), 10)
    state = json.loads(await reader.readline())
    writer.close()

    assert state["dry_run"] is True
    assert state["degraded"] == why
    assert 'edge_agent_degraded{reason="challenge"} 1.0' in (await at.ask("/metrics")).body.decode()


async def test_how_far_back_the_archive_reaches_is_told(at: Served) -> None:
    held = {"archive_passes": ArchivedKind(size_bytes=2**30, oldest_seq=1), "archive_others": ArchivedKind()}
    at.site.live.hear(agent_state().model_copy(update=held))
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"event: state\ndata: "), 10)
    state = json.loads(await reader.readline())
    writer.close()
    metrics = (await at.ask("/metrics")).body.decode()

    assert re.fullmatch(r"holds \d+ days of passes, no rejects \(1\.0 GiB\)", state["archive"])
    assert 'edge_agent_archive_bytes{kind="pass"} 1.073741824e+09' in metrics
    assert 'edge_agent_archive_reach_seconds{kind="pass"}' in metrics
    assert 'edge_agent_archive_reach_seconds{kind="reject"}' not in metrics


async def test_what_a_page_is_told_is_json_that_a_browser_takes(at: Served) -> None:
    reply = await at.ask("/api/parts?verdict=REJECT")

    assert [part["verdict"] for part in reply.json["parts"]] == [Verdict.REJECT]
    assert "NaN" not in json.dumps(reply.json)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)

    with pytest.raises(ConfigError, match="others on this PC"):
        read_token(path)


@pytest.mark.parametrize(
    "content", ["", "\n", "short", "x" * 15, "x" * 20 + "\n" + "y" * 20, "x" * 10 + " " + "x" * 10, "ü" * 20]
)
def test_a_token_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="expected one line"):
        read_token(path)


def test_a_token_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "token")
