"""One way to sign: who, in which role, for what, when and why, and how it was proven that it is this person."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal

from edge_agent.errors import NotPermitted, UsageError
from edge_agent.people.roles import Action, Role, may, roles_for
from edge_agent.wording import LANGUAGES, speaking, tr

__all__ = ["Person", "Proof", "Signed", "plain_name", "role_apart", "sign"]

Proof = Literal["password", "session", "proxy", "token", "this PC"]
"""How a person was known. Behind ``token`` and ``this PC`` the name is only said: such a signature has no role."""
_ROLE_AT_END = re.compile(rf"(?P<name>.*\S) \((?P<role>{'|'.join(Role)})\)", re.DOTALL)
_BRACKETS_AT_END = re.compile(r"\(([^()]*)\)\W*\Z")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is there. ``role`` is None where nobody proved the name: on a line without users."""

    name: str
    role: Role | None
    proof: Proof

    def __str__(self) -> str:
        return self.name if self.role is None else f"{self.name} ({self.role})"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature. ``at_utc`` is a label; the journal's own time stands beside it."""

    person: Person
    action: Action
    why: str
    at_utc: str

    @property
    def words(self) -> str:
        """The signer as a record of plain words names them: ``A. Weber (engineer)``."""
        return str(self.person)

    def to_json(self) -> dict[str, str]:
        """For a record that is a JSON object. No ``role`` where nobody proved the name, as records of before."""
        role = {} if self.person.role is None else {"role": str(self.person.role), "proof": self.person.proof}
        return {"by": self.person.name, **role, "why": self.why, "signed_utc": self.at_utc}


def sign(person: Person, action: Action, why: str = "") -> Signed:
    """Sign for an action. Raises NotPermitted where this role may not; a name without a role is not held up here."""
    if person.role is not None and not may(person.role, action):
        wanted = " or ".join(sorted(roles_for(action)))
        raise NotPermitted(
            f"{person.name} is {person.role}, and this wants somebody who is {wanted}",
            hint="somebody with that role signs for it; an engineer changes roles: edge-agent users role",
        )
    return Signed(person, action, why, datetime.now(UTC).isoformat(timespec="seconds"))


def plain_name(name: str) -> str:
    """A name that nobody proved. Raises UsageError where it reads as if it were signed with a role, in any language."""
    # To an eye other blanks, brackets and capitals are the same, and a page shows several blanks as one.
    found = _BRACKETS_AT_END.search(_as_read(name))
    if found is not None and found[1].strip() in _roles_as_read():
        raise UsageError(
            f"{name!a} reads like a signature with a role, and nobody proved it", hint="give the name without the role"
        )
    return name


@cache
def _roles_as_read() -> frozenset[str]:
    """Every word that stands in brackets behind the name of a user who signed."""
    found = set(map(_as_read, Role))
    for language in LANGUAGES:
        with speaking(language):
            found |= {_as_read(tr(word)) for word in (*Role, "quality assurance")}
    return frozenset(found)


def _as_read(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def role_apart(words: str) -> tuple[str, str]:
    """The name and the role in ``Signed.words``; '' where there is no role."""
    found = _ROLE_AT_END.fullmatch(words)
    return (found["name"], found["role"]) if found else (words, "")
