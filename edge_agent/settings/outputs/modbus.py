"""[output] over Modbus, TCP or RTU: coils of a remote I/O, or a block of registers of a PLC.

Both take the keys of both, as they always have: a line.toml that was tried with one keeps what it says of the other.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field

from edge_agent.settings.outputs.common import Loc, OutputSettings
from edge_agent.settings.values import Coil, Port, Table, Text, exact, integer, say

__all__ = ["PROVEN_MODULES", "ModbusCoilsSettings", "ModbusRegistersSettings", "ModbusSettings", "RtuSettings"]

PROVEN_MODULES = ("wago-750", "beckhoff-bk9000")
"""Those whose watchdog the agent arms and proves by itself, on each new connection."""
_REGISTERS, _ANSWER_REGISTERS = 8, 5


class RtuSettings(Table):
    """[output.serial]: Modbus RTU over a serial line instead of Modbus TCP."""

    device: Annotated[Text, say("the serial port of this PC, by its name in /dev/serial/by-id")]
    baud: Annotated[int, integer(1200, 921_600), say("bits a second, as set in the device")] = 19_200
    parity: Annotated[Literal["none", "even", "odd"], say("as set in the device")] = "even"
    stop_bits: Annotated[Literal[1, 2], BeforeValidator(exact), say("as set in the device")] = 1


class ModbusSettings(OutputSettings):
    """The keys of both kinds."""

    port: Annotated[Port, say("its Modbus TCP port")] = 502
    unit: Annotated[int, integer(0, 255), say("its Modbus unit number")] = 1
    serial: Annotated[RtuSettings | None, say("speak Modbus RTU over a serial line instead of TCP")] = None
    first_coil: Annotated[Coil, say("zero-based address of PASS; REJECT, READY and HEARTBEAT follow")] = 0
    invert: Annotated[
        tuple[Literal["REJECT", "READY"], ...],
        Field(max_length=2, description="coils whose level on the wire is the opposite of what they say; PASS never"),
    ] = ()
    first_register: Annotated[Coil, say("zero-based address of the block of eight registers")] = 0
    plc_register: Annotated[Coil, say("zero-based address of the five registers that the PLC writes")] = 8
    module: Annotated[
        Literal["wago-750", "beckhoff-bk9000", "beckhoff-ek9000", "moxa-e1200", "adam-6000", "icp-et7000"] | None,
        say("the family of the remote I/O, whose watchdog the agent then arms and proves"),
    ] = None

    @property
    def device(self) -> str | None:
        """As ``OutputSettings.device``."""
        return None if self.serial is None else self.serial.device

    @property
    def way_keys(self) -> str:
        """As ``OutputSettings.way_keys``."""
        return "output.host, port and unit" if self.serial is None else "[output.serial] and output.unit"

    def on_loopback(self, host: str, port: int) -> Self:
        """As ``OutputSettings.on_loopback``; the simulated devices have TCP alone, and invert nothing."""
        return self.model_copy(update={"host": host, "port": port, "serial": None, "invert": ()})

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems: list[tuple[Loc, str]] = []
        if self.host is None and self.serial is None:
            problems.append((("output",), "name the way to the output, host or [output.serial] (got neither)"))
        if self.serial is not None and "://" in self.serial.device:
            message = (
                "expected a serial port of this PC, as /dev/serial/by-id/...: a device server keeps what is written to "
                "it, so that a PASS could be carried out late, and holds up the agent when it is gone; a gateway that "
                f'speaks Modbus TCP is output.host (got "{self.serial.device}")'
            )
            problems.append((("output", "serial", "device"), message))
        problems += super().problems()
        if self.first_coil > 65532:
            message = f"expected at most 65532, so that four coils fit (got {self.first_coil})"
            problems.append((("output", "first_coil"), message))
        if self.first_register > 65528:
            message = f"expected at most 65528, so that eight registers fit (got {self.first_register})"
            problems.append((("output", "first_register"), message))
        if self.plc_register > 65531:
            message = f"expected at most 65531, so that five registers fit (got {self.plc_register})"
            problems.append((("output", "plc_register"), message))
        if self.first_register - 5 < self.plc_register < self.first_register + _REGISTERS:
            message = (
                f"expected a place outside the eight registers from {self.first_register} on (got {self.plc_register})"
            )
            problems.append((("output", "plc_register"), message))
        return problems


class ModbusCoilsSettings(ModbusSettings):
    """[output]: four coils of a remote I/O. A PASS opens for whoever is at the gate, and ends before the next part."""

    kind: Annotated[Literal["modbus-coils"], say("coils of a remote I/O, or a block of words that a PLC reads")] = (
        "modbus-coils"
    )

    @property
    def names_parts(self) -> bool:
        """Coils name nobody."""
        return False

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} from {self.first_coil} on"

    @property
    def shared_words(self) -> range | None:
        """Nobody else may write to the remote I/O: its watchdog is one for the whole module."""
        return None

    @property
    def armed_module(self) -> str | None:
        """As ``OutputSettings.armed_module``."""
        return self.module

    def untested_watchdog(self) -> tuple[str, str]:
        """As ``OutputSettings.untested_watchdog``; the agent proves it of some modules itself."""
        if self.module in PROVEN_MODULES or not any(super().untested_watchdog()):
            return "", ""
        known = ", ".join(f'"{name}"' for name in PROVEN_MODULES)
        its = "its watchdog" if self.module is None else f'the watchdog of a "{self.module}"'
        return "module", (
            "nothing proves that the remote I/O drops PASS when this PC is dead: the agent can prove that of "
            f"{known} alone, and nobody has said that {its} was tested (got no watchdog_tested)"
        )


class ModbusRegistersSettings(ModbusSettings):
    """[output]: a block of registers of a PLC. A PASS names its part, and the PLC opens for no other one."""

    kind: Annotated[Literal["modbus-registers"], say("a block of registers that a PLC reads")]

    @property
    def names_parts(self) -> bool:
        """The block carries the part's number."""
        return True

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} from {self.first_register} on"

    @property
    def shared_words(self) -> range | None:
        """The PLC looks at the heartbeat of each block apart."""
        return range(self.first_register, self.first_register + _REGISTERS)

    @property
    def answer_words(self) -> list[int]:
        """As ``OutputSettings.answer_words``."""
        return [*range(self.plc_register, self.plc_register + _ANSWER_REGISTERS)]
