"""[web], [review] and [metrics]: the page of the line, who signs and reviews there, figures for other programs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge_agent.settings.values import FilePath, HeaderName, OwnHost, Peer, Port, Table, Text, TimeOfDay, integer, say

__all__ = ["MetricsSettings", "ReviewSettings", "WebSettings"]


class WebSettings(Table):
    """[web]: the operator's page, with /metrics, /healthz and /readyz."""

    host: Annotated[OwnHost, say("the address to listen on")] = "127.0.0.1"
    port: Annotated[Port, say("its TCP port")] = 8480
    names: Annotated[
        tuple[Text, ...], say("names and addresses that browsers may call this PC by, beside host and localhost")
    ] = ()
    token_file: Annotated[
        FilePath | None,
        say("a file, mode 0600, whose only line lets a person review parts; without it, and without users, nobody can"),
    ] = None
    who_signs: Annotated[
        Literal["users", "users-or-token"],
        say("once this line has users (edge-agent users): they alone, or whoever has the token as well"),
    ] = "users"
    sign_with: Annotated[
        Literal["session", "password"],
        say("a review by a user: being signed in is enough, or the password again; a limit always wants it again"),
    ] = "session"
    sign_out_after_min: Annotated[
        int, integer(1, 720), say("minutes without a signature after which a user has to sign in again")
    ] = 30
    user_header: Annotated[
        HeaderName | None, say("the header in which a proxy that asks for passwords itself names the user")
    ] = None
    trusted_proxies: Annotated[
        tuple[Peer, ...], Field(max_length=16, description="the addresses from which user_header is believed")
    ] = ()
    shift_starts: Annotated[
        tuple[TimeOfDay, ...],
        Field(min_length=1, max_length=24, description="when shifts begin, in the time zone of this PC"),
    ] = ("06:00", "14:00", "22:00")


class ReviewSettings(Table):
    """[review]: what people who review parts are asked for."""

    read_twice_percent: Annotated[
        int,
        integer(0, 100),
        say("so many of a hundred reviewed parts go to a second person, who does not see the first one's word"),
    ] = 0
    defects: Annotated[
        tuple[Annotated[Text, Field(max_length=60)], ...],
        Field(max_length=50, description="names of defects to choose from, beside those used on this line before"),
    ] = ()


class MetricsSettings(Table):
    """[metrics]: /metrics, /healthz and /readyz alone, at an address of their own."""

    host: Annotated[OwnHost, say("the address to listen on")] = "127.0.0.1"
    port: Annotated[Port, say("its TCP port")] = 9464
