"""Who is at the page: users who sign in, or whom a proxy names; on a line without users, whoever has the token.

Every address that writes asks ``signed`` first. What cannot be read is never taken for a line without users.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from edge_agent.errors import AlreadyRunning, ConfigError, NotPermitted, UsageError
from edge_agent.people.passwords import LEAST, MOST, check_password, fits, nobodys
from edge_agent.people.roles import Action, Role, may, roles_for
from edge_agent.people.signing import Person, Signed, plain_name, sign
from edge_agent.people.throttle import Throttle
from edge_agent.people.users import NAME_MAX, UsersFile, changing_users, same_name
from edge_agent.report.words import role_words
from edge_agent.web.asking import checked
from edge_agent.web.feed import OwnPassword
from edge_agent.web.guard import body_of, check_token, is_token
from edge_agent.web.pictures import Busy
from edge_agent.wording import tr

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from edge_agent.people.sessions import Sessions
    from edge_agent.people.users import Changing, User, Users
    from edge_agent.settings.models import WebSettings
    from edge_agent.web.reviews import ReviewDesk

__all__ = ["Access"]

log = structlog.get_logger(__name__)

_WAITING_MAX = 8
_OF_THE_PAGE = (Action.REVIEW, Action.DECIDE, Action.LIMIT)
_ALWAYS_BY_PASSWORD = frozenset({Action.LIMIT})
"""A session that was stolen, or left open, moves no limit."""


class _SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
    password: Annotated[str, Field(min_length=1, max_length=MOST, repr=False)]


class _NewPassword(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    password: Annotated[str, Field(min_length=1, max_length=MOST, repr=False)]
    new: Annotated[str, Field(min_length=1, max_length=MOST, repr=False)]


@dataclass(slots=True)
class Access:
    """The page's door. ``token`` is None where line.toml names no file with one; ``web`` is None without a page."""

    web: WebSettings | None
    token: str | None
    users: UsersFile
    sessions: Sessions
    desk: ReviewDesk
    throttle: Throttle = field(default_factory=Throttle)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="passwords"))
    _waiting: int = 0

    def routes(self) -> list[Route]:
        """The addresses at which a person signs in and out, with who answers them."""
        return [
            Route("/api/session", self.session),
            Route("/api/session", self.sign_in, methods=["POST"]),
            # Beside it, so that a browser sends the cookie, and takes another one, at the same path of a proxy.
            Route("/api/signout", self.sign_out, methods=["POST"]),
            Route("/api/password", self.change_password, methods=["POST"]),
        ]

    def close(self) -> None:
        """Check no more passwords; does not wait for the one that is being checked."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def is_open(self) -> bool:
        """Whether anybody can write at all; not while the users cannot be read."""
        try:
            return self.token is not None or bool(self._users().users)
        except HTTPException:
            return False

    def _users(self) -> Users:
        """The users as they are now. Raises HTTPException (500) where nobody knows them: then nobody signs."""
        try:
            return self.users.now()
        except (ConfigError, OSError) as err:
            log.warning("users_not_read", why=str(err), hint=getattr(err, "hint", ""))
            raise HTTPException(500, tr("the users of this line cannot be read: nobody can sign")) from err

    # --- who ------------------------------------------------------------------------------------------

    async def signed(self, request: Request, action: Action, *, by: str, why: str, password: str | None) -> Signed:
        """The signature of whoever sent this. ``by`` is the name that the page showed; '' where it showed none.

        Raises HTTPException: 401 for nobody, 403 for a role that may not, 409 where somebody else is signed in by now.
        """
        users = self._users()
        self.check(request)
        if not users.users or self._is_script(request):
            if users.find(by) is not None:
                raise HTTPException(
                    403, tr("{name} is a user of this line, and the token does not prove that", name=by)
                )
            return sign(_said(by), action, why)
        user, is_named_by_proxy = self._there(request, users, is_use=True)
        if by and same_name(by) != same_name(user.name):
            raise HTTPException(409, tr("{name} is signed in here by now: look again", name=user.name))
        try:
            signed = sign(Person(user.name, user.role, "proxy" if is_named_by_proxy else "session"), action, why)
        except NotPermitted as err:
            raise HTTPException(403, _only_for(user, action)) from err
        if self._wants_password(action) and not is_named_by_proxy:
            if password is None:
                raise HTTPException(401, tr("this wants your password again"))
            await self._check(user.name, user, password)
            # Asked once more: what was changed while the password was checked counts.
            if self._users().find(user.name) != user:
                raise HTTPException(401, tr("sign in first"))
            signed = sign(Person(user.name, user.role, "password"), action, why)
        return signed

    def viewer(self, request: Request) -> Person | None:
        """The user who looks; None for nobody, and on a line without users."""
        try:
            users = self._users()
            user, is_named_by_proxy = self._there(request, users)
        except HTTPException:
            return None
        return Person(user.name, user.role, "proxy" if is_named_by_proxy else "session")

    def check(self, request: Request) -> None:
        """Raise HTTPException for nobody, before the body of a request is looked at."""
        users = self._users()
        if not users.users:
            check_token(request, self.token)
        elif not self._is_script(request):
            self._there(request, users)

    def _is_script(self, request: Request) -> bool:
        """Somebody with the token alone, where line.toml lets such a one write beside the users."""
        may_be = self.web is not None and self.web.who_signs == "users-or-token" and self.token is not None
        return may_be and is_token(request.headers.get("authorization"), self.token or "")

    def _there(self, request: Request, users: Users, *, is_use: bool = False) -> tuple[User, bool]:
        """Who is there, and whether a proxy says so. Raises HTTPException (401, 403)."""
        # A browser sends a cookie, and a proxy's password, by itself: where a request comes from is asked of it, too.
        if is_use and request.headers.get("origin") is None:
            raise HTTPException(403, tr("a user signs on the page itself, and this request does not come from there"))
        name = self._named_by_proxy(request)
        if name is not None:
            user = users.find(name)
            if user is None or user.is_disabled:
                raise HTTPException(403, tr("the proxy names {name}, who is no user of this line", name=name))
            return user, True
        user = self.sessions.of(request.cookies.get(self._cookie, ""), users, is_use=is_use)
        if user is None:
            raise HTTPException(401, tr("sign in first"))
        return user, False

    def _named_by_proxy(self, request: Request) -> str | None:
        """The user in the proxy's header; None where line.toml believes none, or not from this address."""
        web = self.web
        if web is None or web.user_header is None or request.client is None:
            return None
        peer = ip_address(request.client.host)
        peer = getattr(peer, "ipv4_mapped", None) or peer
        given = request.headers.getlist(web.user_header)
        if not any(peer in ip_network(one, strict=False) for one in web.trusted_proxies):
            if given:
                log.warning("user_header_not_believed", peer=str(peer))
            return None
        if not given or given == [""]:
            return None
        if len(given) > 1:
            raise HTTPException(403, tr("the proxy names several users at once"))
        # Starlette reads headers as latin-1; a proxy sends a name as UTF-8.
        return given[0].encode("latin-1").decode("utf-8", "replace")

    @property
    def _cookie(self) -> str:
        """By the port: a browser tells the pages of one PC apart by their paths and names, not by their ports."""
        return f"edge_agent_{self.web.port if self.web else 0}"

    def _wants_password(self, action: Action) -> bool:
        return action in _ALWAYS_BY_PASSWORD or (self.web is not None and self.web.sign_with == "password")

    # --- passwords ------------------------------------------------------------------------------------

    async def _check(self, name: str, user: User | None, password: str) -> None:
        """Raise HTTPException unless it is the user's: 401, or 429 where it was tried too often. Raises Busy."""
        key = same_name(name)
        # First: a try that costs no hash must not count, or a flood of other names has this one forgotten for nothing.
        if self._waiting >= _WAITING_MAX:
            raise Busy(tr("too many passwords are being checked"), hint="try again in a moment")
        wait_s = self.throttle.take(key)
        if wait_s > 0:
            left = math.ceil(wait_s)
            raise HTTPException(429, tr("too many tries: again in {number} s", number=left), {"retry-after": str(left)})
        is_known = user is not None and not user.is_disabled
        self._waiting += 1
        try:
            kept = user.password if user is not None and is_known else None
            is_right = await asyncio.get_running_loop().run_in_executor(self._thread, _fits, kept, password)
        finally:
            self._waiting -= 1
        if not (is_right and is_known):
            # A name that nobody has may be a password in the wrong field: it is not written down.
            log.warning("sign_in_refused", user=user.name if user else "", known=is_known)
            raise HTTPException(401, tr("the name or the password is wrong"))
        self.throttle.right(key)

    # --- addresses ------------------------------------------------------------------------------------

    def session(self, request: Request) -> Response:
        """Whether this line has users, and who is signed in at this browser."""
        users = self._users()
        facts: dict[str, Any] = {"has_users": bool(users.users), "user": None}
        if users.users:
            try:
                user, is_named_by_proxy = self._there(request, users)
                facts["user"] = self._facts(user, is_named_by_proxy=is_named_by_proxy)
            except HTTPException as err:
                facts["why_not"] = err.detail if err.status_code == 403 else ""
        return JSONResponse({"schema_version": 1, **facts})

    async def sign_in(self, request: Request) -> Response:
        """A user with the password gets a session, and the one that this browser had ends.

        Raises HTTPException: 401 for a wrong name or password, whichever; 409 on a line without users; 429.
        """
        body = await body_of(request)
        asked = checked(lambda: _SignIn.model_validate_json(body))
        users = await run_in_threadpool(self._users)
        if not users.users:
            raise HTTPException(409, tr("this line has no users"))
        user = users.find(asked.name)
        await self._check(asked.name, user, asked.password)
        # Asked once more: what was changed while the password was checked counts.
        found = (await run_in_threadpool(self._users)).find(asked.name)
        if found is None or found != user:
            raise HTTPException(401, tr("the name or the password is wrong"))
        self.sessions.end(request.cookies.get(self._cookie, ""))
        answer = JSONResponse({"schema_version": 1, "user": self._facts(found, is_named_by_proxy=False)})
        self._set_cookie(request, answer, self.sessions.begin(found), None)
        log.info("signed_in", user=found.name)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """The session ends, here and at the server; nothing where there was none."""
        self.sessions.end(request.cookies.get(self._cookie, ""))
        answer = JSONResponse({"schema_version": 1})
        self._set_cookie(request, answer, "", 0)
        return answer

    async def change_password(self, request: Request) -> Response:
        """A user gets another password, with the one of now. Every other session of that user ends.

        Raises HTTPException: 400 for one that does not do, 401, 409 where the user was changed meanwhile, 429; Busy
        while somebody changes users at a terminal.
        """
        user, _ = self._there(request, self._users(), is_use=True)
        body = await body_of(request)
        asked = checked(lambda: _NewPassword.model_validate_json(body))
        await self._check(user.name, user, asked.password)
        try:
            check_password(asked.new, user.name)
        except UsageError as err:
            words = tr("a password has {least} to {most} characters and is not easily guessed", least=LEAST, most=MOST)
            raise HTTPException(400, words) from err
        with ExitStack() as held:
            # Held before anything is told, and not by the thread that checks passwords: whoever types a new one at a
            # terminal holds the users as long as that takes, and nobody could sign in meanwhile.
            changing = await run_in_threadpool(self._held, held)
            if changing.users.find(user.name) != user:
                raise HTTPException(409, tr("somebody changed this user meanwhile: sign in again"))
            # The journal first: what it could not be told is not done.
            await self.desk.tell_password(OwnPassword(user=user.name, role=user.role))
            await asyncio.get_running_loop().run_in_executor(
                self._thread, _write_password, changing, user.name, asked.new
            )
        found = (await run_in_threadpool(self._users)).known(user.name)
        self.sessions.end(request.cookies.get(self._cookie, ""))
        answer = JSONResponse({"schema_version": 1})
        self._set_cookie(request, answer, self.sessions.begin(found), None)
        return answer

    def _held(self, held: ExitStack) -> Changing:
        """The users, until ``held`` ends. Raises Busy where somebody else holds them."""
        try:
            return held.enter_context(changing_users(self.users.path))
        except AlreadyRunning as err:
            raise Busy(tr("somebody else is changing the users of this line"), hint="try again in a moment") from err

    def _facts(self, user: User, *, is_named_by_proxy: bool) -> dict[str, Any]:
        return {
            "name": user.name,
            "role": user.role,
            "role_words": role_words(user.role),
            "may": [action for action in _OF_THE_PAGE if may(user.role, action)],
            "password_for": [] if is_named_by_proxy else list(filter(self._wants_password, _OF_THE_PAGE)),
            "is_named_by_proxy": is_named_by_proxy,
        }

    def _set_cookie(self, request: Request, answer: Response, token: str, age_s: int | None) -> None:
        """For the path of this address alone, which no proxy has to tell: one line's cookie is none of another's."""
        is_tls = (request.headers.get("origin") or "").startswith("https://")
        answer.set_cookie(
            self._cookie, token, max_age=age_s, path=None, httponly=True, samesite="strict", secure=is_tls
        )


def _write_password(changing: Changing, name: str, password: str) -> None:
    changing.write(changing.users.with_password(name, password))


def _only_for(user: User, action: Action) -> str:
    wanted = ", ".join(role_words(role) for role in Role if role in roles_for(action))
    return tr("{name} is {role}, and this is for: {roles}", name=user.name, role=role_words(user.role), roles=wanted)


def _said(by: str) -> Person:
    """Somebody whose name is only said. Raises HTTPException (400)."""
    try:
        return Person(plain_name(by), None, "token")
    except UsageError as err:
        raise HTTPException(400, str(err)) from err


def _fits(kept: str | None, password: str) -> bool:
    try:
        return fits(kept or nobodys(), password)
    except (VerificationError, InvalidHashError):  # a damaged hash: nobody's
        return False
