"""The addresses for looking back: history, one part, finding, another limit.

Every answer comes from the journal and the archive, and looks at a bounded number of rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_agent.domain import Reason, Verdict
from edge_agent.store.export import record_of
from edge_agent.store.limits import LimitSearch
from edge_agent.store.search import PartQuery
from edge_agent.web.asking import asked_part, checked, utc_text
from edge_agent.web.download import ExcelDownload
from edge_agent.web.finding import TEXT_MOST, find_text
from edge_agent.web.reviews import FITTING
from edge_agent.web.rows import camera_json, part_json
from edge_agent.web.whatif import bundles_json, limit_moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from edge_agent.settings import Settings
    from edge_agent.store.reviewed import ReviewBook
    from edge_agent.store.rows import CameraRow, PartRow
    from edge_agent.web.pictures import Explainer
    from edge_agent.web.reviewing import Reviewing
    from edge_agent.web.thumbnails import Thumbnails

__all__ = ["LookingBack"]

_PICTURES = ("image", "aligned", "reference", "reconstruction", "map", "heat", "contour")
_KEPT_A_WHILE = {"cache-control": "private, max-age=300"}
_EXPORTED_AT_MOST = 100_000


class _Filter(BaseModel):
    """The filters of the history, as they stand in the address. Times are UTC where they name no zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = None
    until: datetime | None = None
    verdict: Verdict | None = None
    reason: Annotated[tuple[Reason, ...], Field(max_length=len(Reason))] = ()
    program: Annotated[int | None, Field(ge=0, le=999)] = None
    camera: Annotated[int | None, Field(ge=1, le=9)] = None
    score_min: Annotated[float | None, Field(allow_inf_nan=False)] = None
    score_max: Annotated[float | None, Field(allow_inf_nan=False)] = None
    reviewed: Literal["yes", "no", "CONFIRMED", "OVERTURNED", "PASS_CONFIRMED", "ESCAPE", "DISPUTED"] | None = None
    bypassed: Literal["yes", "no"] | None = None
    count: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None
    image: Annotated[str | None, Field(min_length=1, max_length=TEXT_MOST, pattern=r"^[^\x00]*$")] = None

    def query(self, said: dict[int, str]) -> PartQuery:
        """As the journal is asked; ``said`` is the settled word on each reviewed part."""
        among = None if self.reviewed in {"no", None} else {n for n, w in said.items() if self.reviewed in (w, "yes")}
        return PartQuery(
            since_utc=utc_text(self.since),
            until_utc=utc_text(self.until),
            verdict=self.verdict,
            program=self.program,
            score_min=self.score_min,
            score_max=self.score_max,
            reasons=self.reason,
            camera=self.camera,
            is_bypassed=None if self.bypassed is None else self.bypassed == "yes",
            count=self.count,
            image=self.image,
            among=among,
            without=said if self.reviewed == "no" else (),
        )


class _Paged(_Filter):
    before: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    after: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None
    most: Annotated[int, Field(ge=1, le=200)] = 50


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MOST, pattern=r"^[^\x00]*$")]


class _Moved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Annotated[str, Field(min_length=1, max_length=200)]
    limit: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookingBack:
    """What these addresses share."""

    settings: Settings
    explainer: Explainer
    thumbnails: Thumbnails
    book: ReviewBook
    reviewing: Reviewing

    def routes(self) -> list[Route]:
        """The addresses of these pages and of what they ask for, with who answers them."""
        part = "/api/parts/{seq}"
        return [
            Route("/api/parts", self.parts),
            Route("/api/parts.csv", self.exported),
            Route("/api/totals", self.totals),
            Route("/api/find", self.find),
            Route(part, self.part),
            Route(part + "/cameras/{camera}", self.explained),
            Route(part + "/cameras/{camera}/thumbnail", self.thumbnail),
            Route(part + "/cameras/{camera}/{picture}", self.picture),
            *self.reviewing.routes(),
            Route("/api/bundles", self.bundles),
            Route("/api/reviewed", self.reviewed),
        ]

    # --- many parts -----------------------------------------------------------------------------------

    def parts(self, request: Request) -> Response:
        """A page of the parts that fit, the newest first."""
        asked = checked(lambda: _Paged.model_validate(_given(request)))
        with self._journal() as journal:
            query = asked.query(self.book.standing(journal))
            found = journal.find(replace(query, before_seq=asked.before, after_seq=asked.after, most=asked.most))
            rows = self.reviewing.listed_json(journal, found.parts, request)
        return JSONResponse({"schema_version": 1, "parts": rows, "before": found.before_seq, "after": found.after_seq})

    def totals(self, request: Request) -> Response:
        """How many parts fit, by verdict and by reason. Slower than a page of them."""
        asked = checked(lambda: _Filter.model_validate(_given(request)))
        with self._journal() as journal:
            found = journal.totals(asked.query(self.book.standing(journal)))
            from_utc = "" if found.is_whole else journal.decided_utc(found.first_seq)
        verdicts = {str(one): sum(n for (v, _), n in found.counts.items() if v is one) for one in Verdict}
        reasons = {str(reason): n for (_, reason), n in sorted(found.counts.items(), key=lambda item: -item[1])}
        facts = {"parts": sum(verdicts.values()), "verdicts": verdicts, "reasons": reasons, "from_utc": from_utc}
        return JSONResponse({"schema_version": 1, **facts, "exported_at_most": _EXPORTED_AT_MOST})

    def exported(self, request: Request) -> Response:
        """The parts that fit as a table that Excel opens, one line an image.

        Raises HTTPException (413) where more parts fit than a download may have.
        """
        asked = checked(lambda: _Filter.model_validate(_given(request)))
        with self._journal() as journal:
            query = asked.query(self.book.standing(journal))
            number = sum(journal.totals(query).counts.values())
        if number > _EXPORTED_AT_MOST:
            words = f"{number} parts fit: a download has at most {_EXPORTED_AT_MOST}"
            raise HTTPException(413, f"{words}. Choose a shorter time, or take: edge-agent journal export")
        name = f"parts-{datetime.now(UTC).astimezone():%Y-%m-%d-%H%M%S}.csv"
        return ExcelDownload(self._records(query), name)

    def find(self, request: Request) -> Response:
        """What a text from the find field may mean, and the parts under each meaning."""
        asked = checked(lambda: _Text.model_validate(dict(request.query_params)))
        with self._journal() as journal:
            groups = [
                {**asdict(replace(group, parts=())), "parts": self.reviewing.listed_json(journal, group.parts, request)}
                for group in find_text(journal, asked.text, datetime.now(UTC).astimezone())
            ]
        return JSONResponse({"schema_version": 1, "groups": groups})

    # --- one part -------------------------------------------------------------------------------------

    def part(self, request: Request) -> Response:
        """One part with all that the journal holds of it, and which parts stand beside it."""
        with self._journal() as journal:
            row = asked_part(journal, request)
            publication = journal.publications_of([row.part_seq]).get(row.part_seq)
            told = self.reviewing.told_json(journal, row, request)
            beside = journal.beside(row.part_seq)
        return JSONResponse(
            {
                "schema_version": 1,
                **part_json(row, publication),
                "cameras": [camera_json(camera) for camera in row.cameras],
                **told,
                "can_say": list(FITTING[row.verdict]),
                "can_review": self.reviewing.access.is_open,
                "beside": asdict(beside),
            }
        )

    async def explained(self, request: Request) -> Response:
        """What one camera saw: which pictures there are, and the share of each channel in the score."""
        row, camera = await run_in_threadpool(self._camera, request)
        return JSONResponse({"schema_version": 1, **(await self.explainer.explain(row, camera)).to_json()})

    async def picture(self, request: Request) -> Response:
        """One of the pictures that ``_PICTURES`` names. Raises HTTPException (404) where the part has none such."""
        name = request.path_params["picture"]
        if name not in _PICTURES:
            raise HTTPException(404, "there is no such picture")
        row, camera = await run_in_threadpool(self._camera, request)
        data = (await self.explainer.explain(row, camera)).pictures.get(name)
        if data is None:
            raise HTTPException(404, "this part has no such picture")
        kind = "image/png" if name in ("heat", "contour") else "image/jpeg"
        return Response(data, media_type=kind, headers=_KEPT_A_WHILE)

    async def thumbnail(self, request: Request) -> Response:
        """What one camera saw, small."""
        row, camera = await run_in_threadpool(self._camera, request)
        return Response(await self.thumbnails.of(row, camera), media_type="image/jpeg", headers=_KEPT_A_WHILE)

    # --- another limit --------------------------------------------------------------------------------

    def bundles(self, _: Request) -> Response:
        """The bundles that judged the newest parts."""
        with self._journal() as journal:
            return JSONResponse({"schema_version": 1, "bundles": bundles_json(journal)})

    def reviewed(self, request: Request) -> Response:
        """What another limit would have done, and what people said of the parts that it would have changed."""
        asked = checked(lambda: _Moved.model_validate(dict(request.query_params)))
        with self._journal() as journal:
            moved = limit_moved(journal, self.book, asked.bundle, asked.limit, utc_text(asked.since))
        return JSONResponse({"schema_version": 1, **moved})

    # --- small things ---------------------------------------------------------------------------------

    def _journal(self) -> LimitSearch:
        return LimitSearch.open(self.settings.store.journal)

    def _records(self, query: PartQuery) -> Iterator[dict[str, Any]]:
        with self._journal() as journal:
            reviews, standing = self.book.of(journal), self.book.settled(journal)
            for row in journal.fitting(query):
                published = journal.published(seq := row.part_seq)
                for camera in row.cameras or (None,):
                    yield record_of(row, camera, published, reviews.get(seq, ()), standing.get(seq))

    def _any_row(self, request: Request) -> PartRow:
        with self._journal() as journal:
            return asked_part(journal, request)

    def _camera(self, request: Request) -> tuple[PartRow, CameraRow]:
        row = self._any_row(request)
        for camera in row.cameras:
            if str(camera.camera) == request.path_params["camera"]:
                return row, camera
        raise HTTPException(404, "this part has no image of that camera")


def _given(request: Request) -> dict[str, Any]:
    """The filter in an address; a reason may stand there several times."""
    given: dict[str, Any] = dict(request.query_params)
    if "reason" in given:
        given["reason"] = request.query_params.getlist("reason")
    return given
