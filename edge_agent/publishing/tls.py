"""TLS to a receiver: whom we trust, and who we say we are. Files are read at each connection: a renewed one counts."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TlsFiles", "certificate_times", "client_context", "expires_soon"]

_MOST_BYTES = 1 << 20
_SOON = timedelta(days=30)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. Without ``ca`` the system's own authorities are trusted; ``certificate`` and ``key`` go together."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def client_context(files: TlsFiles, now: datetime | None = None) -> ssl.SSLContext:
    """A context that proves the server's name and certificate.

    Raises ConfigError for a file that is missing, unreadable, no PEM, expired, or a key that everybody may read or that
    does not belong to the certificate.
    """
    now = now or datetime.now(UTC)
    context = ssl.create_default_context()
    if files.ca is not None:
        context = ssl.create_default_context(cadata=_authorities(files.ca, now))
    if files.certificate is not None and files.key is not None:
        _valid(files.certificate, now, "the certificate of this PC")
        _private(files.key)
        _load(context, files.certificate, files.key)
    return context


def expires_soon(files: TlsFiles, now: datetime | None = None) -> list[str]:
    """What ends within thirty days, in words. Raises ConfigError as ``client_context`` does."""
    now = now or datetime.now(UTC)
    found = []
    for path in (files.certificate, files.ca):
        ends = [] if path is None else [end for _, end in map(certificate_times, _certificates(path)) if end > now]
        if ends and min(ends) - now < _SOON:
            found.append(f"{path} expires on {min(ends):%Y-%m-%d %H:%M} UTC")
    return found


def certificate_times(der: bytes) -> tuple[datetime, datetime]:
    """From when to when a certificate is valid, UTC. Raises ValueError for what is no X.509 certificate."""
    tbs = _inside(_inside(der, 0, 0x30)[0], 0, 0x30)[0]
    at = 0
    if tbs[:1] == b"\xa0":  # the version, left out in the first one
        at = _inside(tbs, at, 0xA0)[1]
    for tag in (0x02, 0x30, 0x30):  # serial number, algorithm, issuer
        at = _inside(tbs, at, tag)[1]
    validity = _inside(tbs, at, 0x30)[0]
    begin, at = _time(validity, 0)
    return begin, _time(validity, at)[0]


def _authorities(path: Path, now: datetime) -> str:
    """The text of every authority; all of them expired is an error, some is what bundles of a system have."""
    certificates = _certificates(path)
    times = [certificate_times(der) for der in certificates]
    if all(end <= now for _, end in times):
        raise ConfigError(
            f"{path}: the authority's certificate expired on {max(end for _, end in times):%Y-%m-%d %H:%M} UTC",
            hint="get the new one from who runs the receiver; or is this PC's clock wrong?",
        )
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificates))


def _valid(path: Path, now: datetime, what: str) -> None:
    begin, end = certificate_times(_certificates(path)[0])
    if end <= now:
        raise ConfigError(
            f"{path}: {what} expired on {end:%Y-%m-%d %H:%M} UTC",
            hint="get a new one from who made it; or is this PC's clock wrong?",
        )
    if begin > now:
        raise ConfigError(
            f"{path}: {what} is valid from {begin:%Y-%m-%d %H:%M} UTC on, and it is {now:%Y-%m-%d %H:%M} here",
            hint="is this PC's clock wrong?",
        )


def _private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as err:
        raise _unreadable(path, err) from err
    if mode & 0o007:
        raise ConfigError(f"{path}: everyone on this PC may read or change the key", hint=f"chmod 0640 {path}")


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def has_password() -> str:
        raise ConfigError(
            f"{key}: the key is encrypted, and nobody is there to type its password",
            hint=f"openssl pkey -in {key} -out NEW, mode 0640 and owned by the agent",
        )

    try:
        context.load_cert_chain(certificate, key, password=has_password)
    except ssl.SSLError as err:
        if err.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key} is not the key of {certificate}", hint="name the two files that were made together"
            ) from err
        raise ConfigError(
            f"{key}: no private key in PEM form, or one that is too weak ({err.reason or err})",
            hint="it begins with -----BEGIN PRIVATE KEY-----, and with RSA it has 2048 bits or more",
        ) from err
    except OSError as err:
        raise _unreadable(key, err) from err


def _certificates(path: Path) -> list[bytes]:
    """Every certificate of a PEM file, as DER. Raises ConfigError for a file without any, or with a damaged one."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file", hint="look at the paths in line.toml")
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as err:
        raise _unreadable(path, err) from err
    found = _PEM.findall(text)
    hint = "PEM begins with -----BEGIN CERTIFICATE-----; from DER: openssl x509 -inform der -in FILE -out NEW"
    if not found or len(text) > _MOST_BYTES:
        raise ConfigError(f"{path}: no certificate in PEM form", hint=hint)
    try:
        ders = [ssl.PEM_cert_to_DER_cert(pem.decode("ascii")) for pem in found]
        for der in ders:
            certificate_times(der)
    except ValueError as err:
        raise ConfigError(f"{path}: a certificate in it is damaged: {err}", hint=hint) from err
    return ders


def _unreadable(path: Path, err: OSError) -> ConfigError:
    who = f" by user {os.geteuid()}" if hasattr(os, "geteuid") else ""
    return ConfigError(
        f"{path}: cannot be read{who}: {err.strerror or err}",
        hint=f"install -m 0640 -o root -g edge-agent, for instance: the agent has to read {path}",
    )


def _inside(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """The content of the DER element at a place, and where the next one begins."""
    if len(data) < at + 2 or data[at] != tag:
        raise ValueError(f"expected the element 0x{tag:02x}")
    length, begin = data[at + 1], at + 2
    if length & 0x80:
        more = length & 0x7F
        length, begin = int.from_bytes(data[begin : begin + more], "big"), begin + more
    if begin + length > len(data):
        raise ValueError("it is cut short")
    return data[begin : begin + length], begin + length


def _time(data: bytes, at: int) -> tuple[datetime, int]:
    """A UTCTime or a GeneralizedTime, and where the next element begins."""
    is_short = data[at : at + 1] == b"\x17"
    text, after = _inside(data, at, 0x17 if is_short else 0x18)
    said = text.decode("ascii")
    if is_short:  # two digits of a year: 1950 to 2049
        said = ("19" if said[:2] >= "50" else "20") + said
    return datetime.strptime(said, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), after
