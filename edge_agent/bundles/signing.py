"""Making keys and signing bundles with them, at the desk of whoever answers for what a line may judge by.

A private key stays on that person's PC; the line needs the public one alone. docs/decisions/0051 says why.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge_agent.errors import DataError, UsageError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.public_key import PublicKey
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.signature import SIGNATURE, Signature, signed_bytes
from edge_agent.store.fs import write_durably

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SigningKey", "make_key", "public_key_file", "read_public_keys", "sign_bundle"]

_MOST_BYTES = 16 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that was read from its file and unlocked, and can sign bundles."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """Its public half, without a name."""
        return PublicKey.of(self.private.public_key().public_bytes_raw())

    @classmethod
    def read(cls, path: Path, passphrase: Callable[[], bytes]) -> SigningKey:
        """The key in a file that nobody else may read. ``passphrase`` is asked only where the key has one.

        Raises DataError.
        """
        try:
            content, mode = read_bounded(path, _MOST_BYTES), path.stat().st_mode
        except (OSError, ValueError) as err:
            hint = "edge-agent bundle keygen KEYFILE makes one"
            raise DataError(f"the key {path} cannot be read: {err}", hint=hint) from err
        if mode & _OTHERS:
            raise DataError(
                f"{path}: others on this PC may read or write the key (mode {stat.S_IMODE(mode):04o})",
                hint=f"chmod 0600 {path}; if somebody may have read it, make a new one and trust that instead",
            )
        try:
            key = _parsed(content, passphrase)
        except (ValueError, TypeError) as err:
            raise DataError(f"{path} is no private key, or the passphrase is wrong: {err}", hint="try again") from err
        if not isinstance(key, Ed25519PrivateKey):
            raise DataError(f"{path} is a key of another kind", hint="edge-agent bundle keygen KEYFILE makes one")
        return cls(key)


def _parsed(content: bytes, passphrase: Callable[[], bytes]) -> object:
    try:
        return load_pem_private_key(content, None)
    except TypeError:  # it is encrypted
        return load_pem_private_key(content, passphrase())


def public_key_file(path: Path) -> Path:
    """Where the public half of a key lies."""
    return path.with_name(f"{path.name}.pub")


def make_key(path: Path, name: str, passphrase: bytes | None) -> PublicKey:
    """Make a key pair: the private key in ``path`` with mode 0600, the public one beside it. Neither is overwritten.

    Raises UsageError, OSError.
    """
    for file in (path, public_key_file(path)):
        if file.exists():
            raise UsageError(f"{file} exists already, and a key is never overwritten", hint="name another file")
    private = Ed25519PrivateKey.generate()
    try:
        public = PublicKey.of(private.public_key().public_bytes_raw(), name)
    except ValueError:
        raise UsageError(f"{name!a} is no name", hint="one line of at most 64 characters") from None
    lock: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock), 0o600)
    _write_new(public_key_file(path), f"{public}\n".encode(), 0o644)
    return public


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def sign_bundle(folder: Path, key: SigningKey, by: str) -> Signature:
    """Sign a bundle, after proving it whole; a signature that was there is replaced.

    Raises BundleRejected for what does not load, OSError, and UsageError where ``by`` is not one printable line.
    """
    bundle = Bundle.load(folder, ignores_signature=True)
    by, at_utc = by.encode("utf-8", "replace").decode()[:200], datetime.now(UTC).isoformat(timespec="seconds")
    if not by.isprintable():
        raise UsageError(f"{by!a} is no name", hint="--by NAME, on one line")
    message = signed_bytes(bundle.id, bundle.created, by, at_utc)
    signature = Signature(key.public, by, at_utc, key.private.sign(message))
    write_durably(bundle.folder / SIGNATURE, signature.to_bytes())
    (bundle.folder / SIGNATURE).chmod(0o644)
    return signature


def read_public_keys(lines: list[str]) -> list[PublicKey]:
    """Each a public key, or a file with one. Raises UsageError."""
    found = []
    for line in lines:
        try:
            text = line if line.startswith("ed25519:") else read_bounded(Path(line), _MOST_BYTES).decode()
            found.append(PublicKey.parse(text))
        except (OSError, ValueError) as err:
            raise UsageError(f"{line}: {err}", hint="name a public key, or the .pub file with one") from err
    return found
