"""The digital output of line.toml: made for the agent, proven, walked through by hand, brought to REJECT."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypedDict, assert_never

import structlog

from drivers.base import LineNow, admit_all
from drivers.kv_hostlink.connection import HostLinkConnection
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.modules import MODULES, Module, unfit_for, unproven
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.wires import CoilConnection, RegisterConnection
from drivers.output import BlockOutput, BlockState, WordPlaces, write_resting
from drivers.output.walk import BlockWalker, Fall, LevelWalker, Step, Walk
from drivers.s7.connection import S7Connection
from drivers.slmp.connection import SlmpConnection
from edge_agent.errors import ConfigError
from edge_agent.settings import (
    HostLinkSettings,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    S7Settings,
    SlmpSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Admit, LineDevice
    from drivers.output import WordConnection
    from edge_agent.runtime.claim import Claim
    from edge_agent.settings import AnyOutput, ModbusSettings, PlcSettings, Settings

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

log = structlog.get_logger(__name__)

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
    """What an output of line.toml becomes. A kind of output has a class of these, and a line in ``_wiring``."""

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
            return _ModbusCoils(output)
        case ModbusRegistersSettings():
            return _ModbusRegisters(output)
        case SlmpSettings():
            return _Words(output, SlmpConnection)
        case HostLinkSettings():
            return _Words(output, HostLinkConnection)
        case S7Settings():
            return _Words(output, partial(S7Connection, db=output.db, rack=output.rack, slot=output.slot))
        case _:
            assert_never(output)


def _admit(claim: Claim | None) -> Admit:
    return admit_all if claim is None else claim.admit


class _ModbusWire(TypedDict):
    unit: int
    rtu: RtuLine | None


def _modbus(output: ModbusSettings) -> tuple[str, int, _ModbusWire]:
    line = output.serial
    if line is not None:
        return line.device, output.port, {"unit": output.unit, "rtu": RtuLine(line.baud, line.parity, line.stop_bits)}
    assert output.host is not None  # noqa: S101 - settings name exactly one way to the output
    return output.host, output.port, {"unit": output.unit, "rtu": None}


@dataclass(frozen=True, slots=True)
class _ModbusRegisters:
    """A block of registers of a PLC."""

    _output: ModbusRegistersSettings

    def output(self, settings: Settings, line: Callable[[], LineNow], admit: Admit) -> RegisterOutput:
        output, (host, port, wire) = self._output, _modbus(self._output)
        return RegisterOutput(
            host,
            port,
            **wire,
            first_register=output.first_register,
            plc_register=output.plc_register,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            plc_timeout_s=output.plc_silence_ms / 1000,
            is_counted=output.part_numbers == "plc",
            line=line,
            is_counter_the_sensor=settings.trigger.source == "plc",
            admit=admit,
        )

    def walker(self, _settings: Settings, admit: Admit) -> BlockWalker:
        output, (host, port, wire) = self._output, _modbus(self._output)
        timeout_s = output.write_timeout_ms / 1000
        registers = partial(
            RegisterConnection,
            host,
            port,
            **wire,
            timeout_s=timeout_s,
            admit=admit,
            first_register=output.first_register,
            plc_register=output.plc_register,
        )
        return BlockWalker(registers, timeout_s, output.refresh_ms / 1000, is_counted=output.part_numbers == "plc")

    async def fail_safe(self) -> None:
        output, (host, port, wire) = self._output, _modbus(self._output)
        timeout_s = output.write_timeout_ms / 1000
        await write_reject_block(host, port, **wire, first_register=output.first_register, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class _Words:
    """A block of words of a PLC, which are asked for by number. ``_wire`` makes a connection to it."""

    _output: PlcSettings
    _wire: Callable[..., WordConnection]

    def output(self, settings: Settings, line: Callable[[], LineNow], admit: Admit) -> BlockOutput:
        output = self._output
        return BlockOutput(
            f"{output.host}:{output.port}",
            self._new_wire(admit),
            plc_place=output.plc_place,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            plc_timeout_s=output.plc_silence_ms / 1000,
            is_counted=output.part_numbers == "plc",
            line=line,
            is_counter_the_sensor=settings.trigger.source == "plc",
        )

    def walker(self, _settings: Settings, admit: Admit) -> BlockWalker:
        output = self._output
        return BlockWalker(
            self._new_wire(admit),
            output.write_timeout_ms / 1000,
            output.refresh_ms / 1000,
            is_counted=output.part_numbers == "plc",
        )

    async def fail_safe(self) -> None:
        await write_resting(self._new_wire(admit_all), BlockState())

    def _new_wire(self, admit: Admit) -> partial[WordConnection]:
        output = self._output
        assert output.host is not None  # noqa: S101 - settings name the way to the output
        return partial(
            self._wire,
            output.host,
            output.port,
            places=WordPlaces(*output.word_numbers),
            timeout_s=output.write_timeout_ms / 1000,
            admit=admit,
        )


@dataclass(frozen=True, slots=True)
class _ModbusCoils:
    """Four coils of a remote I/O."""

    _output: ModbusCoilsSettings

    def output(self, settings: Settings, _line: Callable[[], LineNow], admit: Admit) -> CoilOutput:
        output, (host, port, wire) = self._output, _modbus(self._output)
        return CoilOutput(
            host,
            port,
            **wire,
            first_coil=output.first_coil,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            module=_module(output, settings.line.min_part_spacing_ms),
            watchdog_ms=output.watchdog_ms,
            invert=output.invert,
            admit=admit,
        )

    def walker(self, settings: Settings, admit: Admit) -> LevelWalker:
        output, (host, port, wire) = self._output, _modbus(self._output)
        timeout_s, inverted = output.write_timeout_ms / 1000, frozenset[str](output.invert)
        coils = partial(
            CoilConnection,
            host,
            port,
            **wire,
            timeout_s=timeout_s,
            admit=admit,
            first_coil=output.first_coil,
            module=_module(output, settings.line.min_part_spacing_ms),
            watchdog_ms=output.watchdog_ms,
            inverted=inverted,
        )
        return LevelWalker(
            coils, timeout_s, output.refresh_ms / 1000, watchdog_ms=output.watchdog_ms, inverted=inverted
        )

    async def fail_safe(self) -> None:
        output, (host, port, wire) = self._output, _modbus(self._output)
        timeout_s = output.write_timeout_ms / 1000
        await write_reject(host, port, **wire, first_coil=output.first_coil, timeout_s=timeout_s, invert=output.invert)


def _module(output: ModbusCoilsSettings, spacing_ms: int) -> Module | None:
    """The module's profile. Raises ConfigError for one that cannot carry PASS at this line's spacing of parts."""
    if output.module is None:
        return None
    module = MODULES[output.module]
    if why := unfit_for(module, spacing_ms, output.write_timeout_ms):
        raise ConfigError(why, hint='see drivers/modbus/PROTOCOL.md, "The module\'s watchdog"')
    if output.first_coil < module.reads_back_from:
        raise ConfigError(
            f"{module.name}: a read of coil {output.first_coil} gives an input, so no output could be proven there",
            hint=f"set output.first_coil to {module.reads_back_from} for its first output, or above",
        )
    if module.arming and output.watchdog_ms < module.least_ms:
        raise ConfigError(f"{module.name}: output.watchdog_ms must be at least {module.least_ms}")
    if why := unproven(module):
        log.warning("watchdog_not_proven", module=module.name, why=why)
    return module


def first_coil_of(module: str) -> int:
    """Where a family's first output is; 0 for one that nobody knows, which the settings refuse."""
    return MODULES[module].first_coil if module in MODULES else 0
