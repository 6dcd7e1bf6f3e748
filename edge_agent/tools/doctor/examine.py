"""All checks in their order, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.tools.doctor import (
    bundles,
    fleet,
    machine,
    opcua,
    owners,
    peers,
    people,
    places,
    results,
    room,
    samples,
)
from edge_agent.tools.doctor.addresses import addresses
from edge_agent.tools.doctor.finding import Check, Finding, Result, Site, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CHECKS", "Examination", "examine"]


def _configuration(site: Site) -> Finding:
    """It loaded, or there would be no site."""
    return ok(f"{site.config}: {site.settings.line.name}, {len(site.settings.bundle)} bundle(s)")


CHECKS: tuple[Check, ...] = (
    Check("configuration", "line.toml loads, and its times fit", _configuration, gates=True),
    Check("config_permissions", "who may change line.toml", places.config_permissions, gates=True),
    Check("secret_permissions", "who may read passwords and keys", places.secret_permissions, gates=True),
    Check("agent_reads", "the agent's user reads what it needs", owners.agent_reads, gates=True),
    Check("agent", "the agent that runs", peers.agent),
    Check("bundle_verified", "every bundle is whole and for its place", bundles.bundle_verified, gates=True),
    Check("bundle_warm", "this PC computes what the calibrating one did", bundles.bundle_warm, gates=True),
    Check("inference_time", "an image is judged by the deadline", bundles.inference_time, gates=True),
    Check("challenge_age", "seeded reject samples were rejected", samples.challenge_age),
    Check("libraries", "the libraries of the calibration", machine.libraries),
    Check("addresses", "controller and output are other devices", addresses, gates=True),
    Check("controller", "the controller answers", peers.controller, gates=True),
    Check("controller_mode", "the controller is in run mode", peers.controller_mode, gates=True),
    Check("controller_program", "its program has a bundle", peers.controller_program, gates=True),
    Check("serial_line", "serial ports are there, by a name that stays", peers.serial_line, gates=True),
    Check("output", "REJECT is written and read back", peers.output, gates=True),
    Check("output_watchdog", "the remote I/O drops PASS by itself", peers.output_watchdog, gates=True),
    Check("ftp_port", "the FTP port is free, or the agent's", peers.ftp_port, gates=True),
    Check("page_ports", "the ports of the page are free, or the agent's", peers.page_ports, gates=True),
    Check("ftp_senders", "images come from one controller alone", peers.ftp_senders, gates=True),
    Check("ftp_passive", "an upload in passive mode", peers.ftp_passive, gates=True),
    Check("ftp_active", "an upload in active mode", peers.ftp_active, gates=True),
    Check("state_permissions", "the agent writes its folders, nobody else", places.state_permissions, gates=True),
    Check("state_owners", "the state belongs to the agent's user", owners.state_owners, gates=True),
    Check("journal_integrity", "the journal is whole", places.journal_integrity, gates=True),
    Check("archive_writable", "the archive takes a file", places.archive_writable, gates=True),
    Check("disk_space", "room for journal, spool and archive", room.disk_space, gates=True),
    Check("archive_limit", "the archive's limit fits its disk", room.archive_limit),
    Check("archive_reach", "how far back images are there", room.archive_reach),
    Check("disk_speed", "a durable write is fast", places.disk_speed),
    Check("file_system", "the disks are in this PC", places.file_system, gates=True),
    Check("results_libraries", "what receivers of results need is installed", results.results_libraries),
    Check("results_certificates", "certificates for receivers of results", results.results_certificates),
    Check("results_delivered", "receivers get every result", results.results_delivered),
    Check("opcua_server", "the OPC UA server can start, and clients are trusted", opcua.opcua_server),
    Check("fleet_server", "the fleet's server is reached, and knows this line", fleet.fleet_server),
    Check("users", "the users can sign, and nobody overhears them", people.users),
    Check("inotify", "limits of folder notifications", machine.inotify),
    Check("memory", "memory is free", machine.memory, gates=True),
    Check("swap", "nothing is swapped out", machine.swap),
    Check("cpu_count", "a core is left for the links", machine.cpu_count),
    Check("cpu_governor", "the processor's clock is steady", machine.cpu_governor),
    Check("clock_synchronised", "the clock follows a time server", machine.clock_synchronised),
    Check("clock_steady", "the clock was not put back", machine.clock_steady, gates=True),
    Check("time_zone", "the time zone is set", machine.time_zone),
    Check("systemd_watchdog", "systemd starts a hung agent again", machine.systemd_watchdog),
    Check("python", "Python, in an environment of its own", machine.python),
)
"""Order matters: ``agent`` before the peers, ``bundle_verified`` before what uses the bundles."""


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of the doctor in their order, each with what it found."""

    findings: tuple[tuple[Check, Finding], ...]

    @property
    def is_fit(self) -> bool:
        """Whether no check failed; warnings do not count."""
        return all(finding.result is not Result.FAIL for _, finding in self.findings)

    def to_json(self) -> dict[str, object]:
        """The ``--json`` object; ``ready`` is False while a check fails that the line's READY hangs on."""
        return {
            "schema_version": 1,
            "ok": self.is_fit,
            "ready": all(not check.gates or found.result is not Result.FAIL for check, found in self.findings),
            "checks": [
                {
                    "id": check.id,
                    "title": check.title,
                    "gates_ready": check.gates,
                    "result": found.result,
                    "evidence": found.evidence,
                    "fix": found.fix,
                }
                for check, found in self.findings
            ],
        }

    def lines(self) -> list[str]:
        """For a person: what is wrong has what to do below it."""
        lines = []
        for check, found in self.findings:
            lines.append(f"{found.result:<4}  {check.id:<20} {found.evidence}")
            if found.fix:
                lines.append(f"      {'':<20} -> {found.fix}")
        counts = {result: sum(found.result is result for _, found in self.findings) for result in Result}
        return [*lines, ", ".join(f"{number} {result}" for result, number in counts.items())]


async def examine(
    site: Site, progress: Callable[[str, int, int], None], checks: Sequence[Check] = CHECKS
) -> Examination:
    """Run the checks in their order. Nothing is driven but REJECT, nothing is kept."""
    findings = []
    for done, check in enumerate(checks):
        progress("examine", done, len(checks))
        found = check.look(site)
        findings.append((check, found if isinstance(found, Finding) else await found))
    progress("examine", len(checks), len(checks))
    return Examination(tuple(findings))
