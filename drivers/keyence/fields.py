"""The fields of a command or a reply: what may stand in one, how it is written, how it is read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

__all__ = ["Field", "Number", "Text", "Value", "Whole"]

Value = int | Decimal | str

_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,9})?")
_TEXT = re.compile(r"[\x20-\x7e]*")


class Field(Protocol):
    """One parameter of a command or value of its reply: the text between two commas."""

    @property
    def name(self) -> str:
        """What it is called in the page of the protocol and in messages."""
        ...

    def write(self, value: object) -> str:
        """The text that is sent for the value. Raises ValueError, which names what is expected."""
        ...

    def read(self, text: str) -> Value:
        """The value that a received text says. Raises ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; sent with at least ``digits`` digits, received with any padding."""

    name: str
    least: int
    most: int
    digits: int = 1

    def write(self, value: object) -> str:
        """As ``Field.write``: raises ValueError outside ``least`` to ``most``."""
        text = str(value)
        # True is an int in Python, and a caller who passes it means something else than 1.
        if isinstance(value, bool) or not _WHOLE.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise ValueError(f"{self.name} is a whole number from {self.least} to {self.most} (got {value!r})")
        return f"{int(text):0{self.digits}d}"

    def read(self, text: str) -> int:
        """As ``Field.read``: raises ValueError outside ``least`` to ``most``."""
        if not _WHOLE.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise ValueError(f"{self.name} is a whole number from {self.least} to {self.most} (got {text!a})")
        return int(text)


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number, never a float: what is read is what is written back."""

    name: str

    def write(self, value: object) -> str:
        """As ``Field.write``: raises ValueError for what is no plain decimal number."""
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
        if isinstance(value, bool) or not _NUMBER.fullmatch(text):
            raise ValueError(f"{self.name} is a decimal number such as -12.5 (got {value!r})")
        return text

    def read(self, text: str) -> Decimal:
        """As ``Field.read``: raises ValueError for what is no plain decimal number."""
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{self.name} is a decimal number such as -12.5 (got {text!a})")
        return Decimal(text)


@dataclass(frozen=True, slots=True)
class Text:
    """Printable ASCII. ``may_hold_commas``: it is the last field and takes all that is left of the line."""

    name: str
    most_chars: int = 64
    least_chars: int = 0
    may_hold_commas: bool = False

    def write(self, value: object) -> str:
        """As ``Field.write``: raises ValueError for another length or character, and for a comma that would split."""
        text = str(value)
        if not _TEXT.fullmatch(text) or not self.least_chars <= len(text) <= self.most_chars:
            length = f"{self.least_chars} to {self.most_chars} characters"
            raise ValueError(f"{self.name} is printable ASCII of {length} (got {text[: self.most_chars + 1]!a})")
        if "," in text and not self.may_hold_commas:
            raise ValueError(f"{self.name} holds no comma: the controller would take it for two fields (got {text!a})")
        return text

    def read(self, text: str) -> str:
        """As ``Field.read``: a longer text than is sent is taken, a reply is not refused for its length."""
        return text
