"""line.toml: every key, its type, its range and its unit. Loading is in ``load_settings``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "BundleSettings",
    "ControllerSettings",
    "FolderSettings",
    "FtpSettings",
    "ImagesSettings",
    "InferenceSettings",
    "LineSettings",
    "LogSettings",
    "OutputSettings",
    "Settings",
    "StoreSettings",
    "TriggerSettings",
]

Port = Annotated[int, Field(ge=1, le=65535)]
Camera = Annotated[int, Field(ge=1, le=4)]
Coil = Annotated[int, Field(ge=0, le=65535)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
Program = Annotated[int, Field(ge=0, le=999)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class LineSettings(_Table):
    """[line]: the part's time budget and how two judgements become one."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "line"
    deadline_ms: Annotated[Milliseconds, Field(description="from the first sign of a part to PASS on the wire")]
    min_part_spacing_ms: Annotated[Milliseconds, Field(description="the shortest time between two parts")]
    judgement: Literal["agent", "both"] = "both"
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=4)] = (1,)


class ControllerSettings(_Table):
    """[controller]: the CV-X's command port."""

    kind: Literal["cv-x", "simulated"] = "cv-x"
    host: str = "127.0.0.1"
    port: Port = 8500
    result_items: Annotated[tuple[Literal["count", "program", "judgement", "skip"], ...], Field(min_length=1)] = (
        "count",
        "judgement",
    )
    connect_timeout_ms: Milliseconds = 1000
    reply_timeout_ms: Milliseconds = 1000


class TriggerSettings(_Table):
    """[trigger]: who starts a part. ``wired``: a sensor on the controller. ``interval``/``input``: the agent."""

    source: Literal["wired", "interval", "input"] = "wired"
    number: Literal[1, 2, 3, 4, "all"] = 1
    interval_ms: Milliseconds = 2000


class FtpSettings(_Table):
    """[images.ftp]: the FTP server inside the agent that the controller pushes to."""

    host: str = "127.0.0.1"
    port: Port = 2121
    user: Annotated[str, Field(min_length=1)] = "cvx"
    password_file: Path
    allowed_peers: tuple[str, ...] = ()
    passive_ports: tuple[Port, Port] = (50000, 50015)


class FolderSettings(_Table):
    """[images.folder]: a folder that something else fills."""

    path: Path
    rescan_ms: Milliseconds = 1000
    settle_ms: Milliseconds = 300


class ImagesSettings(_Table):
    """[images]: where images come from, and the largest one taken."""

    spool: Annotated[Path, Field(description="received images wait here until they are archived")]
    max_mib: Annotated[int, Field(ge=1, le=512)] = 64
    ftp: FtpSettings | None = None
    folder: FolderSettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.ftp is None) == (self.folder is None):
            raise ValueError("name exactly one source of images: [images.ftp] or [images.folder]")
        return self


class OutputSettings(_Table):
    """[output]: coils of a Modbus TCP remote I/O."""

    kind: Literal["modbus-coils"] = "modbus-coils"
    host: str
    port: Port = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    first_coil: Annotated[Coil, Field(description="PASS; REJECT, READY and HEARTBEAT follow")] = 0
    part_present_input: Coil | None = None
    pass_hold_ms: Milliseconds = 300
    refresh_ms: Milliseconds = 100
    write_timeout_ms: Milliseconds = 150
    watchdog_ms: Annotated[Milliseconds, Field(description="what the remote I/O's own watchdog is set to")] = 500


class BundleSettings(_Table):
    """[[bundle]]: the reference bundle of one controller program and camera."""

    program: Program
    camera: Camera = 1
    path: Path


class StoreSettings(_Table):
    """[store]: journal and archive."""

    journal: Path
    archive: Path
    archive_max_gib: Annotated[float, Field(gt=0)] = 20.0
    keep: Literal["all", "rejects", "none"] = "all"


class InferenceSettings(_Table):
    """[inference]: threads of ONNX Runtime."""

    threads: Annotated[int, Field(ge=1, le=64)] = 2


class LogSettings(_Table):
    """[log]: what goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(_Table):
    """The whole of line.toml."""

    schema_version: Literal[1]
    line: LineSettings
    controller: ControllerSettings = ControllerSettings()
    trigger: TriggerSettings = TriggerSettings()
    images: ImagesSettings
    output: OutputSettings
    bundle: Annotated[tuple[BundleSettings, ...], Field(min_length=1)]
    store: StoreSettings
    inference: InferenceSettings = InferenceSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        spacing = self.line.min_part_spacing_ms
        if self.line.deadline_ms >= spacing:
            raise ValueError(
                f"line.deadline_ms ({self.line.deadline_ms}) must be below line.min_part_spacing_ms ({spacing}): "
                "a verdict that comes after the next part belongs to no part"
            )
        silent = self.output.watchdog_ms + self.output.write_timeout_ms
        if silent > spacing:
            raise ValueError(
                f"output.watchdog_ms + output.write_timeout_ms ({silent}) must be at most line.min_part_spacing_ms "
                f"({spacing}): otherwise a PASS of a dead agent could reach the next part"
            )
        return self

    @model_validator(mode="after")
    def _bundles_cover(self) -> Self:
        seen: set[tuple[int, int]] = set()
        for entry in self.bundle:
            if (entry.program, entry.camera) in seen:
                raise ValueError(f"two [[bundle]] entries for program {entry.program}, camera {entry.camera}")
            seen.add((entry.program, entry.camera))
        for program in {entry.program for entry in self.bundle}:
            for camera in self.line.cameras:
                if (program, camera) not in seen:
                    raise ValueError(f"program {program} has no [[bundle]] for camera {camera} of line.cameras")
        return self
