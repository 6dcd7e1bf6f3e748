"""The PC: memory, processor, clock, limits of the kernel, the service manager, Python and its libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from edge_agent.errors import EdgeAgentError
from edge_agent.store.journal import JournalReader, NoJournalYet
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

__all__ = [
    "clock_steady",
    "clock_synchronised",
    "cpu_count",
    "cpu_governor",
    "inotify",
    "libraries",
    "memory",
    "python",
    "swap",
    "systemd_watchdog",
    "time_zone",
]

_MIB = 1024
_MEMORY_FAIL_MIB, _MEMORY_WARN_MIB, _SWAP_WARN_MIB = 400, 1024, 256
_QUEUED_EVENTS, _WATCHES = 16_384, 8_192
_AHEAD_S = 60.0


def memory(site: Site) -> Finding:
    """Room for the networks and the bank."""
    free = _meminfo(site).get("MemAvailable")
    if free is None:
        return warn("/proc/meminfo does not say how much memory is free", "look with free -m: 1 GiB should be")
    said = f"{free // _MIB} MiB available"
    if free < _MEMORY_FAIL_MIB * _MIB:
        return fail(said, f"end other programs, or add memory: {_MEMORY_FAIL_MIB} MiB are the least")
    if free < _MEMORY_WARN_MIB * _MIB:
        return warn(said, f"{_MEMORY_WARN_MIB} MiB leave room for a report beside the line")
    return ok(said)


def swap(site: Site) -> Finding:
    """A process that waits for a disk judges late."""
    info = _meminfo(site)
    used = info.get("SwapTotal", 0) - info.get("SwapFree", 0)
    said = f"{used // _MIB} of {info.get('SwapTotal', 0) // _MIB} MiB of swap in use"
    if used > _SWAP_WARN_MIB * _MIB:
        return warn(said, "find what needs so much memory, or switch swap off: a swapped agent judges late")
    return ok(said)


def cpu_count(site: Site) -> Finding:
    """One core is for everything that is not inference."""
    cores, threads = os.cpu_count() or 1, site.settings.inference.threads
    if threads is None:
        return ok(f"{cores} core(s), inference.threads is left out: the quickest number is found at every start")
    said = f"{cores} core(s), inference.threads = {threads}"
    if threads > cores:
        return fail(said, f"leave inference.threads out, or set it to {max(1, cores - 1)}")
    if threads == cores:
        return warn(said, f"leave inference.threads out, or set it to {max(1, cores - 1)}: the links need a core too")
    return ok(said)


def cpu_governor(site: Site) -> Finding:
    """A processor that sleeps between parts is slow at each of them."""
    governor = site.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor is None:
        return ok("the kernel does not scale this processor's clock")
    if governor == "performance":
        return ok("performance")
    return warn(governor, "cpupower frequency-set --governor performance: times vary less")


def inotify(site: Site) -> Finding:
    """Notifications of a watched folder; the rescan finds what they miss, later."""
    if site.settings.images.folder is None:
        return ok("no folder is watched")
    limits = {name: site.text(f"proc/sys/fs/inotify/{name}") for name in ("max_queued_events", "max_user_watches")}
    said = ", ".join(f"{name} = {value}" for name, value in limits.items())
    least = {"max_queued_events": _QUEUED_EVENTS, "max_user_watches": _WATCHES}
    low = [name for name, value in limits.items() if value is None or int(value) < least[name]]
    if low:
        return warn(said, "; ".join(f"sysctl fs.inotify.{name}={least[name]}" for name in low))
    return ok(said)


def clock_synchronised(_site: Site) -> Finding:
    """The journal's times are for people; nothing is judged by them."""
    answer = _ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if answer == "yes":
        return ok("synchronised over NTP")
    said = "not synchronised" if answer == "no" else "nobody here says whether the clock is synchronised"
    return warn(said, "timedatectl set-ntp true, with a time server that this network reaches")


def clock_steady(site: Site) -> Finding:
    """A clock that was put back gives two parts the same time of day."""
    path, now = site.settings.store.journal, datetime.now(UTC)
    try:
        with JournalReader.open(path) as journal:
            events = journal.events()
    except NoJournalYet:
        return ok(f"{now:%Y-%m-%d %H:%M:%S} UTC, no journal to compare with yet")
    except (EdgeAgentError, OSError) as err:
        return warn(f"the journal cannot be asked: {err}", "see the check journal_integrity")
    if events and (ahead_s := (datetime.fromisoformat(events[-1].at_utc) - now).total_seconds()) > _AHEAD_S:
        return fail(
            f"the journal's last event is {ahead_s:.0f} s in the future: the clock was put back",
            "set the clock right before parts are judged: an auditor could not tell which came first",
        )
    return ok(f"{now:%Y-%m-%d %H:%M:%S} UTC, not before the journal's last event")


def time_zone(site: Site) -> Finding:
    """For the times on the operator's page and in reports."""
    place = site.root / "etc/localtime"
    if not place.exists():
        return warn("/etc/localtime is missing: times are shown in UTC", "timedatectl set-timezone REGION/CITY")
    return ok(os.fspath(place.readlink()).rpartition("zoneinfo/")[2] if place.is_symlink() else "/etc/localtime")


def systemd_watchdog(_site: Site) -> Finding:
    """A hung agent is started again."""
    own = os.environ.get("WATCHDOG_USEC")
    answer = own or _ask("systemctl", "show", "edge-agent.service", "--property=WatchdogUSec", "--value")
    if answer in ("", "0", "infinity"):
        return warn("systemd watches no edge-agent.service here", "install deploy/edge-agent.service (WatchdogSec=2)")
    return ok(f"WatchdogSec is {answer}{' us' if own else ''}")


def python(_site: Site) -> Finding:
    """The version that this release is tested with."""
    said = f"Python {sys.version.split()[0]} at {sys.executable}"
    if sys.prefix == sys.base_prefix:
        return warn(said, "install into a virtual environment of its own: drivers and calibration are generic names")
    return ok(said)


def libraries(site: Site) -> Finding:
    """The libraries that calibrated against those that will judge; the golden values are the proof."""
    different = set()
    for _, bundle in site.bundles:
        for name, then in bundle.manifest["versions"].items():
            try:
                now = version(name)
            except PackageNotFoundError:
                continue  # onnx and torch calibrate; they do not judge
            if then not in (now, "not installed"):
                different.add(f"{name} {then} then, {now} now")
    if different:
        return warn("; ".join(sorted(different)), "fine while bundle_warm is ok; else install the versions of then")
    return ok("as at calibration" if site.bundles else "no bundle to compare with")


def _meminfo(site: Site) -> dict[str, int]:
    """/proc/meminfo in KiB."""
    lines = (site.text("proc/meminfo") or "").splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.split()}


def _ask(program: str, *args: str) -> str:
    """What a program of the system says; empty where it is not there or fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        ran = subprocess.run(  # noqa: S603 - our own words
            [path, *args], capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
