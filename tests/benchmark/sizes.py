"""How many bytes a part costs: in the journal, on each wire, in the fleet's database, in the store for questions.

Run: ``python -m tests.benchmark.sizes [--parts 120] [--a-second 2] [--kept-parts 20000]``. One line writes parts at
that rate; the fleet's server, MQTT and Sparkplug get them through a way that counts the bytes of both directions,
without what TCP, TLS and Ethernet add. What is kept is counted with more parts, because a file grows by whole pages.
One camera a part. The rows a second that the fleet takes are those of lines that catch up beside its server, on one
machine. docs/plant-sizes.md multiplies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import socketserver
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from drivers.base import Published
from edge_agent.publishing.mqtt import MqttReceiver
from edge_agent.publishing.outbox import Outbox
from edge_agent.settings import MqttSettings
from edge_agent.store.journal import Journal
from edge_agent.store.position import position_file
from edge_agent.warehouse.exporting import Line, export
from edge_agent.warehouse.targets import target_of
from edge_agent.wiring.free_ports import free_port
from tests.benchmark.everyday import write_journal
from tests.fleet import AnyLine, Fleet, sending_rows
from tests.mqtt_broker import Broker5
from tests.publishing import sending, until
from tests.security.web_site import part_row
from tests.simulated.line import FULL_SIZE, good_image
from tests.sparkplug_site import Mosquitto, begun, to

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE_PARTS = 30
"""Seconds for which a line without parts is listened to: what it says of itself costs the same with any rate."""
_CATCH_UP = 4
"""Lines that deliver what an outage left, all at once."""


class _Counting(socketserver.ThreadingTCPServer):
    """A way to a port of this machine that counts what goes through it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Through)
        self.called = port
        self.counted = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Through(socketserver.BaseRequestHandler):
    """One connection, both ways."""

    server: _Counting

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.called)) as called:
            back = threading.Thread(target=self._pump, args=(called, self.request), daemon=True)
            back.start()
            self._pump(self.request, called)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while some := source.recv(65536):
                self.server.counted += len(some)
                sink.sendall(some)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # one of both has gone, and the other one is told by the close


@contextmanager
def _counting(port: int) -> Iterator[_Counting]:
    with _Counting(port) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def _wires(folder: Path, parts: int, a_second: float) -> dict[str, float]:
    """Bytes a part on each wire at this rate, and bytes a second of what a line says of itself to the fleet."""
    fleet, broker = Fleet(folder / "fleet"), Broker5(free_port())
    fleet.folder.mkdir()
    spark = Mosquitto(free_port(), folder)
    with ExitStack() as stack:
        stack.enter_context(fleet.running())
        broker.start()
        stack.callback(broker.stop)
        spark.start()
        stack.callback(spark.stop)
        ways = {name: stack.enter_context(_counting(port)) for name, port in _ports(fleet, broker, spark).items()}
        line = AnyLine(folder / "line", replace(fleet, port=ways["fleet"].port), "Line 1")
        line.fleet = fleet
        line.join()
        state = _of_state(line, ways["fleet"])
        journal = line.settings.store.journal
        Journal.open(journal).close()
        Outbox(journal, "mqtt").next(1)
        begun(journal)
        mqtt = MqttReceiver(MqttSettings(host="127.0.0.1", port=ways["mqtt"].port), "line 1")
        stack.enter_context(sending_rows(line))
        stack.enter_context(sending(Outbox(journal, "mqtt"), mqtt))
        sparkplug = to(replace(spark, port=ways["sparkplug"].port), journal)
        stack.enter_context(sending(Outbox(journal, "sparkplug"), sparkplug))
        until(position_file(journal, "fleet").exists)
        time.sleep(3)  # connected, and what is said once is said
        before = {name: way.counted for name, way in ways.items()}
        asyncio.run(_write(journal, parts, a_second))
        until(lambda: fleet.lines()["Line 1"]["parts"] == parts and len(broker.parts) == parts)
        time.sleep(3)
        return {name: (way.counted - before[name]) / parts for name, way in ways.items()} | {"fleet_state": state}


def _ports(fleet: Fleet, broker: Broker5, spark: Mosquitto) -> dict[str, int]:
    return {"fleet": fleet.port, "mqtt": broker.port, "sparkplug": spark.port}


def _of_state(line: AnyLine, way: _Counting) -> float:
    before = way.counted
    for _ in range(_STATE_PARTS):
        line.tell()
    return (way.counted - before) / _STATE_PARTS


async def _write(path: Path, parts: int, a_second: float) -> None:
    journal, next_at = Journal.open(path), time.monotonic()
    try:
        for seq in range(1, parts + 1):
            next_at += 1 / a_second
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            await journal.append(part_row(seq))
            await journal.publication(seq, Published.PUBLISHED, 100.6)
    finally:
        journal.close()


def _kept(folder: Path, parts: int) -> dict[str, float]:
    """Bytes a part in the journal, in the store and in the fleet's database."""
    journal, store = folder / "kept.sqlite3", folder / "store"
    store.mkdir()
    write_journal(journal, parts)
    export(Line("line", journal, ("06:00", "14:00", "22:00")), target_of(str(store)), begin=True)
    in_store = sum(file.stat().st_size for file in store.rglob("*.parquet"))
    in_fleet, a_second = _in_fleet(folder / "kept-fleet", parts)
    return {
        "journal": journal.stat().st_size / parts,
        "store": in_store / parts,
        "fleet_database": in_fleet,
        "rows_a_second_into_the_fleet": a_second,
    }


def _in_fleet(folder: Path, parts: int) -> tuple[float, float]:
    """Bytes a part in the server's database, and the rows a second that it takes from lines that catch up."""
    fleet = Fleet(folder / "fleet")
    fleet.folder.mkdir(parents=True)
    with fleet.running(), ExitStack() as stack:
        lines = [AnyLine(folder / f"line-{number}", fleet, f"Line {number}") for number in range(1, _CATCH_UP + 1)]
        for line in lines:
            line.join()
            with sending_rows(line):
                line.begins().close()
                until(position_file(line.settings.store.journal, "fleet").exists)
            asyncio.run(_write(line.settings.store.journal, parts // _CATCH_UP, 1e6))
        before, begin = _database_bytes(fleet.folder), time.monotonic()
        for line in lines:
            stack.enter_context(sending_rows(line))
        until(lambda: sum(one["parts"] for one in fleet.lines().values()) >= parts // _CATCH_UP * _CATCH_UP, 900)
        took_s = time.monotonic() - begin
        stack.close()
        assert fleet.stop() == 0
    return (_database_bytes(fleet.folder) - before) / parts, parts / took_s


def _database_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("fleet.sqlite3*"))


def _images() -> dict[str, float]:
    """Bytes of one image of the simulated camera, 1600 x 1200 px, as it comes and as the archive keeps it."""
    image = good_image(1, FULL_SIZE)
    is_made, packed = cv2.imencode(".png", cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED))
    assert is_made
    return {"bmp": len(image), "png": len(packed)}


def main() -> None:
    """Measure, and print what was measured as JSON."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("--parts", type=int, default=120)
    asks.add_argument("--a-second", type=float, default=2.0)
    asks.add_argument("--kept-parts", type=int, default=20_000)
    asked = asks.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found["on the wire, bytes a part"] = _rounded(_wires(Path(folder), asked.parts, asked.a_second))
        found["kept, bytes a part, and how fast"] = _rounded(_kept(Path(folder), asked.kept_parts))
    found["an image of 1600 x 1200 px, bytes"] = _rounded(_images())
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def _rounded(found: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in found.items()}


if __name__ == "__main__":
    main()
