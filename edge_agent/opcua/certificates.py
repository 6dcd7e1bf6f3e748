"""Certificates of the server and of the clients that may connect. Read anew for each connection: a new one counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge_agent.errors import ConfigError
from edge_agent.files.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import OpcUaSettings

__all__ = ["OwnCertificate", "expires_soon", "own_certificate", "trusted_clients"]

_MOST_BYTES = 64 * 1024
_MOST_CLIENTS = 256
_SOON = timedelta(days=30)
_LEAST_BITS = 2048
_HOW = "docs/opcua.md has the command that makes certificate and key"


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The server's own: certificate and key as DER, and the application URI that the certificate names."""

    certificate: bytes
    key: bytes
    uri: str
    ends: datetime


def own_certificate(settings: OpcUaSettings, now: datetime | None = None) -> OwnCertificate:
    """The server's certificate and key.

    Raises ConfigError for a file that is missing, no PEM, expired, no RSA of 2048 bits, or that does not fit the other.
    """
    path, now = settings.certificate_file, now or datetime.now(UTC)
    try:
        found = x509.load_pem_x509_certificate(_read(path))
    except ValueError as err:
        raise ConfigError(f"{path}: no certificate in PEM form", hint=_HOW) from err
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        span = f"{found.not_valid_before_utc:%Y-%m-%d} to {found.not_valid_after_utc:%Y-%m-%d}"
        raise ConfigError(f"{path}: valid from {span}, not today", hint=f"{_HOW}; or is this PC's clock wrong?")
    uris = _uris(found)
    if len(uris) != 1:
        raise ConfigError(
            f"{path}: expected one application URI among the alternative names (got {', '.join(uris) or 'none'})",
            hint=_HOW,
        )
    key = _key(settings.key_file)
    public = PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(Encoding.DER, public) != found.public_key().public_bytes(Encoding.DER, public):
        raise ConfigError(f"{settings.key_file} is not the key of {path}", hint="name the two that were made together")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return OwnCertificate(found.public_bytes(Encoding.DER), der, uris[0], found.not_valid_after_utc)


def trusted_clients(folder: Path, now: datetime | None = None) -> frozenset[bytes]:
    """The certificates of the folder as DER, those that are valid now. Raises ConfigError for one that is none."""
    now = now or datetime.now(UTC)
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as err:
        raise ConfigError(
            f"{folder}: the folder of trusted clients cannot be read: {err.strerror}",
            hint="make it, and put the certificate of each client into it, one file each",
        ) from err
    if len(paths) > _MOST_CLIENTS:
        raise ConfigError(f"{folder}: more than {_MOST_CLIENTS} files", hint="one file for each client, nothing else")
    found = [(path, _certificate(path)) for path in paths]
    return frozenset(
        one.public_bytes(Encoding.DER) for _, one in found if one.not_valid_before_utc <= now <= one.not_valid_after_utc
    )


def expires_soon(own: OwnCertificate, now: datetime | None = None) -> bool:
    """Whether the server's certificate ends within thirty days."""
    return own.ends - (now or datetime.now(UTC)) < _SOON


def _certificate(path: Path) -> x509.Certificate:
    content = _read(path)
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError as err:
        raise ConfigError(
            f"{path}: no certificate in PEM or DER form", hint="this folder holds certificates of clients, nothing else"
        ) from err


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _key(path: Path) -> RSAPrivateKey:
    content = _read(path)
    try:
        mode = path.stat().st_mode
        key = load_pem_private_key(content, password=None)
    except (OSError, ValueError, TypeError) as err:
        raise ConfigError(f"{path}: no private key in PEM form, or an encrypted one", hint=_HOW) from err
    if mode & 0o007:
        raise ConfigError(f"{path}: everyone on this PC may read or change the key", hint=f"chmod 0640 {path}")
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise ConfigError(f"{path}: OPC UA needs an RSA key of {_LEAST_BITS} bits or more", hint=_HOW)
    return key


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _MOST_BYTES)
    except (OSError, ValueError) as err:
        why = getattr(err, "strerror", None) or err
        raise ConfigError(f"{path}: cannot be read: {why}", hint="look at the paths of [opcua] in line.toml") from err
