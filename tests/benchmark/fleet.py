"""Fifty lines and one fleet on this machine: is a row missing, how old is the page, does a worse bundle get through.

The parts are made up; journal, queue, POSTs, server and page are the real ones. Each line writes its journal as an
agent does, ten lines in a process. What a line says of a candidate is made up out of its own parts.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.base import Published, Reason, Verdict
from edge_agent.errors import EdgeAgentError
from edge_agent.fleet.database import open_database
from edge_agent.fleet.promoting import Wish, begin, promotions
from edge_agent.fleet.serving import wall_key
from edge_agent.fleet_line.messages import JudgingBundle, KnownParts, ShadowCounts
from edge_agent.fleet_line.process import send_rows
from edge_agent.store.journal import Journal
from edge_agent.store.position import position_file
from tests.fleet import AnyLine, Fleet
from tests.publishing import until
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from edge_agent.fleet_line.messages import Offer

_IN_PROCESSES = 5
_OLD, _GOOD, _WORSE = "0" * 64, "1" * 64, "2" * 64
_REJECTS = {_OLD: 0.01, _GOOD: 0.01, _WORSE: 0.15}
"""The share of parts that each bundle rejects."""


@dataclass
class _Line:
    """One line: its parts, and what it makes of an offer."""

    at: AnyLine
    number: int
    judging: str = _OLD
    beside: str = ""
    shadow_parts: int = 0
    shadow_rejects: int = 0
    written: list[float] = field(default_factory=list)

    async def work(self, stop: Event, a_second: float) -> None:
        """Write parts at that rate until told to stop."""
        draw = random.Random(self.number)
        journal = Journal.open(self.at.settings.store.journal)
        sending_stop = threading.Event()
        sending = threading.Thread(target=self._send, args=(sending_stop,))
        telling = threading.Thread(target=self._tell, args=(sending_stop,))
        sending.start()
        telling.start()
        position = position_file(self.at.settings.store.journal, "fleet")
        while not position.exists():
            await asyncio.sleep(0.05)
        next_at = time.monotonic() + draw.random() / a_second
        try:
            while not stop.is_set():
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))
                next_at += 1 / a_second
                await self._part(journal, draw)
        finally:
            await asyncio.to_thread(self._deliver_all, sending_stop, sending, telling)
            journal.close()

    async def _part(self, journal: Journal, draw: random.Random) -> None:
        seq, is_rejected = len(self.written) + 1, draw.random() < _REJECTS[self.judging]
        changes: dict[str, Any] = {"verdict": Verdict.REJECT, "reason": Reason.SCORE} if is_rejected else {}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        await journal.append(part_row(seq, decided_utc=now, bundle_id=self.judging, **changes))
        await journal.publication(seq, Published.PUBLISHED, 100.6)
        self.written.append(time.time())
        if self.beside:
            self.shadow_parts += 1
            self.shadow_rejects += draw.random() < _REJECTS[self.beside]

    def _deliver_all(self, stop: threading.Event, *threads: threading.Thread) -> None:
        time.sleep(4)  # what the queue has read by now; the rest is counted as missing
        stop.set()
        for thread in threads:
            thread.join(30)

    def _send(self, stop: threading.Event) -> None:
        """As the line's process does, which is begun again where it ends: as while this Python is installed into."""
        while not stop.is_set():
            with suppress(PackageNotFoundError):
                send_rows(stop, self.at.settings, self.at.at_fleet)

    def _tell(self, stop: threading.Event) -> None:
        while not stop.wait(1.0):
            places = (JudgingBundle(program=3, camera=1, bundle_id=self.judging, chosen_id=self.judging),)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            with suppress(EdgeAgentError, PackageNotFoundError):  # it is told again in a second
                self._follow(self.at.tell(at_utc=now, bundles=places, shadow=self._shadow()).offers)

    def _shadow(self) -> ShadowCounts | None:
        if not self.beside:
            return None
        none = KnownParts(of=0, wrong=0, wrong_before=0)
        return ShadowCounts(
            bundle_id=self.beside,
            program=3,
            camera=1,
            parts=self.shadow_parts,
            to_reject=self.shadow_rejects,
            to_pass=0,
            not_comparable=0,
            good=none,
            bad=none,
        )

    def _follow(self, offers: tuple[Offer, ...]) -> None:
        for offer in offers:
            if offer.stage == "shadow" and self.beside != offer.bundle_id:
                self.beside, self.shadow_parts, self.shadow_rejects = offer.bundle_id, 0, 0
            elif offer.stage == "activate":
                self.beside, self.judging = "", offer.bundle_id
            elif offer.stage == "withdrawn" and offer.bundle_id in (self.beside, self.judging):
                self.beside, self.judging = "", _OLD


def _some_lines(folder: Path, fleet: Fleet, secrets: dict[int, str], a_second: float, stop: Event) -> None:
    """The work of one process: its lines, then what they wrote and when."""
    lines = []
    for number, secret in secrets.items():
        at = AnyLine(folder / f"line-{number}", fleet, f"Line {number}")
        at.secret = secret
        lines.append(_Line(at, number))

    async def work() -> None:
        await asyncio.gather(*(line.work(stop, a_second) for line in lines))

    asyncio.run(work())
    for line in lines:
        (line.at.settings.store.journal.parent / "written.json").write_text(json.dumps(line.written))


def _watch(fleet: Fleet, stop: threading.Event, seen: dict[str, list[tuple[float, int]]]) -> None:
    """As a browser does: when the page has shown how many parts of each line."""
    connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=30)
    connection.request("GET", "/events", headers={"Authorization": f"Bearer {wall_key(fleet.folder)}"})
    answer = connection.getresponse()
    while not stop.is_set() and (line := answer.readline()):
        if line.startswith(b"data: "):
            now = time.time()
            for tile in json.loads(line[6:]).get("lines", []):
                seen.setdefault(tile["line"], []).append((now, int(tile["parts"])))
    connection.close()


def _ages(written: list[float], shown: list[tuple[float, int]]) -> list[float]:
    """Of each part, the seconds from its row to the page that counts it; infinite where none does."""
    found, at = [], 0
    for number, when in enumerate(written, 1):
        while at < len(shown) and shown[at][1] < number:
            at += 1
        found.append(shown[at][0] - when if at < len(shown) else float("inf"))
    return found


def _promote(fleet: Fleet, lines: int, minutes: float, said: list[str]) -> None:
    """First one that rejects 15 times as many, then a good one; what became of each, in words."""
    ends, engine = time.monotonic() + 60 * minutes, open_database(fleet.folder)
    until(lambda: bool(fleet.lines()[f"Line {lines}"]["bundles"]), 60)
    try:
        for name, bundle in (("the worse one", _WORSE), ("the good one", _GOOD)):
            begun = time.monotonic()
            with engine.begin() as connection:
                number = begin(connection, Wish(bundle, "zipper", 3, 1, f"Line {lines}", True), by="bench", why="")
            told = ""
            while time.monotonic() < ends and told not in ("stopped", "done"):
                time.sleep(1)
                with engine.connect().execution_options(reads=True) as connection:
                    found = next(one for one in promotions(connection) if one.promotion_id == number)
                told = found.status
            took = time.monotonic() - begun
            said.append(f"{name}: {found.status} at stage {found.stage} after {took:.0f} s: {found.words}")
    finally:
        engine.dispose()


def main() -> None:
    """Run it and print the figures."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--lines", type=int, default=50)
    asks.add_argument("--rate", type=float, default=2.0, help="parts a second of each line")
    asks.add_argument("--minutes", type=float, default=10.0)
    wanted = asks.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-fleet-"))
    try:
        _run(folder, wanted.lines, wanted.rate, wanted.minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, number: int, rate: float, minutes: float) -> None:
    fleet = Fleet(folder / "fleet")
    secrets = _joined(folder, fleet, number)
    with fleet.running():
        stop, watched, seen, said = multiprocessing.Event(), threading.Event(), {}, []
        watching = threading.Thread(target=_watch, args=(fleet, watched, seen))
        watching.start()
        shares = [dict(list(secrets.items())[at::_IN_PROCESSES]) for at in range(_IN_PROCESSES)]
        workers = [
            multiprocessing.Process(target=_some_lines, args=(folder, fleet_without(fleet), share, rate, stop))
            for share in shares
            if share
        ]
        for worker in workers:
            worker.start()
        until(lambda: len(fleet.lines()) == number, 120)
        begun, server = time.monotonic(), fleet.process.pid if fleet.process else 0
        of_server, of_lines = _cpu_s(server), sum(_cpu_s(worker.pid or 0) for worker in workers)
        promoting = threading.Thread(target=_promote, args=(fleet, number, minutes, said))
        promoting.start()
        time.sleep(60 * minutes)
        of_server, of_lines = _cpu_s(server) - of_server, sum(_cpu_s(one.pid or 0) for one in workers) - of_lines
        stop.set()
        for worker in workers:
            worker.join(120)
        took = time.monotonic() - begun
        promoting.join(30)
        watched.set()
        watching.join(30)
        size = (fleet.folder / "fleet.sqlite3").stat().st_size
    _tell(folder, fleet, number, seen, took)
    cores = f"{of_server / 60 / minutes:.2f} of a core for the server, {of_lines / 60 / minutes:.2f} for all lines"
    print(f"{cores}; the server's database: {size / 1e6:.0f} MB")  # noqa: T201
    print("\n".join(said))  # noqa: T201


def _cpu_s(pid: int) -> float:
    """The processor's time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fleet_without(fleet: Fleet) -> Fleet:
    """The same server, for another process: it does not own it."""
    return Fleet(fleet.folder, fleet.port)


def _joined(folder: Path, fleet: Fleet, number: int) -> dict[int, str]:
    """All lines join while the server runs for the first time."""
    secrets = {}
    with fleet.running():
        for one in range(1, number + 1):
            line = AnyLine(folder / f"line-{one}", fleet, f"Line {one}")
            line.join()
            secrets[one] = line.secret
    return secrets


def _tell(folder: Path, fleet: Fleet, number: int, seen: dict[str, list[tuple[float, int]]], took_s: float) -> None:
    with closing(sqlite3.connect(fleet.folder / "fleet.sqlite3")) as database:
        query = "SELECT name, count(*), count(DISTINCT part_seq) FROM part JOIN line USING (line_id) GROUP BY name"
        stored = {str(name): (int(rows), int(parts)) for name, rows, parts in database.execute(query)}
    written = {
        f"Line {one}": json.loads((folder / f"line-{one}" / "written.json").read_text()) for one in range(1, number + 1)
    }
    missing = sum(len(times) - stored.get(name, (0, 0))[1] for name, times in written.items())
    twice = sum(rows - parts for rows, parts in stored.values())
    parts = sum(map(len, written.values()))
    ages = sorted(age for name, times in written.items() for age in _ages(times, seen.get(name, [])))
    at = [ages[int(share * (len(ages) - 1))] for share in (0.5, 0.95, 0.99, 1.0)]
    told = (
        f"{number} lines, {parts} parts in {took_s:.0f} s ({parts / took_s:.0f} a second)",
        f"rows missing: {missing}; rows twice: {twice}",
        "from the row to the page: p50 {:.2f} s, p95 {:.2f} s, p99 {:.2f} s, most {:.2f} s".format(*at),
        f"shown within 1 s: {sum(age <= 1.0 for age in ages) / len(ages):.3%}",
    )
    print("\n".join(told))  # noqa: T201


if __name__ == "__main__":
    main()
