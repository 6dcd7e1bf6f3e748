"""What every driver speaks: frozen values, Protocols, one tree of errors. Each room has its own; all are named here."""

from __future__ import annotations

from drivers.base.errors import (
    BadParameter,
    CommandRefused,
    CommandUnknown,
    DeadlineMissed,
    DriverError,
    NotConnected,
    NotNow,
    ProtocolViolation,
)
from drivers.base.images import Capture, CaptureSource, ImageRefused, ProveImage
from drivers.base.inputs import DeviceInputs, LineDevice
from drivers.base.links import (
    ControllerClock,
    ControllerDown,
    ControllerEvent,
    ControllerLink,
    ControllerResult,
    ControllerStatus,
    ControllerUp,
)
from drivers.base.outputs import Admit, LineNow, Published, VerdictOutput, admit_all
from drivers.base.streams import ByteStream, Dial, StreamListener
from drivers.base.verdicts import Judgement, Reason, Verdict

__all__ = [
    "Admit",
    "BadParameter",
    "ByteStream",
    "Capture",
    "CaptureSource",
    "CommandRefused",
    "CommandUnknown",
    "ControllerClock",
    "ControllerDown",
    "ControllerEvent",
    "ControllerLink",
    "ControllerResult",
    "ControllerStatus",
    "ControllerUp",
    "DeadlineMissed",
    "DeviceInputs",
    "Dial",
    "DriverError",
    "ImageRefused",
    "Judgement",
    "LineDevice",
    "LineNow",
    "NotConnected",
    "NotNow",
    "ProtocolViolation",
    "ProveImage",
    "Published",
    "Reason",
    "StreamListener",
    "Verdict",
    "VerdictOutput",
    "admit_all",
]
