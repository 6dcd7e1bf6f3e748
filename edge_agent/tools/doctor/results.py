"""Receivers of results: their certificates, what waits for them, what they will not take."""

from __future__ import annotations

from edge_agent.errors import ConfigError, Unavailable
from edge_agent.publishing.mqtt_link import mqtt_library
from edge_agent.publishing.sparkplug.payload import payload_library
from edge_agent.publishing.tls import TlsFiles, client_context, expires_soon
from edge_agent.store.receivers import receiver_statuses
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

__all__ = ["results_certificates", "results_delivered", "results_libraries"]


def results_certificates(site: Site) -> Finding:
    """Files of TLS are there, belong together and are valid."""
    ends: list[str] = []
    named = 0
    for table in (site.settings.mqtt, site.settings.sparkplug, site.settings.webhook):
        if table is None:
            continue
        files = TlsFiles(table.ca_file, table.certificate_file, table.key_file)
        named += files != TlsFiles()
        try:
            client_context(files)
            ends += expires_soon(files)
        except ConfigError as err:
            return fail(str(err), err.hint)
    if ends:
        return warn("; ".join(ends), "have it renewed: from then on no result is delivered")
    return ok("certificates and keys are valid and belong together" if named else "no certificate is named")


def results_libraries(site: Site) -> Finding:
    """The extras that receivers need are installed."""
    named = {name for name, table in (("mqtt", site.settings.mqtt), ("sparkplug", site.settings.sparkplug)) if table}
    try:
        for name in sorted(named):
            mqtt_library(name)
        if "sparkplug" in named:
            payload_library()
    except Unavailable as err:
        return fail(str(err), err.hint)
    return ok("what receivers of results need is installed" if named else "no receiver needs a library")


def results_delivered(site: Site) -> Finding:
    """What waits for a receiver, and what it did not get."""
    seen = receiver_statuses(site.settings)
    if not seen:
        return ok("no receiver of results is named")
    if degraded := [stands.degraded for stands in seen if stands.degraded]:
        return warn("; ".join(degraded), "edge-agent results list says which and why; results again sends them again")
    return ok("; ".join(f"{stands.receiver}: {_waiting(stands.waiting)}" for stands in seen))


def _waiting(rows: int | None) -> str:
    return "nothing was sent yet" if rows is None else f"{rows} rows wait"
