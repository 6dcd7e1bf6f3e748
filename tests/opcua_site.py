"""What tests of the OPC UA server share: certificates made with openssl, settings, a server beside a journal."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.timing import monotonic_s
from edge_agent.feed.telling import Looked
from edge_agent.opcua.hello import BundleInUse
from edge_agent.opcua.keeper import keep_opcua
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal
from edge_agent.wiring.free_ports import free_port
from tests.security.web_site import web_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge_agent.settings import Settings

__all__ = [
    "BUNDLES",
    "NEEDS_ASYNCUA",
    "PASSWORD",
    "Identity",
    "Site",
    "connected",
    "identity",
    "opcua_processes",
    "opcua_settings",
    "opcua_tables",
    "ready",
]

NEEDS_ASYNCUA = pytest.mark.skipif(
    find_spec("asyncua") is None, reason="no asyncua here: pip install 'edge-agent[opcua]'"
)
BUNDLES = (BundleInUse(program=3, camera=1, bundle_id="bundle"), BundleInUse(program=4, camera=1, bundle_id="other"))
PASSWORD = "a password of a test"  # noqa: S105
_WITHIN_S = 60.0
_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[application]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = URI:urn:test:{name}, DNS:localhost, IP:127.0.0.1
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """An application's certificate and key, PEM."""

    certificate: Path
    key: Path
    uri: str


def identity(folder: Path, name: str) -> Identity:
    """A self-signed application certificate; skips the test where there is no openssl to make one with."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine (apt-get install openssl)")
    folder.mkdir(exist_ok=True)
    config, certificate, key = (folder / f"{name}{kind}" for kind in (".cnf", ".pem", "_key.pem"))
    config.write_text(_CONFIG.format(name=name))
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "2", "-config", config]
    words += ["-extensions", "application", "-keyout", key, "-out", certificate]
    subprocess.run([openssl, *map(str, words)], check=True, capture_output=True)
    key.chmod(0o600)
    return Identity(certificate, key, f"urn:test:{name}")


def opcua_tables(folder: Path, port: int, *, anonymous: str = "read") -> str:
    """[opcua] of a line.toml in this folder: it trusts the client ``folder/pki/client`` and the user mes."""
    identity(folder / "pki", "server")
    client = identity(folder / "pki", "client")
    (folder / "clients").mkdir(exist_ok=True)
    shutil.copy(client.certificate, folder / "clients" / "client.pem")
    (folder / "mes_password").write_text(PASSWORD + "\n")
    return f"""
[opcua]
port = {port}
certificate_file = "pki/server.pem"
key_file = "pki/server_key.pem"
trusted_clients = "clients"
anonymous = "{anonymous}"
[[opcua.user]]
name = "mes"
password_file = "mes_password"
"""


def opcua_settings(folder: Path, port: int, *, anonymous: str = "read") -> Settings:
    """Settings with an OPC UA server beside a page."""
    web_settings(folder, port=free_port())
    path = folder / "line.toml"
    path.write_text(path.read_text() + opcua_tables(folder, port, anonymous=anonymous))
    return load_settings(path)


def ready() -> Looked:
    return Looked(
        "READY", {"controller": "", "journal": ""}, is_simulated=True, archive_lost=0, archive_pruned=0, program=3
    )


@dataclass
class Site:
    """A journal that an agent writes, and the server beside it."""

    folder: Path
    port: int = field(default_factory=free_port)
    anonymous: str = "read"
    looked: Callable[[], Looked] = ready

    def __post_init__(self) -> None:
        self.settings = opcua_settings(self.folder, self.port, anonymous=self.anonymous)
        self.journal = Journal.open(self.settings.store.journal)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/edge-agent"

    @property
    def client(self) -> Identity:
        return own_client(self.folder)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        try:
            async with keep_opcua(self.settings, self._now, BUNDLES):
                await self.listens()
                yield
        finally:
            self.journal.close()

    def _now(self) -> Looked:
        return self.looked()

    async def listens(self) -> None:
        begin = monotonic_s()
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                assert monotonic_s() - begin < _WITHIN_S
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def connected(self, who: Identity | None = None, **login: Any) -> Any:
        """A client of asyncua over the encrypted endpoint; the caller disconnects it."""
        return await connected(self.folder, self.port, who, **login)


async def connected(folder: Path, port: int, who: Identity | None = None, **login: Any) -> Any:
    """The same for a server whose files ``opcua_tables`` made in this folder."""
    from asyncua import Client
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    own = who or own_client(folder)
    client = Client(f"opc.tcp://127.0.0.1:{port}/edge-agent", timeout=20)
    client.application_uri = own.uri
    if login:
        client.set_user(login["user"])
        client.set_password(login["password"])
    server = folder / "pki/server.pem"
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key, server_certificate=server)
    await client.connect()
    return client


def own_client(folder: Path) -> Identity:
    """The client that such a server trusts."""
    return Identity(folder / "pki/client.pem", folder / "pki/client_key.pem", "urn:test:client")


def opcua_processes() -> set[int]:
    """The servers that this process has started."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"edge_agent.opcua" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
    return found
