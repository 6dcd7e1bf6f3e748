"""The record of a review: what one person said of one part, as the journal's event REVIEW holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.people.roles import Role
from edge_agent.reviews.drawing import POINTS_IN_ALL, Drawing, points_of
from edge_agent.reviews.settling import BAD, Word

if TYPE_CHECKING:
    from typing import Self

__all__ = ["DEFECT_MOST", "DefectName", "Name", "Review", "Says"]

_ONE_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
DEFECT_MOST = 60
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=_ONE_LINE)]
DefectName = Annotated[str, Field(min_length=1, max_length=DEFECT_MOST, pattern=_ONE_LINE)]
Says = Literal["CONFIRMED", "OVERTURNED", "PASS_CONFIRMED", "ESCAPE"]
Note = Annotated[str, Field(max_length=500)]


class Review(BaseModel):
    """What a person says of a part. It changes no verdict: that one is sent.

    Of a REJECT: CONFIRMED (rightly rejected) or OVERTURNED (was a good part). Of a PASS: PASS_CONFIRMED (rightly
    passed) or ESCAPE (was a defective part). ``role`` is that of a user; None where nobody proved the name.
    ``defect`` names what is wrong and ``drawings`` says where, of a defective part alone. ``seen`` is how many words on
    the part this person knew of; ``blind``: it is a second reading that was asked for, by somebody who had not been
    shown the first word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    part_seq: Annotated[int, Field(ge=1, le=2**63 - 1)]
    says: Says
    by: Name
    note: Note = ""
    role: Role | None = None
    defect: DefectName | None = None
    drawings: Annotated[tuple[Drawing, ...], Field(max_length=4)] = ()
    seen: Annotated[int | None, Field(ge=0, le=2**31)] = None
    blind: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.says not in BAD and (self.defect is not None or self.drawings):
            raise ValueError("a good part has no defect: neither a name nor a drawing of one")
        if points_of(self.drawings) > POINTS_IN_ALL:
            raise ValueError(f"a drawing has at most {POINTS_IN_ALL} points")
        if len({drawing.camera for drawing in self.drawings}) < len(self.drawings):
            raise ValueError("each camera has one drawing")
        return self

    @property
    def word(self) -> Word:
        """What the rule of several people wants to know of it."""
        return Word(self.part_seq, self.says, self.by, self.role, is_blind=self.blind)

    def detail(self) -> str:
        """What the journal's event says: what was not said is left out, so that an older program reads it, too."""
        unsaid = {name for name in ("role", "defect", "seen") if getattr(self, name) is None}
        unsaid |= {name for name in ("drawings", "blind") if not getattr(self, name)}
        return self.model_dump_json(exclude=unsaid or None)
