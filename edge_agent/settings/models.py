"""line.toml as frozen models. A key's type, range and unit stand here and in ``values``, nowhere else.

Numbers and texts are strict: ``"3"`` is not 3, ``true`` is not 1, ``3.0`` is not an integer. Lists become
tuples. A path is relative to the folder of line.toml where the loader gives it, else to the working directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from edge_agent.files.public_key import PublicKey
from edge_agent.settings.addresses import addresses
from edge_agent.settings.challenge import ChallengeSettings, challenges
from edge_agent.settings.fit import Contradiction, bundles, fleets, pages, places, sources, times
from edge_agent.settings.fleet import FleetSettings
from edge_agent.settings.opcua import OpcUaSettings
from edge_agent.settings.outputs import AnyOutput, OutputSettings, RtuSettings, with_kind, without_kind
from edge_agent.settings.page import MetricsSettings, ReviewSettings, WebSettings
from edge_agent.settings.receivers import BrokerSettings, MqttSettings, SparkplugSettings, WebhookSettings
from edge_agent.settings.values import (
    Camera,
    FilePath,
    Host,
    Milliseconds,
    OwnHost,
    Peer,
    Port,
    Program,
    ResultItem,
    SerialPort,
    SignerKey,
    Table,
    Text,
    exact,
    integer,
    name_pattern,
    say,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BrokerSettings",
    "BundleSettings",
    "Contradiction",
    "ControllerSettings",
    "FleetSettings",
    "FolderSettings",
    "FtpSettings",
    "ImagesSettings",
    "InferenceSettings",
    "LampSettings",
    "LineSettings",
    "LogSettings",
    "MetricsSettings",
    "MqttSettings",
    "OpcUaSettings",
    "OutputSettings",
    "ReviewSettings",
    "RtuSettings",
    "SerialSettings",
    "Settings",
    "SignaturesSettings",
    "SourceFile",
    "SparkplugSettings",
    "StoreSettings",
    "TriggerSettings",
    "WebSettings",
    "WebhookSettings",
]


class LineSettings(Table):
    """[line]: the part's time budget and how two judgements become one."""

    name: Annotated[Text, Field(max_length=64, description="what the journal and the reports call this line")] = "line"
    deadline_ms: Annotated[Milliseconds, say("from the first sign of a part to PASS on the wire; late is reject")]
    min_part_spacing_ms: Annotated[Milliseconds, say("the shortest time between two parts")]
    imaging_ms: Annotated[
        int,
        integer(0, 60_000),
        say("the longest time from a wired trigger to the first sign of its part: exposure and the controller's work"),
    ] = 0
    gate_ms: Annotated[
        int | None,
        integer(0, 60_000),
        say("the shortest time from a part's trigger to the gate; left out, the verdict is due before it is there"),
    ] = None
    judgement: Annotated[
        Literal["agent", "both"],
        say("agent: this inspection decides alone; both: the controller's own NG rejects as well"),
    ] = "both"
    cameras: Annotated[
        tuple[Camera, ...],
        Field(min_length=1, max_length=4, description="a part passes when all of these cameras pass"),
    ] = (1,)
    language: Annotated[
        Literal["en", "de", "ja", "zh"] | None,
        say("what page and reports speak where nobody chose another; left out, reports English, the page as a browser"),
    ] = None


class SerialSettings(Table):
    """[controller.serial]: the command port over RS-232C instead of the network."""

    url: Annotated[
        SerialPort, say("a serial port (/dev/serial/by-id/...), or socket://, rfc2217:// of a device server")
    ]
    baud: Annotated[int, integer(1200, 921_600), say("bits a second, as set in the controller")] = 115_200
    parity: Annotated[Literal["none", "even", "odd"], say("as set in the controller")] = "none"
    stop_bits: Annotated[Literal[1, 2], BeforeValidator(exact), say("as set in the controller")] = 1


class ControllerSettings(Table):
    """[controller]: the CV-X's command port."""

    kind: Annotated[Literal["cv-x", "simulated"], say("simulated is never fallen back to, only asked for")] = "cv-x"
    host: Annotated[Host, say("address of the controller")] = "127.0.0.1"
    port: Annotated[Port, say("its non-procedural TCP port")] = 8500
    serial: Annotated[SerialSettings | None, say("speak over a serial line; host and port are not used then")] = None
    delimiter: Annotated[Literal["cr", "crlf"], say("what ends a line that is sent; both are understood")] = "cr"
    result_items: Annotated[
        tuple[ResultItem, ...],
        Field(min_length=1, max_length=64, description="what each field of the controller's result line is, in order"),
    ] = ("count", "judgement")
    connect_timeout_ms: Annotated[Milliseconds, say("how long one try to connect may take")] = 1000
    reply_timeout_ms: Annotated[Milliseconds, say("how long the controller may take to answer a command")] = 1000


class TriggerSettings(Table):
    """[trigger]: who starts a part."""

    source: Annotated[
        Literal["wired", "interval", "input", "plc"],
        say(
            "wired: a sensor on the controller; interval: the agent, by time; input: the agent, on the remote input; "
            "plc: the agent, when the PLC counts a part"
        ),
    ] = "wired"
    number: Annotated[
        Literal[1, 2, 3, 4, "all"],
        BeforeValidator(exact),
        say('which trigger the agent sends: T1 to T4, or TA for "all"; not for wired'),
    ] = 1
    interval_ms: Annotated[Milliseconds, say("time between two triggers of source interval")] = 2000


class FtpSettings(Table):
    """[images.ftp]: the FTP server inside the agent that the controller pushes to."""

    host: Annotated[OwnHost, say("the address to listen on: that of the network card on the camera's network")] = (
        "127.0.0.1"
    )
    port: Annotated[Port, say("2121 needs no privilege; 21 needs CAP_NET_BIND_SERVICE")] = 2121
    user: Annotated[Text, say("the user name set in the controller")] = "cvx"
    password_file: Annotated[FilePath, say("a file with the password set in the controller on its first line")]
    allowed_peers: Annotated[
        tuple[Peer, ...] | None,
        Field(
            min_length=1,
            description="only these may connect; left out, the controller alone: an image does not say who sent it",
        ),
    ] = None
    reply_when: Annotated[
        Literal["proven", "received"], say("when the controller hears 226: image proven and stored, or bytes here")
    ] = "proven"
    passive_ports: Annotated[tuple[Port, Port], say("first and last port for passive transfers, for the firewall")] = (
        50000,
        50015,
    )


class FolderSettings(Table):
    """[images.folder]: a folder that something else fills."""

    path: Annotated[FilePath, say("the folder, searched with its subfolders")]
    rescan_ms: Annotated[Milliseconds, say("the longest time that a file without a notification goes unseen")] = 1000
    settle_ms: Annotated[Milliseconds, say("how long a file that is not yet a whole image may go on growing")] = 300


class ImagesSettings(Table):
    """[images]: where images come from, and the largest one taken."""

    spool: Annotated[FilePath, say("received images wait here until they are archived")]
    max_mib: Annotated[int, integer(1, 512), say("a larger file is refused")] = 64
    names: Annotated[
        Text,
        AfterValidator(name_pattern),
        Field(json_schema_extra={"format": "name-rule"}),
        say('"cv-x", "xg-x", or a regular expression with a group (?P<count>...)'),
    ] = "cv-x"
    image_type: Annotated[
        Text | None, say("the image type that is judged where one capture gives several; others are left out")
    ] = None
    ftp: Annotated[FtpSettings | None, say("the controller pushes over FTP")] = None
    folder: Annotated[FolderSettings | None, say("the images come into a folder")] = None


Lit = Literal["fault", "bypass", "off"]


class LampSettings(Table):
    """[lamp]: an andon lamp on the RTS and DTR lines of a serial port. It is never PASS."""

    device: Annotated[SerialPort, say("the serial port, by its name in /dev/serial/by-id, or rfc2217://ADDRESS:PORT")]
    rts: Annotated[Lit, say("what RTS lights: the line is FAULT, a person answers for the parts, or nothing")] = "fault"
    dtr: Annotated[Lit, say("what DTR lights, as rts")] = "bypass"


class BundleSettings(Table):
    """[[bundle]]: the reference bundle of one controller program and camera."""

    program: Annotated[Program, say("the controller's program number")]
    camera: Annotated[Camera, say("the controller's camera number")] = 1
    path: Annotated[FilePath, say("the folder that calibrate-reference wrote")]


class SignaturesSettings(Table):
    """[signatures]: only bundles that one of these keys signed."""

    trusted_keys: Annotated[
        tuple[SignerKey, ...],
        Field(min_length=1, max_length=32, description="public keys of who may sign a bundle for this line"),
    ]


class StoreSettings(Table):
    """[store]: journal and archive."""

    journal: Annotated[FilePath, say("the SQLite file with a row for every part")]
    archive: Annotated[FilePath, say("the folder that judged images go to")]
    archive_max_gib: Annotated[
        float,
        Field(strict=True, gt=0, le=1_000_000, description="the oldest images go when the archive is larger"),
    ] = 20.0
    keep_bmp_as: Annotated[
        Literal["png", "bmp"], say("what a BMP is stored as; the bytes that came are restored from the PNG")
    ] = "bmp"
    keep: Annotated[Literal["all", "rejects", "none"], say("which images are archived")] = "all"
    keep_pass_every: Annotated[
        int, integer(1, 1_000_000), say("of PASS, the image of every part whose number this divides")
    ] = 1
    keep_days: Annotated[int | None, integer(1, 36_500), say("days with parts whose images are kept")] = None
    keep_pass_days: Annotated[int | None, integer(1, 36_500), say("of PASS, instead of keep_days")] = None
    keep_reject_days: Annotated[int | None, integer(1, 36_500), say("of all that is no PASS, instead of keep_days")] = (
        None
    )

    @property
    def pass_days(self) -> int | None:
        """On how many days with parts images of PASS stay; None where only the size counts."""
        return self.keep_days if self.keep_pass_days is None else self.keep_pass_days

    @property
    def reject_days(self) -> int | None:
        """For how many days with parts images of REJECT and FAULT are kept; None: as long as there is room."""
        return self.keep_days if self.keep_reject_days is None else self.keep_reject_days


_USUAL_THREADS = 2


class InferenceSettings(Table):
    """[inference]: threads of ONNX Runtime."""

    threads: Annotated[
        int | None, integer(1, 64), say("at most the cores of the PC; left out, the agent tries what is quickest")
    ] = None

    @property
    def threads_unmeasured(self) -> int:
        """How many threads a network gets where it is not worth measuring: two, if none are named."""
        return self.threads or _USUAL_THREADS


class LogSettings(Table):
    """[log]: what goes to stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], say("the least important line written")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], say("auto: console on a terminal, JSON for the system's journal")
    ] = "auto"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file that settings were read from, for the journal: the hash of its bytes, when it was saved, whose it is."""

    path: str
    sha256: str
    saved_utc: str
    owner: str


class Settings(Table):
    """The whole of line.toml."""

    schema_version: Annotated[Literal[1], BeforeValidator(exact), say("the version of this file's keys")]
    line: LineSettings
    controller: ControllerSettings = ControllerSettings()
    trigger: TriggerSettings = TriggerSettings()
    images: ImagesSettings
    output: AnyOutput
    bundle: Annotated[
        tuple[BundleSettings, ...],
        Field(min_length=1, max_length=4000, description="one reference bundle for each program and camera"),
    ]
    store: StoreSettings
    signatures: Annotated[
        SignaturesSettings | None, say("whose bundles this line may judge by; left out, anybody's")
    ] = None
    inference: InferenceSettings = InferenceSettings()
    log: LogSettings = LogSettings()
    lamp: Annotated[LampSettings | None, say("an andon lamp; left out, there is none")] = None
    web: Annotated[WebSettings | None, say("the operator's page; left out, there is none")] = None
    review: ReviewSettings = ReviewSettings()
    challenge: Annotated[ChallengeSettings | None, say("when samples are to be shown; left out, never")] = None
    mqtt: Annotated[MqttSettings | None, say("results to an MQTT broker")] = None
    sparkplug: Annotated[SparkplugSettings | None, say("results to an MQTT broker as Sparkplug B")] = None
    webhook: Annotated[WebhookSettings | None, say("results to an HTTP address")] = None
    opcua: Annotated[OpcUaSettings | None, say("status and results for OPC UA clients")] = None
    metrics: Annotated[MetricsSettings | None, say("measured values at an address of their own")] = None
    fleet: Annotated[FleetSettings | None, say("a server that sees this line beside others")] = None
    _source: SourceFile | None = PrivateAttr(default=None)

    @property
    def source(self) -> SourceFile | None:
        """The file that these were read from; None where they were made otherwise."""
        return self._source

    def read_from(self, source: SourceFile) -> Self:
        """Note which file these settings were read from; returns them."""
        self._source = source
        return self

    @property
    def image_senders(self) -> tuple[str, ...]:
        """Who may push images over FTP: whom images.ftp names, or else the controller alone."""
        ftp = self.images.ftp
        return (self.controller.host,) if ftp is None or ftp.allowed_peers is None else ftp.allowed_peers

    @property
    def trusted_keys(self) -> tuple[PublicKey, ...]:
        """Whose signature a bundle needs; none where it needs none."""
        return () if self.signatures is None else tuple(map(PublicKey.parse, self.signatures.trusted_keys))

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders that one agent alone may work in."""
        watched = () if self.images.folder is None else (self.images.folder.path,)
        return (self.images.spool, self.store.archive, *watched)

    @property
    def state(self) -> tuple[Path, ...]:
        """What the agent writes, and nobody else: the journal and its folder, the archive, the spool."""
        return (self.store.journal.parent, self.store.journal, self.store.archive, self.images.spool)

    @field_validator("output", mode="before")
    @classmethod
    def _with_kind(cls, value: Any) -> Any:
        if problems := without_kind(value):
            raise Contradiction(problems)
        return with_kind(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [
            *times(self.line, self.output),
            *sources(self),
            *bundles(self.bundle, self.line.cameras),
            *places(self),
            *pages(self),
            *fleets(self),
            *addresses(self),
            *challenges(self),
        ]
        if problems:
            raise Contradiction(problems)
        return self
