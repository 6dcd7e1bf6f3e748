"""line.toml: every key, its type, range and unit; loading it; and errors that point at the line."""

from __future__ import annotations

from edge_agent.settings.edit import put_keys
from edge_agent.settings.load import load_settings, read_password, settings_json_schema
from edge_agent.settings.models import (
    BundleSettings,
    ControllerSettings,
    FolderSettings,
    FtpSettings,
    ImagesSettings,
    InferenceSettings,
    LineSettings,
    LogSettings,
    MetricsSettings,
    MqttSettings,
    OpcUaSettings,
    Settings,
    SourceFile,
    StoreSettings,
    TriggerSettings,
    WebhookSettings,
    WebSettings,
)
from edge_agent.settings.outputs import (
    AnyOutput,
    ModbusCoilsSettings,
    ModbusRegistersSettings,
    ModbusSettings,
    OutputSettings,
)

__all__ = [
    "AnyOutput",
    "BundleSettings",
    "ControllerSettings",
    "FolderSettings",
    "FtpSettings",
    "ImagesSettings",
    "InferenceSettings",
    "LineSettings",
    "LogSettings",
    "MetricsSettings",
    "ModbusCoilsSettings",
    "ModbusRegistersSettings",
    "ModbusSettings",
    "MqttSettings",
    "OpcUaSettings",
    "OutputSettings",
    "Settings",
    "SourceFile",
    "StoreSettings",
    "TriggerSettings",
    "WebSettings",
    "WebhookSettings",
    "load_settings",
    "put_keys",
    "read_password",
    "settings_json_schema",
]
