"""The digital output of line.toml: made for the agent, proven, walked through by hand, brought to REJECT."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

from drivers.base import LineNow, admit_all
from drivers.ethernet_ip.connection import EthernetIpConnection, Tags
from drivers.kv_hostlink.connection import HostLinkConnection
from drivers.output.walk import BlockWalker, Fall, LevelWalker, Step, Walk
from drivers.output.words import WordPlaces
from drivers.s7.connection import S7Connection
from drivers.slmp.connection import SlmpConnection
from edge_agent.settings import (
    EthernetIpSettings,
    HostLinkSettings,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    S7Settings,
    SlmpSettings,
)
from edge_agent.wiring.modbus import CoilsWiring, RegistersWiring, first_coil_of
from edge_agent.wiring.words import WordsWiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Admit, LineDevice
    from edge_agent.runtime.claim import Claim
    from edge_agent.settings import AnyOutput, Settings

__all__ = [
    "BlockWalker",
    "Fall",
    "LevelWalker",
    "Step",
    "Walk",
    "fail_safe",
    "first_coil_of",
    "make_output",
    "make_walker",
    "prove_output",
]

_LOOK_EVERY_S, _PROVE_OUTPUT_S = 0.02, 3.0


async def prove_output(settings: Settings, claim: Claim) -> bool:
    """Drive the output as the agent does while it is not READY: REJECT, the module's watchdog armed and proven.

    Whether all of it was confirmed in time. Raises ConfigError for a module that does not fit the line. Never while an
    agent runs.
    """
    output = make_output(settings, claim=claim)
    run = asyncio.create_task(output.run(lambda: False))
    try:
        async with asyncio.timeout(_PROVE_OUTPUT_S):
            while not output.is_confirmed:  # noqa: ASYNC110 - as above
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return False
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    return True


async def fail_safe(settings: Settings) -> None:
    """Write REJECT to the output and read it back: what is left to do when the agent is gone.

    Raises DriverError if the device does not confirm.
    """
    await _wiring(settings.output).fail_safe()


def make_output(settings: Settings, line: Callable[[], LineNow] = LineNow, claim: Claim | None = None) -> LineDevice:
    """The output that the agent drives; ``claim`` has the last word on each peer before it is written to.

    Raises ConfigError for a module that does not fit the line.
    """
    return _wiring(settings.output).output(settings, line, _admit(claim))


def make_walker(settings: Settings, claim: Claim | None = None) -> LevelWalker | BlockWalker:
    """Who walks through the output by hand. Raises ConfigError for a module that does not fit the line."""
    return _wiring(settings.output).walker(settings, _admit(claim))


class Wiring(Protocol):
    """What an output of line.toml becomes. A kind has such a class in a file of its own, and a line in ``_wiring``."""

    def output(self, settings: Settings, line: Callable[[], LineNow], admit: Admit) -> LineDevice:
        """What the agent drives. ``line`` is what it may tell of the line. Raises ConfigError."""
        ...

    def walker(self, settings: Settings, admit: Admit) -> LevelWalker | BlockWalker:
        """Who walks through it by hand. Raises ConfigError."""
        ...

    async def fail_safe(self) -> None:
        """Write REJECT and read it back. Raises DriverError."""
        ...


def _wiring(output: AnyOutput) -> Wiring:
    """The one table of all outputs. A kind that is new has its line here, or mypy says so."""
    match output:
        case ModbusCoilsSettings():
            return CoilsWiring(output)
        case ModbusRegistersSettings():
            return RegistersWiring(output)
        case SlmpSettings():
            return WordsWiring(output, partial(SlmpConnection, places=WordPlaces(*output.word_numbers)))
        case HostLinkSettings():
            return WordsWiring(output, partial(HostLinkConnection, places=WordPlaces(*output.word_numbers)))
        case S7Settings():
            places = WordPlaces(*output.word_numbers)
            wire = partial(S7Connection, places=places, db=output.db, rack=output.rack, slot=output.slot)
            return WordsWiring(output, wire)
        case EthernetIpSettings():
            tags = Tags(output.tag, output.plc_tag, output.inputs_tag)
            return WordsWiring(output, partial(EthernetIpConnection, tags=tags, slot=output.cpu_slot))
        case _:
            assert_never(output)


def _admit(claim: Claim | None) -> Admit:
    return admit_all if claim is None else claim.admit
