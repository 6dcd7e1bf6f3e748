"""Sparkplug B to a real broker: births, deaths, sequence, rebirth, history; read by another library than wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_agent.publishing.outbox import Outbox
from edge_agent.wiring.free_ports import free_port
from tests.publishing import Written, drained, sending, until
from tests.sparkplug_site import GROUP, NODE, Host, Mosquitto, begun, in_order, to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    journal = Written(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    at = Mosquitto(free_port(), tmp_path)
    at.start()
    yield at
    at.stop()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 0.2)
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._PAUSE_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._PAUSE_CAP_S", 0.2)


def test_births_come_first_then_history_then_what_happens(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    written.event("CHALLENGE")
    written.parts(1, 5)
    host = Host(broker.port)
    with host.listening():
        with sending(outbox, to(broker, written.path)):
            until(lambda: 5 in host.parts)
            written.parts(6, 8)
            written.event("BUNDLE")
            until(lambda: 8 in host.parts and len(host.of("NDATA")) == 2)
        until(lambda: "NDEATH" in host.kinds)

    assert host.kinds[:2] == ["NBIRTH", "DBIRTH"]
    assert host.kinds[-1] == "NDEATH"
    assert host.parts == list(range(1, 9))
    assert [message.is_historical for message in host.of("DDATA")] == [True] * 5 + [False] * 3
    assert [message.is_historical for message in host.of("NDATA")] == [True, False]
    in_order(host.messages)
    assert drained(Outbox(written.path, "sparkplug")) == []
    assert {message.topic for message in host.messages} == {
        f"spBv1.0/{GROUP}/{kind}/{NODE}{'/inspection' if kind[0] == 'D' else ''}"
        for kind in ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA")
    }
