"""Which words of others a person is shown who reviews a part: those on a part that waits for hers are kept back.

This is no secrecy: whoever does not sign in, and whoever asks for it, sees everything. It keeps a second reading from
being led by the first one, and remembers who was shown what.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_agent.people.roles import Action, may
from edge_agent.people.users import same_name
from edge_agent.reviews.settling import Standing, is_read_twice
from edge_agent.web.reviews import told_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.people.signing import Person
    from edge_agent.store.reviewed import Reviewed

__all__ = ["ShownWords"]

_REMEMBERED = 10_000


@dataclass(slots=True)
class ShownWords:
    """What the page shows of reviews, and to whom. ``share`` (0 to 1) of the reviewed parts is read twice."""

    share: float
    _shown: OrderedDict[tuple[str, int], None] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def awaits_second(self, part_seq: int, standing: Standing) -> bool:
        """Whether one person spoke, and another one is to read the part without having seen that."""
        return len(standing.words) == 1 and is_read_twice(part_seq, self.share)

    def is_blind(self, part_seq: int, standing: Standing, person: Person) -> bool:
        """Whether this person's next word is a second reading that was asked for, and she was not shown the first."""
        asked = self.awaits_second(part_seq, standing) and person.role is not None
        return asked and not standing.has_spoken(person.name) and not self._was_shown(person, part_seq)

    def told(
        self, part_seq: int, told: Sequence[Reviewed], standing: Standing, viewer: Person | None, *, is_asked_for: bool
    ) -> dict[str, Any]:
        """The reviews of a part for its own page, with how it stands; ``is_asked_for``: kept back nothing."""
        is_kept_back = not is_asked_for and self._is_kept_back(part_seq, standing, viewer)
        if viewer is not None and not is_kept_back and not standing.has_spoken(viewer.name) and told:
            self.remember(viewer, part_seq)
        name, role = ("", None) if viewer is None else (viewer.name, viewer.role)
        return {
            "reviews": [{"at_utc": one.at_utc, "kept_back": True} if is_kept_back else told_json(one) for one in told],
            "standing": "" if is_kept_back else standing.says,
            "settled_by": "" if is_kept_back else _decider(standing),
            "kept_back": is_kept_back,
            "awaits_second": self.awaits_second(part_seq, standing) and not standing.has_spoken(name),
            "may_decide": standing.may_decide(name, role),
            "has_spoken": standing.has_spoken(name),
        }

    def listed(
        self, part_seq: int, told: Sequence[Reviewed], standing: Standing, viewer: Person | None
    ) -> dict[str, Any]:
        """The newest review of a part in a list. Kept back only where the part waits for a second reading."""
        is_kept_back = self._is_kept_back(part_seq, standing, viewer) and self.awaits_second(part_seq, standing)
        if not told or is_kept_back:
            return {"review": None, "standing": "", "kept_back": bool(told)}
        return {"review": told_json(told[-1]), "standing": standing.says, "kept_back": False}

    def _is_kept_back(self, part_seq: int, standing: Standing, viewer: Person | None) -> bool:
        """Whoever is to decide a dispute has to weigh the words, and sees them."""
        if viewer is None or viewer.role is None or not may(viewer.role, Action.REVIEW):
            return False
        is_open = bool(standing.words) and not standing.is_disputed and not standing.decided_by
        return is_open and not standing.has_spoken(viewer.name) and not self._was_shown(viewer, part_seq)

    def _was_shown(self, viewer: Person, part_seq: int) -> bool:
        return (same_name(viewer.name), part_seq) in self._shown

    def remember(self, viewer: Person, part_seq: int) -> None:
        """This person has been told what others said of the part."""
        with self._lock:
            self._shown[same_name(viewer.name), part_seq] = None
            while len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)


def _decider(standing: Standing) -> str:
    return next((word.by for word in standing.words if word.person == standing.decided_by), "")
