"""The topics of an edge node with one device: spBv1.0/GROUP/TYPE/NODE, and /DEVICE where it is about the device."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Topics"]

_NAMESPACE = "spBv1.0"


@dataclass(frozen=True, slots=True)
class Topics:
    """Whose they are. The names are single levels of a topic, which line.toml has been checked for."""

    group: str
    node: str
    device: str
    primary_host: str | None = None

    @property
    def ncmd(self) -> str:
        """Where hosts send commands to the edge node."""
        return self.of_node("NCMD")

    @property
    def state(self) -> str | None:
        """Where the primary host says whether it is there; None where nobody is waited for."""
        return None if self.primary_host is None else f"{_NAMESPACE}/STATE/{self.primary_host}"

    @property
    def heard(self) -> list[str]:
        """What has to be subscribed to: commands to the edge node, and the primary host's state."""
        return [self.ncmd] if self.state is None else [self.ncmd, self.state]

    @property
    def looked_at(self) -> list[str]:
        """What is subscribed to where the broker lets us: our own messages, and commands to devices, for the log."""
        return [*self.own, f"{self.of_node('DCMD')}/+"]

    @property
    def own(self) -> list[str]:
        """What is published with QoS 0, each by its full name: no message comes back twice."""
        node, device = ("NBIRTH", "NDATA"), ("DBIRTH", "DDATA", "DDEATH")
        return [*map(self.of_node, node), *map(self.of_device, device)]

    def of_node(self, kind: str) -> str:
        """NBIRTH, NDATA, NDEATH or NCMD."""
        return f"{_NAMESPACE}/{self.group}/{kind}/{self.node}"

    def of_device(self, kind: str) -> str:
        """DBIRTH, DDATA, DDEATH or DCMD."""
        return f"{self.of_node(kind)}/{self.device}"
