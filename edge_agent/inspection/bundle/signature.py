"""Who answers for a bundle: ``signature.json`` beside its manifest, an Ed25519 signature of the bundle's id.

The id is a checksum: whoever changes a bundle can compute it anew. Only who has the private key can sign. The id covers
every file and every value but the day of the calibration, so the signature covers that day, the signer's name and the
time of signing as well. Without a list of trusted keys a signature proves no more than that it is whole.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.errors import BundleRejected
from edge_agent.files.bounded import read_bounded
from edge_agent.files.public_key import PublicKey
from edge_agent.files.strict_json import strict_json
from edge_agent.inspection.bundle.manifest import Section

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["SIGNATURE", "Signature", "check_trusted", "read_signature", "signed_bytes", "untrusted_why"]

SIGNATURE = "signature.json"
_SCHEMA_VERSION = 1
_MOST_BYTES = 4096
_LONGEST_TEXT = 200
_SIGN_AGAIN = "sign it again, on the PC with the key: edge-agent bundle sign FOLDER --key KEYFILE"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that fits its bundle: by which key, and what its owner said of who and when (UTC, a label)."""

    key: PublicKey
    by: str
    at_utc: str
    signature: bytes

    def __str__(self) -> str:
        return f"signed by {self.by} at {self.at_utc} with {self.key.key}"

    def to_bytes(self) -> bytes:
        """The content of the bundle's file signature.json."""
        content = {
            "schema_version": _SCHEMA_VERSION,
            "key": self.key.key,
            "by": self.by,
            "at_utc": self.at_utc,
            "signature": base64.b64encode(self.signature).decode(),
        }
        return (json.dumps(content, indent=2) + "\n").encode()


def signed_bytes(bundle_id: str, created: str, by: str, at_utc: str) -> bytes:
    """What is signed. Its first line keeps it from being a signature of anything else."""
    content = {"bundle_id": bundle_id, "created": created, "by": by, "at_utc": at_utc}
    # One way of writing, whoever signs: other blanks or another order of keys would be another message.
    return b"edge-agent bundle signature 1\n" + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def read_signature(folder: Path, bundle_id: str, created: str) -> Signature | None:
    """The signature of a bundle; None where it is not signed.

    Raises BundleRejected for a signature that does not fit: something was changed after signing.
    """
    path = folder / SIGNATURE
    try:
        said = Section(strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES), str(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise BundleRejected(f"{path} cannot be read: {err}", hint=_SIGN_AGAIN) from err
    if said.integer("schema_version") != _SCHEMA_VERSION:
        raise BundleRejected(f"{path} is of another version", hint="use the edge-agent that wrote it, or sign it again")
    by, at_utc = said.text("by"), said.text("at_utc")
    if not (by.isprintable() and at_utc.isprintable() and max(len(by), len(at_utc)) <= _LONGEST_TEXT):
        raise BundleRejected(f"{path}: a text is too long, or has control characters", hint=_SIGN_AGAIN)
    try:
        key = PublicKey.parse(said.text("key"))
        signature = base64.b64decode(said.text("signature"), validate=True)
    except ValueError as err:
        raise BundleRejected(f"{path}: {err}", hint=_SIGN_AGAIN) from err
    if not _fits(key, signature, signed_bytes(bundle_id, created, by, at_utc)):
        raise BundleRejected(
            f"{path} is not the signature of this bundle: one of them was changed after signing", hint=_SIGN_AGAIN
        )
    return Signature(key, by, at_utc, signature)


def untrusted_why(signature: Signature | None, trusted: Iterable[PublicKey]) -> str:
    """Why a bundle is not one that these keys answer for; empty where it is, or where no key is asked for."""
    keys = {key.key: key.name for key in trusted}
    if not keys:
        return ""
    if signature is None:
        return "it is not signed"
    if signature.key.key not in keys:
        return f"it is signed by {signature.by} with {signature.key.key}, which is not a trusted key"
    return ""


def check_trusted(folder: Path, signature: Signature | None, trusted: Iterable[PublicKey]) -> None:
    """Raise BundleRejected unless one of these keys signed the bundle. No keys: nothing is asked for."""
    if why := untrusted_why(signature, trusted):
        raise BundleRejected(
            f"{folder}: {why}, and line.toml asks for bundles that a trusted key signed",
            hint="edge-agent bundle sign FOLDER --key KEYFILE, on the PC with a key that signatures.trusted_keys names",
        )


def _fits(key: PublicKey, signature: bytes, message: bytes) -> bool:
    # Loaded here: most lines have no signature, and an agent starts sooner without it.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
