"""The addresses of a review: which parts wait for whom, what a person says of one, and the names of defects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from drivers.base import ImageRefused
from edge_agent.domain import Verdict
from edge_agent.errors import DataError
from edge_agent.local_time import local_words
from edge_agent.people.passwords import MOST
from edge_agent.people.roles import Action, Role, roles_for
from edge_agent.report.reviewers import reviewers
from edge_agent.report.words import SAID_WORDS, role_words
from edge_agent.reviews.drawing import Drawing
from edge_agent.reviews.review import Review, Says
from edge_agent.reviews.settling import Standing
from edge_agent.store.archived import read_archived
from edge_agent.store.limits import LimitSearch
from edge_agent.store.scored import reviews_of
from edge_agent.web.asking import asked_part, checked
from edge_agent.web.guard import REVIEW_MAX_BYTES, body_of
from edge_agent.web.reviews import FITTING, who_of
from edge_agent.web.rows import part_json
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from edge_agent.people.signing import Person, Signed
    from edge_agent.settings import Settings
    from edge_agent.store.limits import Doubtful
    from edge_agent.store.reviewed import ReviewBook, Reviewed
    from edge_agent.store.rows import PartRow
    from edge_agent.web.access import Access
    from edge_agent.web.reviews import ReviewDesk
    from edge_agent.web.shown_words import ShownWords

__all__ = ["Reviewing"]

_QUEUE_MOST = 50
_NEAR = 0.15
"""A score this near to the limit, as a share of it, makes a part one to look at."""
_NAMES_MOST = 100


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    which: Literal["mine", "disputed", "all"] = "all"


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    says: Says
    by: str = ""
    note: str = ""
    password: Annotated[str | None, Field(max_length=MOST, repr=False)] = None
    seen: Annotated[int | None, Field(strict=True, ge=0, le=2**31)] = None
    defect: Annotated[str, Field(max_length=1000)] = ""
    drawings: Annotated[tuple[Drawing, ...], Field(max_length=4)] = ()


@dataclass(frozen=True, slots=True)
class Reviewing:
    """What these addresses share."""

    settings: Settings
    desk: ReviewDesk
    book: ReviewBook
    access: Access
    shown: ShownWords

    def routes(self) -> list[Route]:
        """The addresses, with who answers them."""
        return [
            Route("/api/queue", self.queue),
            Route("/api/defects", self.defects),
            Route("/api/reviewers", self.reviewers),
            Route("/api/parts/{seq}/review", self.review, methods=["POST"]),
        ]

    # --- looking --------------------------------------------------------------------------------------

    def told_json(self, journal: LimitSearch, row: PartRow, request: Request) -> dict[str, Any]:
        """What was said of a part, for its own page; ``?shown=yes`` keeps nothing back."""
        told = self.book.of(journal).get(row.part_seq, [])
        standing = self.book.settled(journal).get(row.part_seq, Standing())
        is_asked_for = request.query_params.get("shown") == "yes"
        viewer = self.access.viewer(request)
        return self.shown.told(row.part_seq, told, standing, viewer, is_asked_for=is_asked_for)

    def listed_json(self, journal: LimitSearch, rows: Iterable[PartRow], request: Request) -> list[dict[str, Any]]:
        """Parts of a list, each with the newest word on it."""
        listed = list(rows)
        published = journal.publications_of([row.part_seq for row in listed])
        told, settled = self.book.of(journal), self.book.settled(journal)
        viewer = self.access.viewer(request)
        return [
            part_json(row, published.get(seq := row.part_seq))
            | self.shown.listed(seq, told.get(seq, []), settled.get(seq, Standing()), viewer)
            for row in listed
        ]

    def queue(self, request: Request) -> Response:
        """Parts that a person should look at: disputed ones, second readings, and the least certain of the others.

        ``why`` is DISPUTED, SECOND, BAND, NEAR or REJECT. ``mine``: what the person who asks can settle, where that
        person is known.
        """
        asked = checked(lambda: _Asked.model_validate(dict(request.query_params)))
        viewer = self.access.viewer(request)
        with LimitSearch.open(self.settings.store.journal) as journal:
            settled, told = self.book.settled(journal), self.book.of(journal)
            why = self._waiting(settled, viewer, asked.which)
            number, why = len(why), dict(list(why.items())[:_QUEUE_MOST])
            if asked.which != "disputed":
                more, doubtful = journal.doubtful(settled, _NEAR, _QUEUE_MOST)
                number += more
                why |= {one.part_seq: _why(one) for one in doubtful[: _QUEUE_MOST - len(why)]}
            rows = [row for seq in why if (row := journal.part(seq)) is not None]
            listed = self.listed_json(journal, rows, request)
        parts = [
            row
            | self.shown.told(seq, told.get(seq, []), settled.get(seq, Standing()), viewer, is_asked_for=False)
            | {"why": why[seq], "can_say": list(FITTING[Verdict(row["verdict"])])}
            for row in listed
            if (seq := row["part_seq"])
        ]
        disputed = sum(standing.is_disputed for standing in settled.values())
        facts = {"number": number, "disputed": disputed, "near": _NEAR, "can_review": self.access.is_open}
        return JSONResponse({"schema_version": 1, **facts, "parts": parts})

    def defects(self, _: Request) -> Response:
        """The names to choose from: those of line.toml, then those that people used, the most frequent first."""
        with LimitSearch.open(self.settings.store.journal) as journal:
            names = self._names(self.book.of(journal))
        return JSONResponse({"schema_version": 1, "names": names})

    def reviewers(self, _: Request) -> Response:
        """How often people agree, by person."""
        return JSONResponse(reviewers(reviews_of(self.settings.store.journal).words).to_json())

    def _waiting(self, settled: dict[int, Standing], viewer: Person | None, which: str) -> dict[int, str]:
        """Parts of which somebody spoke and that wait for another person, the newest first: disputes, then readings."""
        name, role = ("", None) if viewer is None else (viewer.name, viewer.role)
        is_mine = which == "mine" and viewer is not None
        disputed, second = [], []
        for seq, standing in sorted(settled.items(), reverse=True):
            if standing.is_disputed and (not is_mine or standing.may_decide(name, role)):
                disputed.append(seq)
            elif self.shown.awaits_second(seq, standing) and not (is_mine and standing.has_spoken(name)):
                second.append(seq)
        found = dict.fromkeys(disputed, "DISPUTED")
        return found if which == "disputed" else found | dict.fromkeys(second, "SECOND")

    def _names(self, told: dict[int, list[Reviewed]]) -> list[str]:
        """Each name once, as it is written in line.toml or was written first."""
        known = {name.casefold(): name for name in self.settings.review.defects}
        used: Counter[str] = Counter()
        for one in sorted((one for reviews in told.values() for one in reviews), key=lambda one: one.at_utc):
            if one.review.defect is not None:
                used[known.setdefault(one.review.defect.casefold(), one.review.defect)] += 1
        return list(dict.fromkeys((*self.settings.review.defects, *(name for name, _ in used.most_common()))))[
            :_NAMES_MOST
        ]

    # --- saying ---------------------------------------------------------------------------------------

    async def review(self, request: Request) -> Response:
        """A person who may says whether a verdict was right. The one that was sent stays what it is.

        ``seen``, which has to be said, is how many reviews of the part this person knows of. Raises HTTPException: 401
        or 403 for whoever may not, 400 for a request that is none, 409 for what cannot be said of this verdict, and
        where somebody else said something meanwhile.
        """
        self.access.check(request)
        body = await body_of(request, REVIEW_MAX_BYTES)
        said = checked(lambda: _Said.model_validate_json(body))
        if said.seen is None:  # without it, of two people at once the second would overrule the first unread
            raise HTTPException(400, "seen: say how many reviews of this part you know of; 0 for none")
        row = await run_in_threadpool(self._checked_row, request, said)
        signed = await self._signed(request, row.part_seq, said)
        # One after the other: a second person is told what the first one said, also of two at the same moment.
        async with self.desk.one_review:
            review = await run_in_threadpool(self._review, row.part_seq, said, signed.person)
            await self.desk.ask(review)
        standing = (await run_in_threadpool(self._standing, row.part_seq)).says
        return JSONResponse({"schema_version": 1, **review.model_dump(mode="json"), "standing": standing})

    def _checked_row(self, request: Request, said: _Said) -> PartRow:
        """The part. Raises HTTPException for a word that does not fit it, or a drawing that is not of its images."""
        with LimitSearch.open(self.settings.store.journal) as journal:
            row = asked_part(journal, request)
        if said.says not in FITTING[row.verdict]:
            fitting = " or ".join(FITTING[row.verdict]) or "nothing: only a PASS and a REJECT are reviewed"
            raise HTTPException(409, f"part {row.part_seq} is {row.verdict}: what can be said of it is {fitting}")
        for drawing in said.drawings:
            _check_size(self.settings, row, drawing)
        return row

    async def _signed(self, request: Request, part_seq: int, said: _Said) -> Signed:
        """The signature: of a disputed part it wants a role that decides, but for whoever spoke on it before."""
        viewer = self.access.viewer(request)
        standing = await run_in_threadpool(self._standing, part_seq)
        is_to_decide = viewer is not None and standing.is_disputed and not standing.has_spoken(viewer.name)
        action = Action.DECIDE if is_to_decide else Action.REVIEW
        try:
            return await self.access.signed(request, action, by=said.by.strip(), why=said.note, password=said.password)
        except HTTPException as err:
            if err.status_code != 403 or viewer is None or action is Action.REVIEW:
                raise
            roles = ", ".join(role_words(role) for role in Role if role in roles_for(action))
            words = tr("People differ over part {number}. Who decides it is: {roles}.", number=part_seq, roles=roles)
            raise HTTPException(403, words) from err

    def _review(self, part_seq: int, said: _Said, person: Person) -> Review:
        """The record. Raises HTTPException (409) where the part has more reviews than this person knows of."""
        with LimitSearch.open(self.settings.store.journal) as journal:
            reviews = self.book.of(journal)
            standing = self.book.settled(journal).get(part_seq, Standing())
        told = reviews.get(part_seq, [])
        is_blind = self.shown.is_blind(part_seq, standing, person)
        if len(told) > (said.seen or 0) and not is_blind:
            self.shown.remember(person, part_seq)
            raise HTTPException(409, _first_words(told[-1]))
        by_fold = {name.casefold(): name for name in self._names(reviews)}
        defect = said.defect.strip()
        return checked(
            lambda: Review.model_validate(
                {
                    "part_seq": part_seq,
                    "says": said.says,
                    "by": person.name,
                    "note": said.note,
                    "role": person.role,
                    "defect": by_fold.get(defect.casefold(), defect) or None,
                    "drawings": said.drawings,
                    "seen": said.seen if person.role is not None else None,
                    "blind": is_blind,
                }
            )
        )

    def _standing(self, part_seq: int) -> Standing:
        with LimitSearch.open(self.settings.store.journal) as journal:
            return self.book.settled(journal).get(part_seq, Standing())


def _first_words(newest: Reviewed) -> str:
    return tr(
        "{name} was first, at {at}: {says}. Look again before you say something else.",
        name=who_of(newest),
        at=local_words(newest.at_utc),
        says=tr(SAID_WORDS[newest.review.says]),
    )


def _check_size(settings: Settings, row: PartRow, drawing: Drawing) -> None:
    """Raise HTTPException (400) for a drawing on an image that the part has not, or of another size.

    An image that the archive gave up meanwhile is not held against whoever drew on it: the record has its size.
    """
    from edge_agent.inspection.containers.decode import decode  # noqa: PLC0415 - the page starts without the inspection

    camera = next((camera for camera in row.cameras if camera.camera == drawing.camera), None)
    if camera is None:
        raise HTTPException(400, f"part {row.part_seq} has no image of camera {drawing.camera}")
    try:
        height, width = decode(read_archived(settings.store.archive, row, camera)).shape[:2]
    except (DataError, ImageRefused):
        return
    if (width, height) != (drawing.width, drawing.height):
        raise HTTPException(400, f"the image of camera {drawing.camera} has {width} x {height} pixels")


def _why(part: Doubtful) -> str:
    if part.is_in_band:
        return "BAND"
    is_near = part.verdict is Verdict.PASS or (part.off is not None and part.off <= _NEAR)
    return "NEAR" if is_near else "REJECT"
