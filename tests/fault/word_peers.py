"""PLCs that may misbehave, with a connection to each: every kind that is asked for words over TCP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from drivers.base import NotConnected
from drivers.timing import monotonic_s
from tests.contract.word_devices import TagsOverEthernetIp, WordsOverHostLink, WordsOverS7, WordsOverSlmp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.output import PlcConnection

__all__ = ["KINDS", "Kind", "Made", "connected", "refused_at_the_greeting"]

KINDS = [WordsOverSlmp, WordsOverHostLink, WordsOverS7, TagsOverEthernetIp]
Made = WordsOverSlmp | WordsOverHostLink | WordsOverS7 | TagsOverEthernetIp
Kind = type[WordsOverSlmp] | type[WordsOverHostLink] | type[WordsOverS7] | type[TagsOverEthernetIp]


@asynccontextmanager
async def connected(kind: Kind, timeout_s: float = 0.15) -> AsyncIterator[tuple[Made, PlcConnection, list[str]]]:
    """A device and an open connection to it; the list grows by one each time the connection is said to be lost."""
    device = kind()
    await device.start()
    lost: list[str] = []
    wire = kind.wire(*device.place, timeout_s=timeout_s, on_lost=lambda: lost.append("lost"))
    try:
        await wire.open()
        yield device, wire, lost
    finally:
        wire.abort()
        await device.stop()


async def refused_at_the_greeting(device: Made, why: str) -> None:
    """No connection, in time, with these words, and nothing was written."""

    async def silent(_: bytes) -> bytes | None:
        return None

    device.answer = silent
    await device.start()
    wire = device.wire(*device.place, timeout_s=0.15, on_lost=lambda: None)
    try:
        began_mono_s = monotonic_s()
        with pytest.raises(NotConnected, match=why):
            await wire.open()
        assert monotonic_s() - began_mono_s < 1.0
        assert not wire.is_up
        assert not device.writes
    finally:
        wire.abort()
        await device.stop()
