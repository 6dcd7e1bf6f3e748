"""A journal with parts, and the page's addresses served over a real socket in the test's own loop."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drivers.timing import monotonic_s
from edge_agent.domain import Alignment, Judgement, Outcome, Published, Reason, Verdict
from edge_agent.feed.state import AgentState, Condition
from edge_agent.settings import Settings, load_settings
from edge_agent.store.journal import CameraRow, Journal, PartRow
from edge_agent.web.feed import Answer, LimitRequest, PasswordRequest
from edge_agent.web.process import follow_drift, listening_socket, make_site, names_of, server
from edge_agent.web.site import Site, page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from edge_agent.reviews.review import Review
    from edge_agent.web.feed import MovedLimit, Request, ReviewRequest

TOKEN = "0123456789abcdefghij"  # noqa: S105 - of these tests alone

_TOML = """\
schema_version = 1
[line]
name = "line 7"
deadline_ms = 700
min_part_spacing_ms = 1000
[images]
spool = "spool"
[images.folder]
path = "drop"
[output]
host = "127.0.0.1"
[[bundle]]
program = 3
path = "{bundle}"
[store]
journal = "journal.sqlite3"
archive = "archive"
[web]
port = {port}
shift_starts = ["00:00"]
{more}
"""


def web_settings(folder: Path, *, port: int = 8480, bundle: str = "bundle", token: bool = True) -> Settings:
    """Settings with a page; relative places lie in ``folder``."""
    (folder / "web_token").write_text(TOKEN)
    (folder / "web_token").chmod(0o600)
    path = folder / "line.toml"
    path.write_text(_TOML.format(port=port, bundle=bundle, more='token_file = "web_token"' if token else ""))
    return load_settings(path)


def with_web(settings: Settings, **keys: Any) -> Settings:
    """The same settings with other keys of [web]."""
    assert settings.web is not None
    return settings.model_copy(update={"web": settings.web.model_copy(update=keys)})


def part_row(part_seq: int = 1, **changes: Any) -> PartRow:
    """A part that passed, with one camera."""
    camera = CameraRow(
        camera=1,
        outcome=Outcome.OK,
        reason=Reason.OK,
        detail="",
        score=0.25,
        limit=1.5,
        bundle_id="bundle",
        image_sha256=f"{part_seq:064x}",
        image_name="<b>CAM1</b>.bmp",
        alignment=Alignment(0.99, 1.5, -2.5, 0.125, 1.0, -3.0),
        timings_ms={"decode": 1.25, "register": 10.0},
    )
    row = PartRow(
        part_seq=part_seq,
        count=part_seq,
        session="s",
        program=3,
        verdict=Verdict.PASS,
        reason=Reason.OK,
        detail="",
        score=0.25,
        limit=1.5,
        bundle_id="bundle",
        cameras=(camera,),
        controller_judgement=Judgement.OK,
        simulated=False,
        first_sign_mono_s=100.25,
        decided_mono_s=100.5,
        deadline_mono_s=101.0,
        boot_id="boot",
        decided_utc=f"2026-11-23T10:{part_seq // 60 % 60:02d}:{part_seq % 60:02d}.000+00:00",
    )
    return replace(row, **changes)


def reject_row(part_seq: int, score: float = 2.0, **changes: Any) -> PartRow:
    """A part that the score rejected."""
    wrong: dict[str, Any] = {"verdict": Verdict.REJECT, "reason": Reason.SCORE, "score": score}
    return part_row(part_seq, **{**wrong, **changes})


async def written(path: Path, rows: list[PartRow]) -> None:
    """A journal with these rows, each published."""
    journal = Journal.open(path)
    for row in rows:
        await journal.append(row)
        await journal.publication(row.part_seq, Published.PUBLISHED, row.decided_mono_s + 0.01)
    journal.close()


def agent_state(**why_not: str) -> AgentState:
    """An agent whose conditions hold but for those named."""
    names = ("controller", "output", "images", "journal")
    return AgentState(
        state="FAULT" if why_not else "READY",
        since_mono_s=monotonic_s(),
        is_simulated=True,
        conditions={n: Condition(why_not=why_not.get(n, ""), since_mono_s=monotonic_s()) for n in names},
        archive_lost=2,
        archive_pruned=3,
    )


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def words_on(at: Served, part: int | str) -> int:
    """How many reviews of a part were sent to the site."""
    return sum(str(one.part_seq) == str(part) for one in at.reviews)


@dataclass
class Served:
    """The site at its port; ``reviews`` and ``limits`` are what the agent was asked for, and its answers."""

    port: int
    site: Site
    reviews: list[Review] = field(default_factory=list)
    review_error: str | None = ""
    limits: list[MovedLimit] = field(default_factory=list)
    limit_error: str = ""
    write_review: Callable[[str, str], Awaitable[None]] | None = None
    passwords: list[str] = field(default_factory=list)
    writing: list[asyncio.Task[None]] = field(default_factory=list)

    async def _write(self, request: ReviewRequest) -> None:
        """As the agent's keeper does: an answer when the row is on the disk."""
        assert self.write_review is not None
        await self.write_review("REVIEW", request.review.detail())
        self.site.desk.answered(Answer(answer=request.ask, error=""))

    async def ask(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request with exactly these headers beside Host and what a body needs."""

        def work() -> Reply:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
                for name, value in (headers or {}).items():
                    connection.putheader(name, value)
                if body is not None and "Content-Length" not in (headers or {}):
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(work)

    async def review(self, part: str = "2", token: str | None = TOKEN, **body: Any) -> Reply:
        """A review as the page sends it, by somebody who knows of all that were sent before."""
        said = json.dumps({"says": "OVERTURNED", "by": "Ada", "seen": words_on(self, part), **body}).encode()
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.ask(f"/api/parts/{part}/review", method="POST", headers=headers, body=said)


@asynccontextmanager
async def speaking(at: Served, state: Callable[[], AgentState]) -> AsyncIterator[None]:
    """An agent that tells how it stands, as the real one does, while the block runs."""

    async def tell() -> None:
        while True:
            at.site.live.hear(state())
            await asyncio.sleep(0.3)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def served(
    settings: Settings,
    kind: Callable[[Site, frozenset[str]], ASGIApp] = page,
    names: tuple[str, ...] = ("line7.example",),
    port: int = 0,
) -> AsyncIterator[Served]:
    """The page, or what is at [metrics], over the journal of ``settings``, which must be there; at any free port."""
    sock = listening_socket("127.0.0.1", port)

    def agent(request: Request) -> None:
        if isinstance(request, LimitRequest):
            at.limits.append(request.limit)
            at.site.desk.answered(Answer(answer=request.ask, error=at.limit_error, bundle_id="ab" * 32))
        elif isinstance(request, PasswordRequest):
            at.passwords.append(request.password_of.user)
            at.site.desk.answered(Answer(answer=request.ask, error=at.limit_error))
        elif at.review_error is not None:
            at.reviews.append(request.review)
            if at.write_review is not None:
                at.writing.append(asyncio.create_task(at._write(request)))
                return
            at.site.desk.answered(Answer(answer=request.ask, error=at.review_error))

    at = Served(sock.getsockname()[1], make_site(settings, agent))
    serving = server(kind(at.site, names_of("127.0.0.1", names)))
    follow = asyncio.gather(at.site.live.follow(), follow_drift(at.site.watch))
    serve = asyncio.create_task(serving.serve([sock]))
    try:
        async with asyncio.timeout(10):
            while not serving.started:
                await asyncio.sleep(0.01)
        yield at
    finally:
        serving.should_exit = serving.force_exit = True
        follow.cancel()
        await asyncio.gather(serve, follow, return_exceptions=True)
        at.site.explainer.close()
        at.site.thumbnails.close()
        at.site.access.close()
