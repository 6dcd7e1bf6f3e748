"""Loops beside the supervisor: what the block raises keeps its class, and a loop that fails ends the block."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent.runtime.background_tasks import beside
from edge_agent.runtime.inference import InferenceHung


async def test_a_hung_inspection_comes_out_by_its_class_so_that_its_thread_is_left_behind() -> None:
    ended = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(InferenceHung):  # noqa: PT012 - the block is what is tried
        async with beside(loop):
            await asyncio.sleep(0)
            raise InferenceHung(2.0)
    assert ended


async def test_a_loop_that_fails_ends_the_block() -> None:
    async def fails() -> None:
        raise ValueError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError)):
        async with beside(fails):
            await asyncio.Event().wait()
