"""The digital output of line.toml: made for the agent, proven, walked through by hand, brought to REJECT."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import structlog

from drivers.base import LineNow, admit_all
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.modules import MODULES, Module, unfit_for, unproven
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.wires import CoilConnection, RegisterConnection
from drivers.output.walk import BlockWalker, Fall, LevelWalker, Step, Walk
from edge_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Admit
    from edge_agent.runtime.claim import Claim
    from edge_agent.settings import OutputSettings, Settings

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

    Raises DriverError if the remote I/O does not confirm.
    """
    output = settings.output
    common: _Wire = {
        "unit": output.unit,
        "timeout_s": output.write_timeout_ms / 1000,
        "rtu": _rtu(output),
    }
    if output.kind == "modbus-registers":
        await write_reject_block(_output_host(output), output.port, first_register=output.first_register, **common)
    else:
        await write_reject(
            _output_host(output), output.port, first_coil=output.first_coil, invert=output.invert, **common
        )


class _Wire(TypedDict):
    unit: int
    timeout_s: float
    rtu: RtuLine | None


def _output_host(output: OutputSettings) -> str:
    if output.serial is not None:
        return output.serial.device
    assert output.host is not None  # noqa: S101 - settings name exactly one way to the output
    return output.host


def _rtu(output: OutputSettings) -> RtuLine | None:
    line = output.serial
    return None if line is None else RtuLine(line.baud, line.parity, line.stop_bits)


def make_output(
    settings: Settings, line: Callable[[], LineNow] = LineNow, claim: Claim | None = None
) -> CoilOutput | RegisterOutput:
    """The output that the agent drives; ``claim`` has the last word on each peer before it is written to.

    Raises ConfigError for a module that does not fit the line.
    """
    output = settings.output
    if output.kind == "modbus-registers":
        return RegisterOutput(
            _output_host(output),
            output.port,
            unit=output.unit,
            first_register=output.first_register,
            plc_register=output.plc_register,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            plc_timeout_s=output.plc_silence_ms / 1000,
            is_counted=output.part_numbers == "plc",
            rtu=_rtu(output),
            line=line,
            is_counter_the_sensor=settings.trigger.source == "plc",
            admit=_admit(claim),
        )
    return CoilOutput(
        _output_host(output),
        output.port,
        unit=output.unit,
        first_coil=output.first_coil,
        part_present_input=output.part_present_input,
        pass_hold_s=output.pass_hold_ms / 1000,
        refresh_s=output.refresh_ms / 1000,
        write_timeout_s=output.write_timeout_ms / 1000,
        rtu=_rtu(output),
        module=_module(settings),
        watchdog_ms=output.watchdog_ms,
        invert=output.invert,
        admit=_admit(claim),
    )


def _admit(claim: Claim | None) -> Admit:
    return admit_all if claim is None else claim.admit


def _module(settings: Settings) -> Module | None:
    """The module's profile. Raises ConfigError for one that cannot carry PASS at this line's spacing of parts."""
    output = settings.output
    if output.module is None:
        return None
    module = MODULES[output.module]
    if why := unfit_for(module, settings.line.min_part_spacing_ms, output.write_timeout_ms):
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


def make_walker(settings: Settings, claim: Claim | None = None) -> LevelWalker | BlockWalker:
    """Who walks through the output by hand. Raises ConfigError for a module that does not fit the line."""
    output = settings.output
    times = output.write_timeout_ms / 1000, output.refresh_ms / 1000
    if output.kind == "modbus-registers":
        registers = partial(
            RegisterConnection,
            _output_host(output),
            output.port,
            unit=output.unit,
            timeout_s=times[0],
            rtu=_rtu(output),
            admit=_admit(claim),
            first_register=output.first_register,
            plc_register=output.plc_register,
        )
        return BlockWalker(registers, *times, is_counted=output.part_numbers == "plc")
    coils = partial(
        CoilConnection,
        _output_host(output),
        output.port,
        unit=output.unit,
        timeout_s=times[0],
        rtu=_rtu(output),
        admit=_admit(claim),
        first_coil=output.first_coil,
        module=_module(settings),
        watchdog_ms=output.watchdog_ms,
        inverted=frozenset(output.invert),
    )
    return LevelWalker(coils, *times, watchdog_ms=output.watchdog_ms, inverted=frozenset(output.invert))
