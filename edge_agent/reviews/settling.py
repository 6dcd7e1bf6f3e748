"""What the words of several people on one part mean together. Pure, and the only place that says so.

- Each person has one word, her last one; how a name is typed makes no other person of it.
- All say the same: that is settled, also where there is only one.
- They differ: the part is disputed, and counts as neither good nor defective.
- A disputed part is decided by somebody who had not spoken on it before, and who may: a role of Action.DECIDE, or
  anybody where nobody has a role. Her last word stands from then on, whoever says what.
- Where the others come to say the same before that, it is settled as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.people.roles import Action, Role, roles_for
from edge_agent.people.users import same_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BAD", "DISPUTED", "GOOD", "Standing", "Word", "is_read_twice", "settle", "word_of"]

BAD = frozenset({"CONFIRMED", "ESCAPE"})
"""What people say of a defective part: it was rightly rejected, or it passed and should not have."""
GOOD = frozenset({"OVERTURNED", "PASS_CONFIRMED"})
DISPUTED = "DISPUTED"
"""Stands where a settled word would, for who lists or counts parts. Neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one person said of one part. ``role`` is None where nobody proved the name.

    ``is_blind``: a second reading that was asked for, and the first word was not shown.
    """

    part_seq: int
    says: str
    by: str
    role: Role | None = None
    is_blind: bool = False

    @property
    def person(self) -> str:
        """The name as it is compared."""
        return same_name(self.by)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a part stands. ``words`` is the last word of each person, by the order in which they first spoke.

    ``decided_by`` is whose word settled a dispute, as names are compared; '' where nobody had to.
    """

    words: tuple[Word, ...] = ()
    decided_by: str = ""

    @property
    def is_disputed(self) -> bool:
        """Whether people differ and nobody has decided."""
        return not self.decided_by and len({word.says for word in self.words}) > 1

    @property
    def says(self) -> str:
        """The settled word, DISPUTED, or '' where nobody has spoken."""
        if self.is_disputed:
            return DISPUTED
        if self.decided_by:
            return next(word.says for word in self.words if word.person == self.decided_by)
        return self.words[0].says if self.words else ""

    def has_spoken(self, name: str) -> bool:
        """Whether this person has said anything of the part."""
        return any(word.person == same_name(name) for word in self.words)

    def may_decide(self, name: str, role: Role | None) -> bool:
        """Whether the next word of this person would settle the dispute, whatever it is."""
        if not self.is_disputed or self.has_spoken(name):
            return False
        has_roles = role is not None or any(word.role is not None for word in self.words)
        return role in roles_for(Action.DECIDE) if has_roles else True

    def after(self, word: Word) -> Standing:
        """With one word more."""
        decided_by = self.decided_by or (word.person if self.may_decide(word.by, word.role) else "")
        if self.has_spoken(word.by):
            said = tuple(word if one.person == word.person else one for one in self.words)
        else:
            said = (*self.words, word)
        return Standing(said, decided_by)


def settle(words: Iterable[Word]) -> Standing:
    """How one part stands after these words on it, in the order in which they were said."""
    standing = Standing()
    for word in words:
        standing = standing.after(word)
    return standing


def is_read_twice(part_seq: int, share: float) -> bool:
    """Whether a part belongs to the share (0 to 1) that two people read.

    By a hash of its number: it is the same whoever asks, however often, and nobody's choice.
    """
    drawn = hashlib.sha256(f"part {part_seq} is read twice".encode()).digest()
    return int.from_bytes(drawn[:8], "big") < share * 2.0**64


def word_of(detail: str) -> Word | None:
    """What an event REVIEW says, also one of a later version as far as it is known here; None for what is none."""
    try:
        review = json.loads(detail)
    except (ValueError, RecursionError):
        return None
    if not isinstance(review, dict):
        return None
    seq, says, by, role = (review.get(name) for name in ("part_seq", "says", "by", "role"))
    if not isinstance(seq, int) or not isinstance(says, str):
        return None
    return Word(
        seq,
        says,
        by if isinstance(by, str) else "",
        Role(role) if role in tuple(Role) else None,
        is_blind=review.get("blind") is True,
    )
