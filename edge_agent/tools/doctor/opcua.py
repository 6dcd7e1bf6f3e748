"""The OPC UA server: its library, its certificate, who may come in."""

from __future__ import annotations

from edge_agent.errors import EdgeAgentError
from edge_agent.opcua.certificates import expires_soon, own_certificate, trusted_clients
from edge_agent.opcua.library import need_library
from edge_agent.settings import read_password
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

__all__ = ["opcua_server"]


def opcua_server(site: Site) -> Finding:
    """Whether it can start, and whether anybody could read. Without it the line works."""
    settings = site.settings.opcua
    if settings is None:
        return ok("line.toml has no [opcua]")
    try:
        need_library()
        own = own_certificate(settings)
        clients = trusted_clients(settings.trusted_clients)
        for user in settings.user:
            read_password(user.password_file)
    except EdgeAgentError as err:
        return fail(str(err), err.hint)
    if expires_soon(own):
        return warn(
            f"{settings.certificate_file} expires on {own.ends:%Y-%m-%d %H:%M} UTC",
            "make a new one (docs/opcua.md), give it to the clients, and start the agent again",
        )
    if not clients:
        return warn(
            f"{settings.trusted_clients} holds no certificate that is valid today: no client can connect",
            "put the certificate of each client into it, PEM or DER",
        )
    return ok(f"{own.uri}, {len(clients)} trusted client(s), {len(settings.user)} user(s)")
