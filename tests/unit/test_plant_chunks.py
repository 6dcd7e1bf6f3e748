"""Chunks on their way: what is said where none comes back."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from edge_agent.tools.plant import chunks
from edge_agent.tools.plant.chunks import judged_chunks
from edge_agent.tools.plant.judging import Chunk, JudgedChunk

if TYPE_CHECKING:
    import pytest


class _Waited(Future[JudgedChunk]):
    def release(self) -> None:
        """As a future of Dask has it."""


class _OneWorker:
    """A cluster whose only worker comes back when the test wants."""

    def __init__(self) -> None:
        self.given: list[_Waited] = []

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tls://127.0.0.1:1": n_workers}}

    def submit(self, *_: object, **__: object) -> _Waited:
        self.given.append(_Waited())
        return self.given[-1]


def test_an_image_that_holds_its_worker_up_is_told_with_the_chunk_that_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "_LOOK_S", 0.01)
    monkeypatch.setattr(chunks, "_PATIENCE", 3)
    client, told = _OneWorker(), list[str]()
    chunk = Chunk(0, "/images", (), (("a/1.bmp", 0), ("a/64.bmp", 0)), {})

    def say(words: str) -> None:
        told.append(words)
        client.given[0].set_result(JudgedChunk(0, [], ""))

    assert [one.number for one in judged_chunks(client, iter([chunk]), say)] == [0]
    assert len(told) == 1
    assert "'a/1.bmp' to 'a/64.bmp'" in told[0]
