"""The errors a person meets: what happened, what to do, and the exit code (sysexits)."""

from __future__ import annotations

__all__ = [
    "AlreadyRunning",
    "BundleRejected",
    "CalibrationRefused",
    "ConfigError",
    "DataError",
    "EdgeAgentError",
    "NotPermitted",
    "Unavailable",
    "UsageError",
]


class EdgeAgentError(Exception):
    """Root of what the command line prints without a traceback. ``hint`` says what to do about it."""

    exit_code = 70
    leaves_thread = False
    """Whether a thread is stuck in native code: the interpreter cannot be taken down in order then."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class UsageError(EdgeAgentError):
    """The command was called with options that do not go together."""

    exit_code = 64


class DataError(EdgeAgentError):
    """Input data (images, a data set, a journal) cannot be used."""

    exit_code = 65


class BundleRejected(DataError):
    """The reference bundle is missing, incomplete or altered. A line never becomes READY with it."""


class CalibrationRefused(DataError):
    """The good images cannot carry a calibration, or the autoencoder did not learn them. Nothing was written."""


class Unavailable(EdgeAgentError):
    """A peer or an optional package that the command needs is not there."""

    exit_code = 69


class AlreadyRunning(EdgeAgentError):
    """Another agent holds the journal or the output."""

    exit_code = 75


class NotPermitted(EdgeAgentError):
    """This user may not do it here. The hint says as whom to type it, or whose the files have to be."""

    exit_code = 77


class ConfigError(EdgeAgentError):
    """line.toml is wrong. The message names file:line, key, what came and what was expected."""

    exit_code = 78
