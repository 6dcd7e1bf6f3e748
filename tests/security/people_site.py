"""Users of a line at its page, and browsers that sign in: what a test of them needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_agent.people.roles import Role
from edge_agent.people.users import Users, changing_users, users_path
from tests.security.web_site import words_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.settings import Settings
    from tests.security.web_site import Reply, Served

ADA, LIN, QUINN = "Ada", "Lin", "Quinn"
PASSWORDS = {ADA: "correct horse battery", LIN: "staple of the night shift", QUINN: "the third one of them"}


@cache
def team() -> Users:
    """An engineer, an operator and somebody of quality."""
    users = Users().with_added(ADA, Role.ENGINEER, PASSWORDS[ADA])
    return users.with_added(LIN, Role.OPERATOR, PASSWORDS[LIN]).with_added(QUINN, Role.QUALITY, PASSWORDS[QUINN])


def change(settings: Settings, users: Users | Callable[[Users], Users]) -> None:
    """The users of the line from now on, as the command writes them."""
    with changing_users(users_path(settings.store.journal)) as changing:
        changing.write(users if isinstance(users, Users) else users(changing.users))


@dataclass
class Visitor:
    """A browser with its cookie, which names the page as where its requests come from."""

    at: Served
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    origin: str | None = ""

    async def ask(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Reply:
        """One request; a POST where there is a body. The cookie that comes back is kept."""
        sent = {**self.headers, **headers}
        if body is not None and self.origin is not None:
            sent.setdefault("Origin", self.origin or f"http://127.0.0.1:{self.at.port}")
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        data = None if body is None else json.dumps(body).encode()
        reply = await self.at.ask(path, method="GET" if body is None else "POST", headers=sent, body=data)
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return reply

    async def sign_in(self, name: str, password: str | None = None) -> Reply:
        """With the right password where none is given."""
        said = PASSWORDS[name] if password is None else password
        return await self.ask("/api/session", {"name": name, "password": said})

    async def who(self) -> str | None:
        """Who the page says is signed in here."""
        user = (await self.ask("/api/session")).json["user"]
        return None if user is None else str(user["name"])

    async def review(self, part: int = 2, **body: Any) -> Reply:
        """A part was a good one."""
        seen = words_on(self.at, part)
        return await self.ask(f"/api/parts/{part}/review", {"says": "OVERTURNED", "seen": seen, **body})
