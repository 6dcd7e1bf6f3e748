"""Text that was made in English is read back by the phrase it was made of, and said in the language that is spoken.

Journal, log and terminal stay English. A phrase is a template as ``tr`` knows it: ``camera {camera}: {words}``. What
stands for a name is taken over as it is; a name that ends in ``words`` is a phrase itself. Text that no phrase fits is
shown as it stands. Nothing here searches back and forth, so that hostile text costs little more than any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Final

from edge_agent.report.phrases.calibrated import CALIBRATED
from edge_agent.report.phrases.golden import GOLDEN
from edge_agent.report.phrases.image import IMAGE
from edge_agent.report.phrases.learned import LEARNED
from edge_agent.report.phrases.line import LINE, WRAPPERS
from edge_agent.report.words import CONDITION_WORDS
from edge_agent.wording import language, mark, tr

__all__ = ["is_known", "said", "sentence"]

_LONGEST: Final = 4000
_MOST_LOOKS: Final = 100
_MOST_CONDITIONS: Final = 40
_SEPARATOR: Final = "; "
_JOINED: Final = mark("{words}; {more_words}")
_SENTENCE: Final = mark("{words}.")
_CONDITION: Final = mark("{condition}: {words}")
_CONDITIONS: Final = re.compile(rf"(?:^|; )({'|'.join(map(re.escape, CONDITION_WORDS))}): ")


@dataclass(frozen=True, slots=True)
class _Phrase:
    template: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, template: str) -> _Phrase:
        literals, names, at = [], [], ""
        for literal, name, _, _ in Formatter().parse(template):
            at += literal
            if name is not None:
                literals.append(at)
                names.append(name)
                at = ""
        return cls(template, (*literals, at), tuple(names))

    def values_in(self, text: str) -> dict[str, str] | None:
        """What stands for its names; None where the text is not of this phrase."""
        first, *between = self.literals
        if not self.names:
            return {} if text == first else None
        last = between.pop()
        if not text.startswith(first) or not text.endswith(last):
            return None
        at, end, values = len(first), len(text) - len(last), list[str]()
        for literal in between:
            to = text.find(literal, at, end)  # where it is first: nothing is tried twice
            if to < 0:
                return None
            values.append(text[at:to])
            at = to + len(literal)
        if at > end:
            return None
        values.append(text[at:end])
        found = dict(zip(self.names, values, strict=True))
        is_filled = all(values) and all(found[name] == value for name, value in zip(self.names, values, strict=True))
        return found if is_filled else None


@dataclass(frozen=True, slots=True)
class _Read:
    """A phrase and what stands for its names, each a text or, where the name ends in ``words``, read itself."""

    template: str
    values: dict[str, str | _Read]

    def said(self) -> str:
        filled = {name: value if isinstance(value, str) else value.said() for name, value in self.values.items()}
        return tr(self.template, **filled)

    @property
    def is_known(self) -> bool:
        return all(
            value.is_known if isinstance(value, _Read) else not name.endswith("words")
            for name, value in self.values.items()
        )


_PHRASES: Final = sorted(
    (_Phrase.of(template) for template in dict.fromkeys((*LINE, *GOLDEN, *IMAGE, *CALIBRATED, *LEARNED))),
    key=lambda phrase: -sum(map(len, phrase.literals)),
)
"""Those that say most by themselves first."""
_WRAPPERS: Final = [_Phrase.of(template) for template in WRAPPERS]


def said(text: str) -> str:
    """The text in the language that is spoken; as it stands where no phrase fits, and in English."""
    if language() == "en":
        return text
    found = _read(text)
    return text if found is None else found.said()


def sentence(text: str) -> str:
    """The text in the reader's language, as a sentence: with a capital letter first and a full stop at its end."""
    words = said(text)
    return tr(_SENTENCE, words=words[:1].upper() + words[1:])


def is_known(text: str) -> bool:
    """Whether the whole text is made of known phrases."""
    found = _read(text)
    return found is not None and found.is_known


@lru_cache(maxsize=4096)
def _read(text: str) -> _Read | None:
    return _Reader().read(text) if len(text) <= _LONGEST else None


class _Reader:
    """Reads one text, within so much work that text made to cost time is given up."""

    def __init__(self) -> None:
        self._left = _MOST_LOOKS

    def read(self, text: str) -> _Read | None:
        """What it is made of; None where its beginning is no phrase."""
        if _CONDITIONS.match(text):
            return self._conditions(text)
        return self._one(text) or self._joined(text) or self._wrapped(text)

    def _one(self, text: str) -> _Read | None:
        self._left -= 1
        if self._left < 0:
            return None
        for phrase in _PHRASES:
            if (values := phrase.values_in(text)) is not None:
                return _Read(phrase.template, self._deeper(values))
        return None

    def _deeper(self, values: dict[str, str]) -> dict[str, str | _Read]:
        return {name: (self.read(value) if name.endswith("words") else None) or value for name, value in values.items()}

    def _wrapped(self, text: str) -> _Read | None:
        """Of a phrase that fits nearly all: only where what it holds is known."""
        for phrase in _WRAPPERS if self._left >= 0 else ():
            values = phrase.values_in(text)
            if values is not None and (found := _Read(phrase.template, self._deeper(values))).is_known:
                return found
        return None

    def _joined(self, text: str) -> _Read | None:
        """Several phrases, one after another, as far as the first is known."""
        at = text.find(_SEPARATOR)
        while at >= 0 and self._left >= 0:
            first = self._one(text[:at]) or self._wrapped(text[:at])
            if first is not None and first.is_known:
                rest = text[at + len(_SEPARATOR) :]
                return _Read(_JOINED, {"words": first, "more_words": self.read(rest) or rest})
            at = text.find(_SEPARATOR, at + 1)
        return None

    def _conditions(self, text: str) -> _Read:
        """Conditions that do not hold, each with why: ``controller: ...; output: ...``."""
        _, *pieces = _CONDITIONS.split(text, _MOST_CONDITIONS)
        read = [
            _Read(_CONDITION, {"condition": _Read(CONDITION_WORDS[name], {}), **self._deeper({"words": why})})
            for name, why in zip(pieces[::2], pieces[1::2], strict=True)
        ]
        whole = read.pop()
        while read:
            whole = _Read(_JOINED, {"words": read.pop(), "more_words": whole})
        return whole
