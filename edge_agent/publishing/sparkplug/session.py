"""One session's messages: between one CONNECT and its end, numbered from 0 to 255 and from 0 again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.publishing.mqtt_link import Message
from edge_agent.publishing.sparkplug.payload import DataType, Metric, encoded
from edge_agent.publishing.sparkplug.tags import BDSEQ, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.publishing.sparkplug.topics import Topics

__all__ = ["Session"]

_NUMBERS = 256


class Session:
    """Makes the messages of one session. They have to be sent in the order in which they were made."""

    def __init__(self, topics: Topics, bdseq: int) -> None:
        self.bdseq = bdseq
        self._topics = topics
        self._seq = 0

    def take_back(self, number: int) -> None:
        """So many of the newest messages were not sent: their numbers are given again."""
        self._seq = (self._seq - number) % _NUMBERS

    def death(self) -> Message:
        """The edge node's death: the will of the connection, and its last message where it ends by itself."""
        at_ms = now_ms()
        metrics = [Metric(BDSEQ, DataType.INT64, self.bdseq, at_ms)]
        payload = encoded(metrics, at_ms, None)
        return Message(self._topics.of_node("NDEATH"), payload, qos=1)

    def birth(self, metrics: Sequence[Metric]) -> Message:
        """The edge node's birth, which begins the numbers anew."""
        self._seq = 0
        return self._numbered(self._topics.of_node("NBIRTH"), metrics)

    def data(self, metrics: Sequence[Metric]) -> Message:
        """Values of the edge node."""
        return self._numbered(self._topics.of_node("NDATA"), metrics)

    def device_birth(self, metrics: Sequence[Metric]) -> Message:
        """The device's birth."""
        return self._numbered(self._topics.of_device("DBIRTH"), metrics)

    def device_data(self, metrics: Sequence[Metric]) -> Message:
        """Values of the device."""
        return self._numbered(self._topics.of_device("DDATA"), metrics)

    def device_death(self) -> Message:
        """The device's death, which has a number and no metric."""
        return self._numbered(self._topics.of_device("DDEATH"), [])

    def _numbered(self, topic: str, metrics: Sequence[Metric]) -> Message:
        """Raises ValueError for a value that its type cannot hold; the number is not used up then."""
        payload = encoded(metrics, now_ms(), self._seq)
        self._seq = (self._seq + 1) % _NUMBERS
        return Message(topic, payload, qos=0)
