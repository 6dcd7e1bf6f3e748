"""A public key as a line of text, which people carry from one PC to another and write into line.toml."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["PUBLIC_KEY", "PUBLIC_KEY_WORDS", "PublicKey"]

PUBLIC_KEY: Final = re.compile(
    r"ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=(?: [^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]{0,63})?"
)
"""32 bytes in base64, and whose they are."""
PUBLIC_KEY_WORDS: Final = 'a line as edge-agent bundle keygen writes it: "ed25519:...= NAME"'


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who may have signed: ``key`` is "ed25519:" and 32 bytes in base64; ``name`` is for people, and may be empty."""

    key: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key that a line of text stands for. Raises ValueError."""
        text = text.strip()
        if PUBLIC_KEY.fullmatch(text) is None:
            raise ValueError(f"expected {PUBLIC_KEY_WORDS}")
        key, _, name = text.partition(" ")
        return cls(key, name)

    @classmethod
    def of(cls, raw: bytes, name: str = "") -> PublicKey:
        """From the key's 32 bytes. Raises ValueError for a name that no line can hold."""
        return cls.parse(f"ed25519:{base64.b64encode(raw).decode()} {name}")

    @property
    def raw(self) -> bytes:
        """The key's 32 bytes."""
        return base64.b64decode(self.key.removeprefix("ed25519:"))

    def __str__(self) -> str:
        return f"{self.key} {self.name}".strip()
