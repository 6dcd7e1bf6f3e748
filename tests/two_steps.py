"""Fake inspectors in the two steps of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.domain import Inspection

__all__ = ["AtOnce"]


class AtOnce:
    """Nothing to prepare: all is done in ``inspect``."""

    def prepare(self, data: bytes) -> bytes:
        """The bytes as they are."""
        return data

    def judge(self, prepared: bytes, certain: Callable[[], None] | None = None) -> Inspection:
        """As ``inspect``."""
        return self.inspect(prepared)

    def inspect(self, data: bytes) -> Inspection:
        """What it finds."""
        raise NotImplementedError
