"""The page's address for who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.routing import Route

from edge_agent.report.changed import change_json
from edge_agent.store.changes import changes_between
from edge_agent.web.asking import checked, utc_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from edge_agent.settings import Settings

__all__ = ["ChangePages"]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = None
    until: datetime | None = None
    most: Annotated[int, Field(ge=1, le=1000)] = 200


@dataclass(frozen=True, slots=True)
class ChangePages:
    """Reads the journal at each question."""

    settings: Settings

    def routes(self) -> list[Route]:
        """Its one address."""
        return [Route("/api/changes", self.changes)]

    def changes(self, request: Request) -> Response:
        """The newest first, in the browser's language. ``missing`` names a closed journal that older ones are in."""
        asked = checked(lambda: _Asked.model_validate(dict(request.query_params)))
        found = changes_between(self.settings.store.journal, utc_text(asked.since), utc_text(asked.until))
        newest = [change_json(change) for change in reversed(found.found[-asked.most :])]
        facts = {"schema_version": 1, "changes": newest, "of": len(found.found), "missing": found.missing or None}
        return JSONResponse(facts)
