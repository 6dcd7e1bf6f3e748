"""The page behind the real nginx with the recipe that is shipped: all of it arrives, the guard is as strict as ever."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.web.guard import REVIEW_MAX_BYTES
from tests.security.people_site import ADA, LIN, PASSWORDS, change, team
from tests.security.web_site import (
    TOKEN,
    agent_state,
    part_row,
    reject_row,
    served,
    web_settings,
    with_web,
    written,
)
from tests.simulated.proxy import NGINX, NO_NGINX, nginx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.security.web_site import Served
    from tests.simulated.proxy import Answer, Proxy

pytestmark = pytest.mark.skipif(NGINX is None, reason=NO_NGINX)

NAME = "line7.plant.example"
SILENT_AFTER_S = 3.5  # the page then says that what stands there is old (static/line.js)
PASSWORD = "Basic b3BlcmF0b3JzOnBhcnRzLW9mLWxpbmUtNw=="  # noqa: S105 - operators:parts-of-line-7, of these tests alone
WITH_PASSWORD = {"#auth_basic ": "auth_basic ", "#auth_basic_user_file": "auth_basic_user_file"}
BUFFERED = {
    "proxy_read_timeout 120s;": "proxy_read_timeout 120s; proxy_ignore_headers X-Accel-Buffering; "
    "proxy_buffer_size 64k; proxy_buffers 8 64k;"
}


@asynccontextmanager
async def behind(
    folder: Path, changes: Mapping[str, str] | None = None, names: tuple[str, ...] = (NAME,), **keys: Any
) -> AsyncIterator[tuple[Proxy, Served]]:
    """The page over a journal of three parts, and nginx before it; ``keys`` are those of [web]."""
    settings = with_web(web_settings(folder), **keys)
    await written(settings.store.journal, [part_row(1), reject_row(2), part_row(3)])
    async with served(settings, names=names) as site, nginx(folder / "nginx", site.port, changes) as proxy:
        site.site.live.hear(agent_state())
        yield proxy, site


async def review(proxy: Proxy, headers: Mapping[str, str]) -> Answer:
    body = json.dumps({"says": "OVERTURNED", "by": "Ada", "seen": 0}).encode()
    token = {"Authorization": f"Bearer {TOKEN}"}
    return await proxy.ask("/line7/api/parts/2/review", method="POST", headers={**token, **headers}, body=body)


async def test_page_modules_pictures_and_answers_arrive_below_the_path(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, site):
        for path in ("", "page.css", "page.js", "words.js", "tr.js", "icon.svg", "heat-scale.png", "api/parts/2"):
            mine, through = await site.ask(f"/{path}"), await proxy.ask(f"/line7/{path}")

            assert (through.status, through.body) == (200, mine.body), path
            for name in ("content-type", "content-security-policy", "cache-control", "x-content-type-options"):
                assert through.headers[name] == mine.headers[name], path
        assert (await proxy.ask("/line7/api/parts/99")).status == 404
        assert (await proxy.ask("/")).status == 404
        slash = await proxy.ask("/line7")
        german = await proxy.ask("/line7/", headers={"Cookie": "language=de"})

    assert (slash.status, slash.headers["location"]) == (301, "/line7/")
    assert '<html lang="de">' in german.body.decode()


async def _states(reader: asyncio.StreamReader, number: int) -> list[float]:
    """How old each of the next events is when it arrives, in seconds."""
    ages = []
    while len(ages) < number:
        await reader.readuntil(b"event: state\ndata: ")
        state: dict[str, Any] = json.loads(await reader.readline())
        ages.append((datetime.now(UTC) - datetime.fromisoformat(state["utc"])).total_seconds())
    return ages


async def test_events_arrive_one_by_one_and_a_new_part_at_once(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, site):
        reader, writer = await proxy.open("/line7/events")
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            ages = await _states(reader, 4)
            await written(site.site.settings.store.journal, [reject_row(4)])
            await reader.readuntil(b'"part_seq": 4,')
        writer.close()
        async with asyncio.timeout(30):
            while site.site.measured.viewers:
                await asyncio.sleep(0.01)

    assert b"200 OK" in head
    assert b"text/event-stream" in head
    assert max(ages) < SILENT_AFTER_S, ages


async def test_without_the_header_nginx_holds_events_back(tmp_path: Path) -> None:
    """That the test before this one sees the difference, and that the header is what makes it."""
    async with behind(tmp_path, BUFFERED) as (proxy, site):
        reader, writer = await proxy.open("/line7/events")
        ages: list[float] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * SILENT_AFTER_S):
                ages = await _states(reader, 1)
        assert site.site.measured.viewers == 1  # it was asked, and has told
        writer.close()

    assert ages == []


async def test_measured_values_and_health_are_not_shown_by_whatever_spelling(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, site):
        for secret in ("metrics", "healthz", "readyz"):
            assert (await site.ask(f"/{secret}")).status == 200
            for path in (secret, f"{secret}/", f"/{secret}", f"%{ord(secret[0]):x}{secret[1:]}", f"x/../{secret}",
                         f"./{secret}", f"{secret}?x=1", f"{secret}%3f", f"{secret};x", f"{secret}%00", f"%2f{secret}",
                         f"..%2f{secret}", f"%2e%2e/line7/{secret}", secret.upper()):  # fmt: skip
                reply = await proxy.ask(f"/line7/{path}")
                assert reply.status in (307, 400, 404), (path, reply)
                assert b"edge_agent_" not in reply.body, path
                assert b"schema_version" not in reply.body, path


async def test_only_names_of_line_toml_are_answered_and_a_proxy_hands_them_on(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, _):
        for host in ("evil.example", f"evil.example:{proxy.port}", "127.0.0.2", "line7.plant.example.evil.example"):
            for path in ("", "events", "api/parts"):
                refused = await proxy.ask(f"/line7/{path}", headers={"Host": host})
                assert refused.status == 421, (host, path)
        assert b"web.names" in refused.body
        for host in (NAME, f"{NAME}:{proxy.port}", NAME.upper(), "127.0.0.1"):
            assert (await proxy.ask("/line7/", headers={"Host": host})).status == 200, host


async def test_a_name_that_web_names_lacks_is_said(tmp_path: Path) -> None:
    async with behind(tmp_path, names=()) as (proxy, _):
        reply = await proxy.ask("/line7/")

    assert (reply.status, reply.body) == (421, b"this page is not known by that name; see web.names in line.toml\n")


async def test_a_review_of_the_page_itself_is_taken_and_of_no_other(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, site):
        own = f"{NAME}:{proxy.port}"
        for origin in (f"https://evil.example:{proxy.port}", f"https://{NAME}", f"https://{NAME}:1", "null", "",
                       f"https://127.0.0.1:{site.port}", f"https://{own}.evil.example"):  # fmt: skip
            assert (await review(proxy, {"Origin": origin})).status == 403, origin
        # What a proxy may be told of by its client counts for nothing.
        forwarded = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Original-Host": "evil"}
        assert (await review(proxy, {"Origin": "https://evil.example", **forwarded})).status == 403
        assert (await review(proxy, {"Origin": f"https://{own}", "Authorization": "Bearer wrong"})).status == 401
        assert site.reviews == []
        assert (await review(proxy, {"Origin": f"https://{own}"})).status == 200
        assert [told.by for told in site.reviews] == ["Ada"]
        # As long as the largest drawing: nginx hands it on, and the page asks who sent it.
        for size, status in ((REVIEW_MAX_BYTES, 401), (REVIEW_MAX_BYTES + 1, 413), (40_000, 413)):
            long = await proxy.ask("/line7/api/parts/2/review", method="POST", body=b"x" * size)
            assert long.status == status, size


@pytest.mark.parametrize("host", ["$proxy_host", "$host", "127.0.0.1"])
async def test_a_proxy_that_changes_the_host_shows_the_page_and_no_review_is_taken(tmp_path: Path, host: str) -> None:
    async with behind(tmp_path, {"$http_host": host}) as (proxy, site):
        page = await proxy.ask("/line7/")
        reply = await review(proxy, {"Origin": f"https://{NAME}:{proxy.port}"})

    assert page.status == 200
    assert (reply.status, site.reviews) == (403, [])
    assert b"docs/behind-nginx.md" in reply.body


def _password_line() -> str:
    """As the recipe has it made."""
    words = ["openssl", "passwd", "-apr1", "parts-of-line-7"]
    return f"operators:{subprocess.run(words, check=True, capture_output=True, text=True).stdout}"


async def test_with_a_password_everything_but_a_review_asks_for_it(tmp_path: Path) -> None:
    line = await asyncio.to_thread(_password_line)
    async with behind(tmp_path, WITH_PASSWORD) as (proxy, site):
        (tmp_path / "nginx" / "htpasswd").write_text(line)
        origin = {"Origin": f"https://{NAME}:{proxy.port}"}
        for path in ("", "page.js", "events", "api/parts", "api/parts/2/review"):
            for headers in ({}, {"Authorization": "Basic eDp4"}, {"Authorization": f"Bearer {TOKEN}"}):
                assert (await proxy.ask(f"/line7/{path}", headers=headers)).status == 401, (path, headers)
        for path in ("", "page.js", "api/parts"):
            assert (await proxy.ask(f"/line7/{path}", headers={"Authorization": PASSWORD})).status == 200, path
        reader, writer = await proxy.open("/line7/events", headers={"Authorization": PASSWORD})
        async with asyncio.timeout(60):
            await _states(reader, 1)
        writer.close()
        for wrong in (PASSWORD, "Bearer wrong", ""):
            assert (await review(proxy, {**origin, "Authorization": wrong})).status == 401
        for path in ("", "events", "api/parts", "api/parts/2"):
            assert (await proxy.ask(f"/line7/{path}", method="POST", headers=origin, body=b"{}")).status == 405, path
        assert site.reviews == []
        assert (await review(proxy, origin)).status == 200
        assert len(site.reviews) == 1


async def test_a_user_signs_in_below_the_path_and_the_cookie_is_for_tls_alone(tmp_path: Path) -> None:
    async with behind(tmp_path) as (proxy, site):
        change(site.site.settings, team())
        own = {"Origin": f"https://{NAME}:{proxy.port}"}
        said = json.dumps({"name": LIN, "password": PASSWORDS[LIN]}).encode()
        signed_in = await proxy.ask("/line7/api/session", method="POST", headers=own, body=said)
        kept = signed_in.headers["set-cookie"]
        assert {"secure", "httponly", "samesite=strict"} <= set(kept.lower().split("; "))
        cookie = {"Cookie": kept.partition(";")[0]}
        assert (await review(proxy, own)).status == 401  # the token
        assert (await review(proxy, {**own, **cookie})).status == 409  # in the name of another
        wish = json.dumps({"says": "OVERTURNED", "seen": 0}).encode()
        address = "/line7/api/parts/2/review"
        reply = await proxy.ask(address, method="POST", headers={**own, **cookie}, body=wish)
        assert (reply.status, [told.by for told in site.reviews]) == (200, [LIN])


async def test_nginx_hands_on_whom_it_asked_and_takes_away_what_a_browser_wrote_there(tmp_path: Path) -> None:
    believed = {"user_header": "X-Remote-User", "trusted_proxies": ("127.0.0.1",)}
    wish = json.dumps({"says": "OVERTURNED", "seen": 0}).encode()
    address = "/line7/api/parts/2/review"
    faked = {"X-Remote-User": ADA, "x-remote-user": ADA}
    async with behind(tmp_path, **believed) as (proxy, site):
        change(site.site.settings, team())
        own = {"Origin": f"https://{NAME}:{proxy.port}"}
        assert (await proxy.ask(address, method="POST", headers={**own, **faked}, body=wish)).status == 401
        assert site.reviews == []

    line = (await asyncio.to_thread(_password_line)).replace("operators:", f"{LIN}:")
    asks = {**WITH_PASSWORD, "$edge_agent_asks;\n": '"edge-agent";\n'}
    (tmp_path / "second").mkdir()
    async with behind(tmp_path / "second", asks, **believed) as (proxy, site):
        (proxy.folder / "htpasswd").write_text(line)
        change(site.site.settings, team())
        own = {"Origin": f"https://{NAME}:{proxy.port}", **faked}
        basic = {"Authorization": f"Basic {base64.b64encode(f'{LIN}:parts-of-line-7'.encode()).decode()}"}
        assert (await proxy.ask(address, method="POST", headers=own, body=wish)).status == 401
        reply = await proxy.ask(address, method="POST", headers={**own, **basic}, body=wish)
        assert (reply.status, [(told.by, told.role) for told in site.reviews]) == (200, [(LIN, "operator")])
