"""The program that a PLC wants, and what it is told: an unknown program is an error, never the last bundle."""

from __future__ import annotations

import asyncio

import pytest

from drivers.base import NotNow
from edge_agent.runtime.background_tasks import beside
from edge_agent.runtime.handshake import ERROR_CODES, error_code
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.requests import ProgramRequests
from edge_agent.runtime.supervisor import CONDITIONS


class Wire:
    """A controller that runs a program, and a PLC that wants one."""

    def __init__(self, mode: str = "switched", *, refuses: bool = False) -> None:
        self.wanted: int | None = None
        self.current: int | None = 1
        self.is_idle = True
        self.refuses = refuses
        self.switched: list[int] = []
        self.health = Health()
        self.requests = ProgramRequests(
            mode,  # type: ignore[arg-type]
            wanted=lambda: self.wanted,
            current=lambda: self.current,
            known=frozenset({1, 2}),
            is_idle=lambda: self.is_idle,
            switch=self.switch,
            health=self.health,
        )

    async def switch(self, program: int) -> None:
        self.switched.append(program)
        if self.refuses:
            raise NotNow("PW", "03", "not now")
        self.current = program


def test_before_the_plc_has_asked_nothing_is_healthy() -> None:
    wire = Wire()

    assert wire.requests.look() is None
    assert "has not asked" in wire.health.reasons["request"]


@pytest.mark.parametrize(
    ("mode", "wanted", "current", "idle", "why", "switch_to"),
    [
        ("checked", 1, 1, True, "", None),
        ("switched", 1, 1, True, "", None),
        ("checked", 2, 1, True, "the PLC wants program 2, the controller runs 1", None),
        ("switched", 2, 1, True, "the PLC wants program 2, the controller runs 1", 2),
        ("switched", 2, 1, False, "the PLC wants program 2, the controller runs 1", None),
        ("switched", 9, 1, True, "program 9 has no [[bundle]]", None),
        ("switched", 65535, 1, True, "program 65535 has no [[bundle]]", None),
        ("switched", 2, None, True, "the controller runs none yet", None),
    ],
)
def test_another_program_than_the_wanted_one_is_no_line_that_is_ready(
    mode: str, wanted: int, current: int | None, *, idle: bool, why: str, switch_to: int | None
) -> None:
    wire = Wire(mode)
    wire.wanted, wire.current, wire.is_idle = wanted, current, idle

    assert wire.requests.look() == switch_to
    assert why in wire.health.reasons.get("request", "")
    assert wire.health.is_healthy is not bool(why)


def test_a_program_that_is_the_same_again_makes_the_line_healthy() -> None:
    wire = Wire("checked")
    wire.wanted = 2
    wire.requests.look()
    is_healthy_between = wire.health.is_healthy
    wire.current = 2
    wire.requests.look()

    assert not is_healthy_between
    assert wire.health.is_healthy


async def test_the_controller_is_switched_once_and_a_refusal_is_not_hammered() -> None:
    wire, stubborn = Wire(), Wire(refuses=True)
    async with beside(wire.requests.run, stubborn.requests.run):
        wire.wanted = stubborn.wanted = 2
        async with asyncio.timeout(5):
            while not (wire.health.is_healthy and stubborn.switched):
                await asyncio.sleep(0.005)
        for _ in range(10):
            await asyncio.sleep(0.01)

    assert wire.switched == [2]
    assert stubborn.switched == [2]
    assert not stubborn.health.is_healthy


async def test_a_loop_beside_the_others_that_fails_ends_them() -> None:
    async def fails() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        async with beside(fails):
            await asyncio.get_running_loop().create_future()

    assert caught.group_contains(RuntimeError, match="a bug")


def test_every_condition_has_its_number_and_an_unknown_one_the_general() -> None:
    health = Health()
    nothing = error_code(health)
    health.fails("something new", "why")
    new = error_code(health)

    assert (nothing, new) == (0, 100)
    assert set(CONDITIONS) <= set(ERROR_CODES)
    assert len(set(ERROR_CODES.values())) == len(ERROR_CODES)
    assert ERROR_CODES == {
        "controller": 101, "program": 102, "output": 103, "images": 104, "journal": 105, "inference": 106,
        "request": 107, "rejects": 108, "mode": 109, "golden": 110, "clock": 111, "archive": 112,
        "disk": 113,
    }  # fmt: skip
    health = Health.waiting_for("journal", "controller")
    assert error_code(health) == 101
