"""The kinds of output: one class each, told apart by ``kind``.

A kind that is not in ``AnyOutput`` is none. One that is there, and that nobody knows how to make or to simulate, is an
error of mypy: each such place is a ``match`` that ends in ``assert_never``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field

from edge_agent.settings.outputs.common import OutputSettings
from edge_agent.settings.outputs.ethernet_ip import EthernetIpSettings
from edge_agent.settings.outputs.modbus import (
    PROVEN_MODULES,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    ModbusSettings,
    RtuSettings,
)
from edge_agent.settings.outputs.plc import NumberedSettings, PlcSettings
from edge_agent.settings.outputs.s7 import S7Settings
from edge_agent.settings.outputs.words import HostLinkSettings, SlmpSettings, WordSettings

__all__ = [
    "PROVEN_MODULES",
    "AnyOutput",
    "EthernetIpSettings",
    "HostLinkSettings",
    "ModbusCoilsSettings",
    "ModbusRegistersSettings",
    "ModbusSettings",
    "NumberedSettings",
    "OutputSettings",
    "PlcSettings",
    "RtuSettings",
    "S7Settings",
    "SlmpSettings",
    "WordSettings",
    "with_kind",
]

AnyOutput: TypeAlias = Annotated[
    ModbusCoilsSettings | ModbusRegistersSettings | SlmpSettings | HostLinkSettings | S7Settings | EthernetIpSettings,
    Field(discriminator="kind"),
]

_WITHOUT_KIND = "modbus-coils"


def with_kind(table: Any) -> Any:
    """The table [output] with a kind: one that names none is of coils, as it was when there was no other."""
    return {"kind": _WITHOUT_KIND, **table} if isinstance(table, dict) and "kind" not in table else table
