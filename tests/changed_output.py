"""An [output] with other values than its file has, also such as no file may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.settings import (
    EthernetIpSettings,
    HostLinkSettings,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    S7Settings,
    SlmpSettings,
)

if TYPE_CHECKING:
    from edge_agent.settings import AnyOutput, Settings

__all__ = ["with_output"]

_KINDS = {
    "modbus-coils": ModbusCoilsSettings,
    "modbus-registers": ModbusRegistersSettings,
    "slmp": SlmpSettings,
    "kv-hostlink": HostLinkSettings,
    "s7": S7Settings,
    "ethernet-ip": EthernetIpSettings,
}


def with_output(settings: Settings, **changed: object) -> Settings:
    """The same settings with these values in [output], unchecked; a ``kind`` makes it one of that kind."""
    values = dict(settings.output) | changed
    output: AnyOutput = _KINDS[values["kind"]].model_construct(**values)
    return settings.model_copy(update={"output": output})
