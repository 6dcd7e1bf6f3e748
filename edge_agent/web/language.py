"""Which language a browser is answered in: its own choice, else line.toml's, else what it says it reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers

from edge_agent.report.words import (
    CONDITION_ADVICE,
    CONDITION_WORDS,
    PUBLISHED_WORDS,
    QUANTITY_WORDS,
    REASON_WORDS,
    SHARE_WORDS,
)
from edge_agent.wording import LANGUAGES, language, preferred, speaking, table, tag, tr

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Spoken", "shell", "words_script"]

_COOKIE = "language"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Answers every request in its browser's language; ``default`` is that of line.toml, None where it says none."""

    app: ASGIApp
    default: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        with speaking(self._wanted(Headers(scope=scope)) if scope["type"] == "http" else "en"):
            await self.app(scope, receive, send)

    def _wanted(self, headers: Headers) -> str:
        try:
            chosen = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            chosen = None
        if chosen is not None and chosen.value in LANGUAGES:
            return chosen.value
        return self.default or preferred(headers.get("accept-language", ""))


def shell() -> str:
    """The page before its first part, in the spoken language."""
    return _shell_in(language())


@cache
def _shell_in(spoken: str) -> str:
    values = {"language": spoken, "tag": tag(), "languages": LANGUAGES, "tr": tr}
    return _TEMPLATES.get_template("page.html.j2").render(**values)


def words_script() -> str:
    """The module ``words.js``: the spoken language, its texts, and the words of the codes that the journal holds."""
    parts = {
        "LANGUAGE": language(),
        "LANGUAGES": LANGUAGES,
        "TABLE": table(language()),
        "REASONS": {str(reason): tr(words) for reason, words in REASON_WORDS.items()},
        "PUBLISHED": {str(published): tr(words) for published, words in PUBLISHED_WORDS.items()},
        "CONDITIONS": {name: tr(words) for name, words in CONDITION_WORDS.items()},
        "ADVICE": {name: tr(words) for name, words in CONDITION_ADVICE.items()},
        "SHARES": {name: [tr(word), tr(sentence)] for name, (word, sentence) in SHARE_WORDS.items()},
        "QUANTITIES": {name: [tr(word), tr(sentence)] for name, (word, sentence) in QUANTITY_WORDS.items()},
    }
    return "".join(f"export const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in parts.items())
