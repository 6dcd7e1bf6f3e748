"""The fleet's server: whether it is reached and proven, knows this line, and goes by the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.errors import ConfigError
from edge_agent.fleet_line.messages import Known
from edge_agent.fleet_line.secret import read_secret, secret_file
from edge_agent.fleet_line.server import FleetServer, NotAnswered, NotTrusted
from edge_agent.publishing.tls import TlsFiles, certificate_times, expires_soon
from edge_agent.settings.addresses import address_of
from edge_agent.store.receivers import receiver_status
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

if TYPE_CHECKING:
    from edge_agent.settings import FleetSettings, Settings

__all__ = ["fleet_server"]

_CLOCK_OFF_S = 5.0
_SOON = timedelta(days=30)
_UNKNOWN, _NO_SUCH_ADDRESS, _TOO_MANY = 401, 404, 429
_INVITE_AGAIN = "at the server: edge-agent fleet invite LINE; then here: edge-agent fleet join INVITATION"


async def fleet_server(site: Site) -> Finding:
    """Ask it as the line does, which changes nothing there. Without it the line works."""
    fleet = site.settings.fleet
    if fleet is None:
        return ok("line.toml has no [fleet]")
    return await asyncio.to_thread(_asked, site.settings, fleet)


def _asked(settings: Settings, fleet: FleetSettings) -> Finding:
    server = FleetServer(fleet)
    try:
        ends = _ends(server, fleet)
        secret = read_secret(secret_file(settings))
        begin = datetime.now(UTC)
        known = server.get("/line/known", Known, secret=secret)
        took = datetime.now(UTC) - begin
    except ConfigError as err:
        return fail(str(err), err.hint or "run the doctor as the agent's user")
    except NotTrusted as err:
        return fail(
            str(err), "ca_file in [fleet] names who made its certificate, and url a name in it; or is a clock wrong?"
        )
    except NotAnswered as err:
        return _not_answered(err)
    off_s = _off_s(known, begin + took / 2)
    if off_s is None or abs(off_s) > _CLOCK_OFF_S:
        words = (
            "tells no time" if off_s is None else f"is {abs(off_s):.0f} s {'behind' if off_s > 0 else 'ahead of'} it"
        )
        return warn(f"{server.url}: this PC's clock {words}", "let this PC and the server follow one time server")
    if ends:
        return warn("; ".join(ends), "have it renewed: from then on this line tells the server nothing")
    if not _is_private(fleet):
        return warn(
            f"{fleet.url}: this line's secret can be read on that network", "https, and a certificate for the server"
        )
    return _rows(settings, f'{server.url} knows this line as "{known.line}"; follow = "{fleet.follow}"')


def _not_answered(err: NotAnswered) -> Finding:
    if err.code == _UNKNOWN:
        return fail(f"{err}: it was forgotten there, or has joined a second time from another PC", _INVITE_AGAIN)
    if err.code == _NO_SUCH_ADDRESS:
        return fail(str(err), "is url in [fleet] the fleet's address, and its edge-agent as new as this one?")
    if err.code == _TOO_MANY:
        return warn(str(err), "does another PC run with a copy of this line's secret? Else try again in a minute")
    return warn(
        f"{err}. The line goes on, and what it has to say waits in its journal",
        "does edge-agent-fleet run there, is url in [fleet] its address, and do firewalls let this PC reach it?",
    )


def _ends(server: FleetServer, fleet: FleetSettings) -> list[str]:
    """What ends within thirty days, in words. Raises ConfigError, NotAnswered."""
    found = expires_soon(TlsFiles(fleet.ca_file, None, None))
    shown = server.certificate()
    if shown is not None and (end := certificate_times(shown)[1]) - datetime.now(UTC) < _SOON:
        found.append(f"the certificate of {server.url} expires on {end:%Y-%m-%d %H:%M} UTC")
    return found


def _off_s(known: Known, at: datetime) -> float | None:
    """How far the server's clock is ahead of this PC's, in s; None for what is no time."""
    try:
        return (datetime.fromisoformat(known.at_utc) - at).total_seconds()
    except (ValueError, TypeError):
        return None


def _is_private(fleet: FleetSettings) -> bool:
    parts = urlsplit(fleet.url)
    address = address_of(parts.hostname or "")
    return parts.scheme == "https" or parts.hostname == "localhost" or (address is not None and address.is_loopback)


def _rows(settings: Settings, said: str) -> Finding:
    stands = receiver_status(settings.store.journal, "fleet")
    if stands.degraded:
        return warn(f"{said}; {stands.degraded}", "edge-agent results list says which and why")
    waiting = "nothing was sent yet" if stands.waiting is None else f"{stands.waiting} rows wait"
    return ok(f"{said}; {waiting}")
