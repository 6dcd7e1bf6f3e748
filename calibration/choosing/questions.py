"""The yes/no questions that decide how a part type is looked at, each answered by its good parts or by a person.

Only coarse ones: good parts and defects, most of them synthetic, tell two ways of looking apart where one of them does
not fit the part at all. They do not rank good ways (docs/decisions/0058), so that a question has a default, and the
other answer has to be clearly better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLEARLY", "PLACE", "PLANE", "REGISTRATION", "Answer", "Question", "answered", "ask", "leaves_room"]

CLEARLY = 0.02
"""By so much of AUC the other answer has to be ahead of the default."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, the answer that stands without evidence, and the other one, with what each means in words."""

    name: str
    default: str
    other: str
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question and why. ``figures``: of each answer the AUC of defects against good parts."""

    question: Question
    answer: str
    why: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """All of it in one line for a person."""
        return f"{self.question.words[self.answer]}: {self.why}"

    def to_json(self) -> dict[str, object]:
        """For the manifest and ``--json``."""
        figures = {name: round(figure, 4) for name, figure in self.figures.items()}
        return {"answer": self.answer, "why": self.why, "figures": figures}


REGISTRATION = Question(
    "registration",
    "on",
    "off",
    {"on": "parts are laid on each other before they are compared", "off": "images are compared as they come"},
)
PLACE = Question(
    "place",
    "tied",
    "free",
    {
        "tied": "each place is compared with the same place of good parts",
        "free": "each place is compared with all places of good parts",
    },
)
PLANE = Question(
    "plane",
    "all",
    "one",
    {
        "all": "the part at full size is seen in all its colours",
        "one": "the part at full size is seen in one colour, and beside it in all of them",
    },
)


def leaves_room(default: float) -> bool:
    """Whether any answer could be clearly ahead of a default with this figure: an AUC is never above 1."""
    return default + CLEARLY < 1.0


def ask(question: Question, figures: Mapping[str, float]) -> Answer:
    """The other answer where its figure is clearly ahead of the default's, else the default.

    Where the default leaves no room the other answer need not have been tried.
    """
    default = figures[question.default]
    if question.other not in figures and not leaves_room(default):
        why = f"nothing can be clearly better (AUC of defects: {question.default} {default:.3f})"
        return Answer(question, question.default, why, figures)
    other = figures[question.other]
    of_each = f"{question.default} {default:.3f}, {question.other} {other:.3f}"
    # Not simply the larger figure: on synthetic defects two ways that both fit differ by chance (docs/decisions/0058).
    if other > default + CLEARLY:
        return Answer(question, question.other, f"defects are told apart better (AUC {of_each})", figures)
    why = f"nothing speaks clearly for the other way (AUC of defects: {of_each})"
    return Answer(question, question.default, why, figures)


def answered(question: Question, answer: str, why: str) -> Answer:
    """An answer that needed no trial: a person's, or one that the good parts themselves leave no doubt of."""
    return Answer(question, answer, why)
