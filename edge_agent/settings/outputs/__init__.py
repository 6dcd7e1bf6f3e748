"""The kinds of output: one class each, told apart by ``kind``.

A kind that is not in ``AnyOutput`` is none. One that is there, and that nobody knows how to make or to simulate, is an
error of mypy: each such place is a ``match`` that ends in ``assert_never``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, get_args

from pydantic import Field

from edge_agent.settings.outputs.common import Loc, OutputSettings
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
    "without_kind",
]

AnyOutput: TypeAlias = Annotated[
    ModbusCoilsSettings | ModbusRegistersSettings | SlmpSettings | HostLinkSettings | S7Settings | EthernetIpSettings,
    Field(discriminator="kind"),
]

_WITHOUT_KIND = "modbus-coils"
_KINDS: tuple[type[OutputSettings], ...] = get_args(get_args(AnyOutput)[0])
_KEYS = {key for kind in _KINDS for key in kind.model_fields}


def with_kind(table: Any) -> Any:
    """The table [output] with a kind: one that names none is of coils, as it was when there was no other."""
    return {"kind": _WITHOUT_KIND, **table} if isinstance(table, dict) and "kind" not in table else table


def without_kind(table: Any) -> list[tuple[Loc, str]]:
    """Why a table [output] without a kind is not of coils: a register is named, which they do not have."""
    # A key that nobody knows may be the kind with a slip in it: that one is named then.
    if not isinstance(table, dict) or "kind" in table or not {*table} <= _KEYS:
        return []
    named = next((key for key in ("first_register", "plc_register") if key in table), None)
    if named is None:
        return []
    *others, last = (
        f'"{_kind_of(one)}"' for one in _KINDS if one is not ModbusCoilsSettings and named in one.model_fields
    )
    homes = f"{', '.join(others)} and {last}"
    message = f"missing; {named} is a key of {homes}; left out, it is of coils, which have no registers"
    return [(("output", "kind"), message)]


def _kind_of(output: type[OutputSettings]) -> str:
    return str(get_args(output.model_fields["kind"].annotation)[0])
