"""The page's addresses for a limit: what another one would do, and a person who makes it the limit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from edge_agent.bundles.prospect import NEXT_START, LimitWish, foresee
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.bundle.registry import find
from edge_agent.people.passwords import MOST
from edge_agent.people.roles import Action
from edge_agent.web.asking import checked, utc_text
from edge_agent.web.feed import MovedLimit
from edge_agent.web.guard import body_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from edge_agent.settings import BundleSettings, Settings
    from edge_agent.web.access import Access
    from edge_agent.web.reviews import ReviewDesk

__all__ = ["LimitPages"]

_BundleId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: _BundleId
    limit: _Limit
    since: datetime | None = None


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: _BundleId
    limit: _Limit
    by: str = ""
    why: str
    told: str
    although_known_defects_pass: bool = False
    password: Annotated[str | None, Field(max_length=MOST, repr=False)] = None


@dataclass(frozen=True, slots=True)
class LimitPages:
    """What these addresses share."""

    settings: Settings
    desk: ReviewDesk
    access: Access

    def routes(self) -> list[Route]:
        """The addresses of these pages and of what they ask for, with who answers them."""
        return [Route("/api/limit", self.foreseen), Route("/api/limit", self.move, methods=["POST"])]

    def foreseen(self, request: Request) -> Response:
        """What that limit would do, from the journal and from the calibration.

        Raises HTTPException: 400 for a question that is none, 409 where nothing can be foreseen; DataError for another
        bundle.
        """
        asked = checked(lambda: _Asked.model_validate(dict(request.query_params)))
        entry, since_utc = self._entry(asked.bundle), utc_text(asked.since)
        wish = LimitWish(entry.program, entry.camera, asked.limit, bundle_id=asked.bundle, since_utc=since_utc)
        try:
            facts = foresee(self.settings, wish).to_json()
            return JSONResponse({"schema_version": 1, **facts, "can_move": self.access.is_open})
        except UsageError as err:
            raise HTTPException(409, str(err)) from err

    async def move(self, request: Request) -> Response:
        """A person who may makes it the limit: the agent has a new bundle made and activates it.

        Raises HTTPException: 401 or 403 for whoever may not, 409 with the agent's words where it refuses.
        """
        self.access.check(request)
        body = await body_of(request)
        wanted = checked(lambda: _Wanted.model_validate_json(body))
        signed = await self.access.signed(
            request, Action.LIMIT, by=wanted.by.strip(), why=wanted.why.strip(), password=wanted.password
        )
        entry = await run_in_threadpool(self._entry, wanted.bundle)
        limit = checked(
            lambda: MovedLimit(
                program=entry.program,
                camera=entry.camera,
                bundle_id=wanted.bundle,
                to=wanted.limit,
                by=signed.words,
                why=signed.why,
                although_known_defects_pass=wanted.although_known_defects_pass,
                told=wanted.told,
            )
        )
        answer = await self.desk.move_limit(limit)
        if answer.error:
            raise HTTPException(409, answer.error)
        facts: dict[str, Any] = {"bundle_id": answer.bundle_id, "limit": limit.to, "takes_effect": NEXT_START}
        return JSONResponse({"schema_version": 1, **facts})

    def _entry(self, bundle_id: str) -> BundleSettings:
        for entry in self.settings.bundle:
            if find(entry.path, bundle_id) is not None:
                return entry
        raise DataError(f"bundle {bundle_id[:12]} lies at no [[bundle]] of line.toml")
