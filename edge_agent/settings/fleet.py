"""[fleet] of line.toml: the server that sees this line beside others, and what of its bundles this line takes."""

from __future__ import annotations

from typing import Annotated, Literal

from edge_agent.settings.values import FilePath, Table, WebAddress, say

__all__ = ["FleetSettings"]


class FleetSettings(Table):
    """[fleet]: this line tells a server of several lines how it stands."""

    url: Annotated[WebAddress, say("the server's address, without a path behind it")]
    follow: Annotated[
        Literal["none", "shadow", "activate"],
        say("what this line does with a bundle that is offered there: nothing; let it judge beside; put it to use"),
    ] = "none"
    ca_file: Annotated[
        FilePath | None, say("certificates that the server is trusted by; left out, those of the system")
    ] = None
