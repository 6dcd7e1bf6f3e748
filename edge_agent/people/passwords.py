"""Passwords: kept as argon2id hashes and no other way."""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from edge_agent.errors import UsageError

__all__ = ["LEAST", "MOST", "check_password", "fits", "hashed", "nobodys"]

LEAST, MOST = 10, 200
# The second choice of RFC 9106 (64 MiB, 3 rounds), on one core: the page may have one, at idle priority.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1, type=Type.ID)


def check_password(password: str, name: str) -> None:
    """Raise UsageError, without the password in it, for one that does not do for the user of that name."""
    if not LEAST <= len(password) <= MOST or not password.isprintable():
        raise UsageError(f"a password has {LEAST} to {MOST} characters, on one line")
    if name.casefold() in password.casefold() or len(set(password)) < LEAST // 2:
        raise UsageError("this password is too easily guessed", hint="not the name, and not a few characters repeated")


def hashed(password: str) -> str:
    """What is kept of a password. Takes some tenths of a second and 64 MiB, as ``fits`` does."""
    return _HASHER.hash(_same(password))


def fits(kept: str, password: str) -> bool:
    """Whether it is the password. Raises argon2.exceptions.VerificationError, InvalidHashError for a damaged hash."""
    try:
        return _HASHER.verify(kept, _same(password))
    except VerifyMismatchError:
        return False


@cache
def nobodys() -> str:
    """A hash that no password fits: an unknown name takes as long to be refused as a known one."""
    return _HASHER.hash(secrets.token_bytes(32))


def _same(password: str) -> bytes:
    """The same letter typed on another keyboard may come as other code points."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
