"""Which confirmed parts a new bundle could learn from, and which it must still reject: out of journal and archive."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from drivers.base import ImageRefused
from edge_agent.bundles.line_bundles import check_place, entry_of, load_bundle
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import DataError
from edge_agent.inspection.bundle.learned import LearnedPart, plain
from edge_agent.inspection.containers.decode import check_shape, decode
from edge_agent.inspection.inspector import Inspector
from edge_agent.reviews.settling import settle
from edge_agent.store.archived import read_archived
from edge_agent.store.scored import BAD, GOOD, reviews_of
from edge_agent.store.search import JournalSearch
from edge_agent.tools.learn.alike import Alike
from edge_agent.tools.learn.since import listed_parts
from edge_agent.tools.learn.words_of_people import alone, words_by_part

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.inspection.bundle.learned import Word
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, PartRow
    from edge_agent.store.scored import Reviews

__all__ = ["MOST_SHARE", "LeftOut", "Material", "Proposal", "Why", "propose"]

MOST_SHARE = 0.5
"""Of the good parts that the bundle was made of: so many are added at most, so that they stay the fewer ones."""
_MOST_DEFECTS = 500
_ALONE_FROM = 5
_NAMED = 10


class Why(StrEnum):
    """Why a part that somebody reviewed is not learned from."""

    GONE = "the journal does not hold this part any more"
    ANOTHER_PLACE = "it was judged under another program, or not by this camera"
    DISPUTED = "people do not agree about it, or what was said of it cannot be read"
    NOT_BY_SCORE = "this camera's score did not reject it"
    NO_IMAGE = "its image is not in the archive, or is not the one that was judged"
    OTHER_SIZE = "its image is not of the size that the bundle judges, or cannot be read"
    KNOWN = "the bundle was made of this very image"
    LEFT_OUT_BEFORE = "a person took this very image out when the bundle was calibrated"
    SAME_PICTURE = "it shows the same picture as another part that is added"
    LIKE_A_DEFECT = "it shows the same picture as a known defect"
    PASSES_BY_NOW = "the bundle in use lets it pass by now"
    TOO_MANY = "more parts than may be added at once"


@dataclass(frozen=True, slots=True)
class Material:
    """A part and its image. ``says`` is the word that stands, ``words`` who said it and what else was said.

    ``score`` and ``limit`` are those of the bundle that judged it then.
    """

    part_seq: int
    says: str
    words: tuple[Word, ...]
    row: PartRow
    camera: CameraRow

    @property
    def sha256(self) -> str:
        """Of the image's bytes, as the journal has it."""
        return self.camera.image_sha256

    @property
    def file(self) -> str:
        """The name of the image where it is learned from."""
        suffix = self.camera.image_name.rpartition(".")[2].lower()
        suffix = suffix if suffix in ("bmp", "jpg", "jpeg", "png") else "bin"
        return f"part_{self.part_seq:012d}_CAM{self.camera.camera}_{self.sha256[:8]}.{suffix}"

    def learned(self) -> LearnedPart:
        """What the new bundle's manifest says of it."""
        return LearnedPart(str(self.part_seq), self.sha256, self.words)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A reviewed part that is not learned from, and why; ``detail`` says more where there is more."""

    part_seq: int
    says: str
    why: Why
    detail: str = ""

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"part {self.part_seq}: {self.why}{more}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be learned for one program and camera. ``parent`` is the bundle in use.

    ``taken_out`` are images of the bundle's own good parts that a person calls defective by now: they are left out.
    """

    program: int
    camera: int
    parent: Bundle
    added: tuple[Material, ...]
    defects: tuple[Material, ...]
    left_out: tuple[LeftOut, ...]
    reviews: Reviews
    taken_out: tuple[Material, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good_parts(self) -> int:
        """How many good parts the bundle in use was made of."""
        return len(self.parent.manifest["training_images"])

    @property
    def by_person(self) -> dict[str, int]:
        """How many of the parts to add each person called good."""
        names: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for part in self.added:
            agree = [word for word in settle(self.reviews.words[part.part_seq]).words if word.says == part.says]
            names |= {word.person: plain(word.by) for word in agree}
            counts.update(word.person for word in agree)
        return {names[person]: number for person, number in counts.most_common()}

    @property
    def headline(self) -> str:
        """The proposal in one sentence."""
        return (
            f"{len(self.added)} good {_parts(len(self.added))} to add, "
            f"{len(self.defects)} known {'defect' if len(self.defects) == 1 else 'defects'}"
        )

    def to_json(self) -> dict[str, Any]:
        """The object that the command prints with ``--json``."""
        return {
            "program": self.program,
            "camera": self.camera,
            "bundle_id": self.parent.id,
            "good_parts": self.good_parts,
            "added": [_json(part) for part in self.added],
            "defects": [_json(part) for part in self.defects],
            "taken_out": [_json(part) for part in self.taken_out],
            "left_out": [
                {"part_seq": one.part_seq, "says": one.says, "why": one.why.name.lower(), "detail": one.detail}
                for one in self.left_out
            ],
            "by_person": self.by_person,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For a person at a terminal."""
        said = [
            f"program {self.program}, camera {self.camera}: bundle {self.parent.id[:12]}, {self.good_parts} good parts",
            self.headline,
            *(f"  add part {part.part_seq}: {_said(part)}" for part in self.added[:_NAMED]),
            *_more(len(self.added)),
            *(f"  must be found, part {part.part_seq}: {_said(part)}" for part in self.defects[:_NAMED]),
            *_more(len(self.defects)),
        ]
        if self.by_person:
            who = ", ".join(f"{by} {number}" for by, number in self.by_person.items())
            said.append(f"called good by: {who}")
        if self.left_out:
            said.append(f"left out: {len(self.left_out)}")
            said += [f"  {number} x {why}" for why, number in Counter(one.why for one in self.left_out).most_common()]
            said += [f"  {one}" for one in self.left_out[:_NAMED]]
            said += _more(len(self.left_out))
        return [*said, *self.notes]


def propose(
    settings: Settings, program: int | None, camera: int, spool: Path, *, most_share: float = MOST_SHARE
) -> Proposal:
    """Look at every review of this line; nothing is written but pictures that are compared, in ``spool``.

    Raises UsageError where there is no such [[bundle]], BundleRejected, DataError for a journal that cannot be read.
    """
    entry = entry_of(settings, program, camera)
    parent = load_bundle(settings, entry.path)
    check_place(entry, parent)
    reviews = reviews_of(settings.store.journal)
    looking = _Looking(settings, parent, reviews, spool)
    return looking.proposal(most_share)


class _Looking:
    """One look at the reviews: defects first, for a good part must not look like one of them."""

    def __init__(self, settings: Settings, parent: Bundle, reviews: Reviews, spool: Path) -> None:
        self._archive = settings.store.archive
        self._parent = parent
        self._reviews = reviews
        self._words = words_by_part(reviews.journals)
        self._alike = Alike(spool)
        self._left_out: list[LeftOut] = []
        self._inspector: Inspector | None = None

    def proposal(self, most_share: float) -> Proposal:
        self._say_disputed()
        training = {image["sha256"] for image in self._parent.manifest["training_images"]}
        bad = [part for seq in sorted(self._reviews.of(BAD), reverse=True) if (part := self._found(seq)) is not None]
        defects = [part for part in bad[:_MOST_DEFECTS] if self._with_image(part, "defect")]
        taken_out = [part for part in defects if part.sha256 in training]
        good = self._reviews.of(GOOD)
        overturned = sorted((seq for seq in good if self._reviews.said[seq] == "OVERTURNED"), reverse=True)
        most = max(1, int(most_share * len(training)))
        added: list[Material] = []
        for seq in overturned:
            part = self._found(seq)
            if part is None or not self._is_to_learn(part, training):
                continue
            if len(added) >= most:
                self._leave_out(part.part_seq, Why.TOO_MANY, f"{most} at most, the newest go first")
                continue
            if self._with_image(part, "good"):
                added.append(part)
        return Proposal(
            self._parent.program,
            self._parent.camera,
            self._parent,
            tuple(added),
            tuple(part for part in defects if part.sha256 not in training),
            tuple(sorted(self._left_out, key=lambda one: -one.part_seq)),
            self._reviews,
            tuple(taken_out),
            tuple(self._notes(added, bad, taken_out)),
        )

    def _say_disputed(self) -> None:
        known = {*self._reviews.of(GOOD), *self._reviews.of(BAD)}
        for seq in sorted({*self._words, *self._reviews.said} - known, reverse=True):
            self._leave_out(seq, Why.DISPUTED)

    def _found(self, seq: int) -> Material | None:
        """The part's row and this camera's share of it; None where there is none, and that is said."""
        row = None
        for path in self._reviews.journals:
            with JournalSearch.open(path) as journal:
                row = journal.part(seq)
            if row is not None:
                break
        if row is None:
            self._leave_out(seq, Why.GONE)
            return None
        camera = next((one for one in row.cameras if one.camera == self._parent.camera), None)
        if row.program != self._parent.program or camera is None:
            self._leave_out(seq, Why.ANOTHER_PLACE, f"program {row.program}")
            return None
        return Material(seq, self._reviews.said[seq], self._words.get(seq, ()), row, camera)

    def _is_to_learn(self, part: Material, training: set[str]) -> bool:
        """Whether this camera's score made the mistake, about an image that the bundle does not know."""
        camera = part.camera
        if camera.outcome in (None, Outcome.OK) or camera.reason is not Reason.SCORE:
            why = "it let it pass" if camera.outcome is Outcome.OK else f"{camera.reason or part.row.reason}"
            self._leave_out(part.part_seq, Why.NOT_BY_SCORE, why)
        elif part.sha256 in training:
            self._leave_out(part.part_seq, Why.KNOWN)
        elif part.sha256 in {image["sha256"] for image in self._parent.manifest.get("left_out_images", ())}:
            self._leave_out(part.part_seq, Why.LEFT_OUT_BEFORE)
        else:
            return True
        return False

    def _with_image(self, part: Material, kind: str) -> bool:
        """Whether its image is there, whole, of the right size, and no copy of one that is taken already."""
        try:
            data = read_archived(self._archive, part.row, part.camera)
        except DataError as err:
            self._leave_out(part.part_seq, Why.NO_IMAGE, str(err))
            return False
        try:
            check_shape(decode(data), self._parent.reference.shape)
        except ImageRefused as err:
            self._leave_out(part.part_seq, Why.OTHER_SIZE, err.detail)
            return False
        same = self._alike.same_as(data)
        if same is not None and kind == "good":
            other_kind, other = same
            why = Why.LIKE_A_DEFECT if other_kind == "defect" else Why.SAME_PICTURE
            self._leave_out(part.part_seq, why, f"part {other}")
            return False
        if kind == "good" and part.camera.bundle_id != self._parent.id and self._passes(data):
            self._leave_out(part.part_seq, Why.PASSES_BY_NOW)
            return False
        self._alike.add(part.file, data, (kind, part.part_seq))
        return True

    def _passes(self, data: bytes) -> bool:
        """Whether the bundle in use would let it pass: another one judged it then."""
        if self._inspector is None:
            self._inspector = Inspector(self._parent, threads=1)
            self._inspector.warm_up()
        return self._inspector.inspect(data).outcome is Outcome.OK

    def _leave_out(self, seq: int, why: Why, detail: str = "") -> None:
        says = self._reviews.said.get(seq) or (self._words[seq][-1].says if self._words.get(seq) else "")
        self._left_out.append(LeftOut(seq, says, why, detail))

    def _notes(self, added: list[Material], bad: list[Material], taken_out: list[Material]) -> list[str]:
        notes = []
        if self._reviews.missing:
            notes.append(f"the journal {self._reviews.missing} is not there: what people said in it is not known here")
        if len(bad) > _MOST_DEFECTS:
            notes.append(f"of {len(bad)} known defects the newest {_MOST_DEFECTS} are looked at")
        notes += [
            f"{number} of the parts to add rest on the word of {by} alone: have somebody else look"
            for by, number in alone(self._reviews.words[part.part_seq] for part in added).items()
            if number >= _ALONE_FROM
        ]
        notes += [
            f"PART {part.part_seq} IS A KNOWN DEFECT, and its image is among the good ones that the bundle was made "
            "of: it is taken out of the new bundle"
            for part in taken_out
        ]
        if not bad:
            notes.append("no known defect of this camera: nothing tells whether the new bundle still finds defects")
        return [*notes, *self._untried()]

    def _untried(self) -> list[str]:
        """Known defects that are no test any more, and parts that somebody called defective: told where one signs."""
        gone = [one.part_seq for one in self._left_out if one.says in BAD and one.why in (Why.NO_IMAGE, Why.OTHER_SIZE)]
        doubted = self._reviews.doubted
        notes = []
        if gone:
            notes.append(f"NOT TRIED, known defects without an image that can be judged: {listed_parts(gone)}")
        if doubted:
            notes.append(
                "NOT TRIED, parts that somebody calls defective and somebody else good, to be decided first: "
                f"{listed_parts(doubted)}"
            )
        return notes


def _json(part: Material) -> dict[str, Any]:
    return {
        "part_seq": part.part_seq,
        "says": part.says,
        "sha256": part.sha256,
        "score": part.camera.score,
        "limit": part.camera.limit,
        "words": [{"journal": w.journal, "event": w.event, "by": w.by, "says": w.says} for w in part.words],
    }


def _said(part: Material) -> str:
    who = ", ".join(dict.fromkeys(word.by for word in part.words if word.says == part.says)) or "nobody"
    score, limit = part.camera.score, part.camera.limit
    share = f", {score / limit:.2f} times the limit" if score is not None and limit else ""
    return f"{part.says.lower().replace('_', ' ')} by {who}{share}"


def _parts(number: int) -> str:
    return "part" if number == 1 else "parts"


def _more(number: int) -> list[str]:
    return [f"  and {number - _NAMED} more"] if number > _NAMED else []
