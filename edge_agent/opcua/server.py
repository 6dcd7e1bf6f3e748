"""The server: certificate, endpoints, who may come in, and the address space. Made whole, then opened to clients."""

from __future__ import annotations

import errno
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from asyncua import Server, ua

from edge_agent.errors import Unavailable
from edge_agent.opcua.certificates import own_certificate, trusted_clients
from edge_agent.opcua.guard import LIMITS, Gate, GuardedBinary, GuardedServer, LinesAMinute, ReadOnly
from edge_agent.opcua.space import Space
from edge_agent.runtime.claim import address_to_listen_at
from edge_agent.runtime.holders import listener_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.opcua.hello import Hello

__all__ = ["open_server", "quiet_library"]

_POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


class _Opened(Server):
    """The library's server, on a socket whose clients are guarded."""

    async def start(self) -> None:
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = GuardedBinary(self.iserver, host, port, self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            await self.iserver.stop()
            raise


class _FewLines(logging.Filter):
    """The library logs what strangers send it, with the whole traceback: a few lines a minute without it are enough."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = LinesAMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("asyncua"):
            return True
        record.exc_info = record.exc_text = None
        return self._lines.take()


def quiet_library() -> None:
    """Bound what the library writes into the log, whatever clients do. Once, after the logs are set up."""
    few = _FewLines()
    for handler in logging.getLogger().handlers:
        handler.addFilter(few)


@asynccontextmanager
async def open_server(hello: Hello) -> AsyncIterator[Space]:
    """The server while the block runs, and its address space to write to.

    Raises ConfigError for files that line.toml names, Unavailable where it cannot listen.
    """
    settings = hello.settings.opcua
    assert settings is not None  # noqa: S101 - the agent starts no server without the table
    own = own_certificate(settings)
    trusted_clients(settings.trusted_clients)
    server: Any = _Opened(iserver=GuardedServer(Gate(settings)))
    server.name = f"edge-agent {hello.settings.line.name}"
    server.manufacturer_name, server.product_uri = "edge-agent", "urn:edge-agent"
    server.application_type = ua.ApplicationType.Server
    server.limits = LIMITS
    await server.init()
    await server.set_application_uri(own.uri)
    release = version("edge-agent")
    await server.set_build_info("urn:edge-agent", "edge-agent", server.name, release, "0", datetime.now(UTC))
    await server.load_certificate(own.certificate)
    await server.load_private_key(own.key)
    server.set_security_policy(_POLICIES, ReadOnly())
    anonymous = [ua.AnonymousIdentityToken] if settings.anonymous == "read" else []
    server.set_identity_tokens([*anonymous, *([ua.UserNameIdentityToken] if settings.user else [])])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.set_endpoint(f"opc.tcp://{host}:{settings.port}/edge-agent")
    space = await Space.made(server, hello)
    try:
        await server.start()
    except OSError as err:
        where = f"{settings.host}:{settings.port}"
        is_taken = err.errno == errno.EADDRINUSE
        other = listener_at(address_to_listen_at(settings.host, settings.port), settings.port) if is_taken else None
        by = "" if other is None else f", by {other}"
        why = "it is in use" if is_taken else err.strerror or str(err)
        raise Unavailable(
            f"{where} cannot be listened on: {why}{by}",
            hint="another program has that port, or this PC has not that address: see [opcua] in line.toml",
        ) from err
    try:
        yield space
    finally:
        await server.stop()
