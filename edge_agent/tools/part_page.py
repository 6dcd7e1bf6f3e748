"""One part out of the journal, its pictures out of the archive, as the facts of a page to print."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from drivers.base import ImageRefused
from edge_agent.domain import Verdict
from edge_agent.errors import BundleRejected, DataError
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import find
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.inspector import Inspector
from edge_agent.local_time import local_words
from edge_agent.report.drawn import Drawn, drawn_uri
from edge_agent.report.part import PartPage, statement_of
from edge_agent.report.phrases import said
from edge_agent.report.seen import archived_part, score_words
from edge_agent.report.subject import identity, versions
from edge_agent.report.words import QUANTITY_WORDS, SAID_WORDS, SHARE_WORDS
from edge_agent.reviews.settling import Standing
from edge_agent.store.archived import read_archived
from edge_agent.store.reviewed import ReviewBook, last_words
from edge_agent.store.search import JournalSearch
from edge_agent.web.reviews import who_of
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_agent.domain import Published
    from edge_agent.report.facts import PartPictures
    from edge_agent.settings import Settings
    from edge_agent.store.reviewed import Reviewed
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["part_page"]

_TO_DO = {
    Verdict.PASS: (),
    Verdict.REJECT: (mark("Look at the part itself. If it is good: overturn the reject on the page (History)."),),
    Verdict.FAULT: (mark("Judge the part by hand, and find out why it was not judged: edge-agent doctor helps."),),
}


def part_page(settings: Settings, part_seq: int) -> PartPage:
    """All that journal and archive hold of a part. Raises DataError where the journal has no such part."""
    with JournalSearch.open(settings.store.journal) as journal:
        row = journal.part(part_seq)
        if row is None:
            newest = journal.newest_seq()
            raise DataError(
                f"the journal has no part {part_seq}: its newest is {newest}",
                hint="edge-agent journal query --count or --image finds the part's number",
            )
        published = journal.published(part_seq)
        book = ReviewBook()
        reviewed = book.of(journal).get(part_seq, [])
        standing = book.settled(journal).get(part_seq, Standing())
    bundles = _bundles(settings, row)
    return PartPage(
        head=replace(
            identity(settings, bundles.values()),
            title=tr("Part {part}: {verdict}", part=part_seq, verdict=row.verdict),
            from_utc=row.decided_utc,
            tone="good" if row.verdict is Verdict.PASS else "bad",
            result=statement_of(row.verdict, row.reason, published),
            to_do=tuple(map(tr, _TO_DO[row.verdict])),
        ),
        verdict=row.verdict,
        reason=row.reason,
        published=published,
        simulated=row.simulated,
        facts=tuple(_facts(row, published)),
        reviews=(*map(_said_words, reviewed), *_standing_words(standing)),
        drawn=tuple(_drawn(settings, row, reviewed)),
        pictures=tuple(_picture(settings, row, camera, bundles) for camera in row.cameras),
        versions=versions(),
    )


def _said_words(told: Reviewed) -> str:
    review = told.review
    name = tr("The defect is called: {name}.", name=review.defect) if review.defect else ""
    return tr(
        "{by} said on {at}: {says}. {note}",
        by=who_of(told),
        at=local_words(told.at_utc),
        says=tr(SAID_WORDS[review.says]),
        note=" ".join(filter(None, (name, review.note))),
    ).rstrip()


def _standing_words(standing: Standing) -> list[str]:
    if standing.is_disputed:
        return [tr("People differ over this part, and nobody has decided: it counts as neither good nor defective.")]
    if not standing.decided_by:
        return []
    name = next(word.by for word in standing.words if word.person == standing.decided_by)
    return [tr("People differed, and {name} decided.", name=name)]


def _drawn(settings: Settings, row: PartRow, reviewed: list[Reviewed]) -> Iterator[Drawn]:
    """What each person drew last, over the images that the archive still has."""
    cameras = {camera.camera: camera for camera in row.cameras}
    for told in last_words(reviewed):
        for drawing in told.review.drawings:
            try:
                picture = decode(read_archived(settings.store.archive, row, cameras[drawing.camera]))
            except (DataError, ImageRefused, KeyError):  # the other pictures say why the image is not there
                continue
            camera = tr("camera {camera}", camera=drawing.camera)
            words = " \u00b7 ".join(filter(None, (told.review.defect, who_of(told), camera)))
            yield Drawn(words, drawn_uri(picture, drawing))


def _facts(row: PartRow, published: Published | None) -> list[tuple[str, str]]:
    facts: list[tuple[str, object]] = [
        (tr("decided"), local_words(row.decided_utc)),
        (tr("verdict"), row.verdict),
        (tr("reason"), row.reason),
        (tr("said"), said(row.detail)),
        (tr("at the output"), published or tr("not told")),
        (tr("controller's count"), row.count),
        (tr("controller's program"), row.program),
        (tr("controller's judgement"), row.controller_judgement),
        (tr("session"), row.session),
        (tr("score"), None if row.score is None else f"{row.score:.4g}"),
        (tr("limit"), None if row.limit is None else f"{row.limit:.4g}"),
        (tr("bundle"), row.bundle_id),
        (tr("decided after"), f"{(row.decided_mono_s - row.first_sign_mono_s) * 1000:.0f} ms"),
        (tr("had to be by"), f"{(row.deadline_mono_s - row.first_sign_mono_s) * 1000:.0f} ms"),
        *((tr("measured: {name}", name=name), value) for name, value in row.measured.items()),
    ]
    for camera in row.cameras:
        facts += [
            (tr("image of camera {camera}", camera=camera.camera), camera.image_name),
            (tr("its sha256 (camera {camera})", camera=camera.camera), camera.image_sha256),
            (tr("its score by what was looked at (camera {camera})", camera=camera.camera), _shares(camera)),
            (tr("its light and focus (camera {camera})", camera=camera.camera), _condition(camera)),
        ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _shares(camera: CameraRow) -> str:
    """By name, in times of the limit; as it is where there is no limit."""
    limit = camera.limit or 1.0
    return "; ".join(f"{_named(SHARE_WORDS, name)} {share / limit:.2f}" for name, share in camera.shares.items())


def _condition(camera: CameraRow) -> str:
    """By name, as a share of the way from what is usual to where parts are rejected."""
    return "; ".join(f"{_named(QUANTITY_WORDS, name)} {share:+.0%}" for name, share in camera.condition.items())


def _named(words: Mapping[str, tuple[str, str]], name: str) -> str:
    return tr(words[name][0]) if name in words else name


def _bundles(settings: Settings, row: PartRow) -> dict[str, Bundle]:
    """The bundles that judged its images, by their ids, as far as they are still there and whole."""
    found: dict[str, Bundle] = {}
    for camera in row.cameras:
        entry = next((e for e in settings.bundle if (e.program, e.camera) == (row.program, camera.camera)), None)
        try:
            folder = None if entry is None or camera.bundle_id is None else find(entry.path, camera.bundle_id)
            if folder is not None and camera.bundle_id is not None:
                found[camera.bundle_id] = Bundle.load(folder)
        except BundleRejected:  # replaced or damaged since: the page says of the image that its bundle is gone
            continue
    return found


def _picture(settings: Settings, row: PartRow, camera: CameraRow, bundles: dict[str, Bundle]) -> PartPictures:
    label = tr("camera {camera}", camera=camera.camera)
    if camera.detail:
        label = tr("camera {camera}: {words}", camera=camera.camera, words=said(camera.detail))
    caption = "" if camera.reason is None else score_words(camera.reason, camera.score, camera.limit)
    bundle = bundles.get(camera.bundle_id or "")
    inspector = None if bundle is None else Inspector(bundle, threads=settings.inference.threads_unmeasured)
    return archived_part(settings.store.archive, row, camera, inspector, label=label, caption=caption)
