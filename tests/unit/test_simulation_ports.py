"""Ports of simulated peers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from edge_agent.wiring import free_ports
from edge_agent.wiring.free_ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_no_port_is_given_twice_though_nobody_listens_on_it_yet() -> None:
    ports = [free_port() for _ in range(200)]

    assert len(set(ports)) == len(ports)


def test_a_port_that_somebody_listens_on_is_never_given(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_ports, "_PORTS", range(taken, taken + 1))

    with pytest.raises(OSError, match="is free"):
        free_port()
