"""How a template speaks: texts in the language that is spoken, every value in them escaped as any other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from edge_agent.report.phrases import said, sentence
from edge_agent.wording import mark, tag, tr, trn

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

__all__ = ["printable", "speak"]

_STAGES = {
    "read": mark("reading the images"),
    "register": mark("laying the parts on each other"),
    "compare": mark("comparing the parts"),
    "learning curve": mark("learning curve"),
    "train": mark("training the autoencoder"),
    "embed": mark("embedding"),
    "limit": mark("the limit"),
    "light and lens": mark("light and lens"),
}
"""The stages of a calibration, by the names that terminal and JSON have for them."""
_GATE = {"passed": mark("let through"), "rejected": mark("held back")}


def speak(environment: Environment) -> None:
    """Give an environment ``tr``, ``trn``, ``tag``, ``code``, and the filters ``said`` and ``sentence``."""
    environment.filters.update(said=said, sentence=sentence)
    environment.globals.update(
        tr=_text, trn=_number_of, tag=tag, code=_code, page_count=_page_count, stage_words=_STAGES, gate_words=_GATE
    )


def printable(value: Any) -> Any:
    """Control characters, line breaks and text direction overrides become visible escapes."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def _text(text: str, **values: Any) -> Markup:
    return _filled(escape(printable(tr(text))), values)  # a text may be of outside where no word is known for it


def _number_of(one: str, many: str, n: int, **values: Any) -> Markup:
    return _filled(escape(trn(one, many, n, **{name: f"{{{name}}}" for name in values})), values)


def _filled(text: Markup, values: dict[str, Any]) -> Markup:
    return text.format(**{name: printable(value) for name, value in values.items()}) if values else text


def _code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(printable(text))


def _page_count(css: Callable[[str], Markup]) -> Markup:
    """The content of a page's foot, for the style sheet: the numbers are counted by who prints."""
    pieces = re.split(r"(\{pages?\})", tr("page {page} of {pages}"))
    counted = (f"counter({piece[1:-1]})" if piece.startswith("{") else css(piece) for piece in pieces if piece)
    return Markup(" ").join(Markup(piece) for piece in counted)  # noqa: S704 - CSS strings of ``css``, and counters
