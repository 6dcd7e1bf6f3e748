"""What [output] over Modbus becomes: the output, who walks through it, and REJECT from outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import structlog

from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.modules import MODULES, Module, unfit_for, unproven
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.wires import CoilConnection, RegisterConnection
from drivers.output.walk import BlockWalker, LevelWalker
from edge_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Admit, LineNow
    from edge_agent.settings import ModbusCoilsSettings, ModbusRegistersSettings, ModbusSettings, Settings

__all__ = ["CoilsWiring", "RegistersWiring", "first_coil_of"]

log = structlog.get_logger(__name__)


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
class RegistersWiring:
    """A block of registers of a PLC."""

    _output: ModbusRegistersSettings

    def output(self, settings: Settings, line: Callable[[], LineNow], admit: Admit) -> RegisterOutput:
        """As ``Wiring.output``."""
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

    def walker(self, settings: Settings, admit: Admit) -> BlockWalker:  # noqa: ARG002 - as the others'
        """As ``Wiring.walker``."""
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
        """As ``Wiring.fail_safe``."""
        output, (host, port, wire) = self._output, _modbus(self._output)
        timeout_s = output.write_timeout_ms / 1000
        await write_reject_block(host, port, **wire, first_register=output.first_register, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class CoilsWiring:
    """Four coils of a remote I/O."""

    _output: ModbusCoilsSettings

    def output(
        self,
        settings: Settings,
        line: Callable[[], LineNow],  # noqa: ARG002 - coils have no room for it
        admit: Admit,
    ) -> CoilOutput:
        """As ``Wiring.output``."""
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
        """As ``Wiring.walker``."""
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
        """As ``Wiring.fail_safe``."""
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
