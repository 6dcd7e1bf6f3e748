"""Certificates for one test, made while it runs with the openssl of this machine; nothing of them is kept."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority", "authority"]

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, DNS:localhost
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder; ``ca`` is its certificate."""

    folder: Path
    openssl: str

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def leaf(self, name: str, *, password: str = "") -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and for clients, and its key, valid for two days."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        self._key(key, password)
        config = self._config(name)
        secret = ("-passin", f"pass:{password}") if password else ()
        self._run("req", "-new", "-config", config, "-key", key, *secret, "-out", request)
        self._run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                  "-extfile", config, "-extensions", "leaf", "-out", certificate, "-days", "2")  # fmt: skip
        return certificate, key

    def begin(self) -> None:
        key = self.folder / "ca.key"
        self._key(key, "")
        config = self._config("the authority of a test")
        self._run("req", "-x509", "-new", "-config", config, "-extensions", "authority", "-key", key, "-days", "2",
                  "-out", self.ca)  # fmt: skip

    def server(self, *, asks: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate of this authority; ``asks`` for the client's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.leaf("server"))
        if asks:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _key(self, path: Path, password: str) -> None:
        secret = ("-aes256", "-pass", f"pass:{password}") if password else ()
        self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *secret, "-out", path)
        path.chmod(0o600)

    def _config(self, name: str) -> Path:
        path = self.folder / "openssl.cnf"
        path.write_text(_CONFIG.format(name=name))
        return path

    def _run(self, *words: str | Path) -> None:
        subprocess.run([self.openssl, *map(str, words)], check=True, capture_output=True)


def authority(folder: Path) -> Authority:
    """A new authority; skips the test where there is no openssl to make one with."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine (apt-get install openssl)")
    folder.mkdir()
    made = Authority(folder, openssl)
    made.begin()
    return made
