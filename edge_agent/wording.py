"""Words for people, in their language. Codes stay codes: the journal holds those, and words are made when shown.

The English sentence stands in the code, where it is read: ``tr("Part {number}", number=4)``. The other languages are
gettext catalogues beside this file (``locale/de.po``), which Babel reads; ``make words`` brings them up to date.
"""

from __future__ import annotations

import gettext
import io
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LANGUAGES", "language", "mark", "preferred", "speaking", "table", "tag", "tr", "trn"]

LANGUAGES = {"en": "English", "de": "Deutsch", "ja": "日本語", "zh": "简体中文"}
"""Each by the name that its readers know it by. ``zh`` is simplified Chinese."""

_TAGS = {"zh": "zh-Hans"}

_spoken: ContextVar[str] = ContextVar("language", default="en")


def mark(text: str) -> str:
    """The text itself: tells ``make words`` that ``tr`` will be asked for it."""
    return text


def language() -> str:
    """The language that ``tr`` answers in, a key of LANGUAGES."""
    return _spoken.get()


def tag() -> str:
    """The reader's language as HTML and browsers write it, such as ``zh-Hans``."""
    return _TAGS.get(_spoken.get(), _spoken.get())


@contextmanager
def speaking(wanted: str) -> Iterator[None]:
    """Answer in that language within the block, in this thread or task. Raises KeyError for one that is not known."""
    if wanted not in LANGUAGES:
        raise KeyError(wanted)
    before = _spoken.set(wanted)
    try:
        yield
    finally:
        _spoken.reset(before)


def tr(text: str, **values: Any) -> str:
    """The text in the language that is spoken, English where it has none; ``{name}`` is filled from the values."""
    said = _catalogue(_spoken.get()).gettext(text) if text else ""
    return said.format(**values) if values else said


def trn(one: str, many: str, n: int, **values: Any) -> str:
    """As ``tr``, for a number of things: ``trn("{n} part", "{n} parts", 3)``."""
    return _catalogue(_spoken.get()).ngettext(one, many, n).format(n=n, **values)


def table(wanted: str) -> dict[str, list[str]]:
    """All texts of a language by their English, each with its plural forms, for a browser. Empty for English."""
    return {
        ids[0] if isinstance(ids, tuple) else ids: list(said) if isinstance(said, tuple) else [said]
        for ids, said in _messages(wanted)
    }


def preferred(accepted: str) -> str:
    """The first language of an Accept-Language header that is one of LANGUAGES, else English."""
    weighted = []
    for place, item in enumerate(accepted.split(",")[:20]):
        tag, _, rest = item.strip().partition(";")
        quality = rest.strip().removeprefix("q=") or "1"
        try:
            weighted.append((-float(quality), place, tag.partition("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for _, _, tag in sorted(weighted) if tag in LANGUAGES), "en")


def _messages(wanted: str) -> list[tuple[Any, Any]]:
    return [(m.id, m.string) for m in _read(wanted) if m.id and m.string] if wanted != "en" else []


@cache
def _catalogue(wanted: str) -> gettext.NullTranslations:
    if wanted == "en":
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - an agent that speaks English reads no catalogue

    compiled = io.BytesIO()
    write_mo(compiled, _read(wanted))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def _read(wanted: str) -> Any:
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with files("edge_agent").joinpath("locale", f"{wanted}.po").open("rb") as file:
        return read_po(file, locale=wanted)
