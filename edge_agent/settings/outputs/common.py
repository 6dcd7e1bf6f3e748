"""What every kind of output has in line.toml, and what the rest of the agent may ask of it without knowing its kind."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator

from edge_agent.settings.values import Coil, Host, Milliseconds, Port, Table, Text, plain_date, say

__all__ = ["Loc", "OutputSettings"]

Loc = tuple[str | int, ...]
_INPUTS_IN_ONE_READ = 64


class OutputSettings(Table):
    """The keys of [output] that each kind has. A kind is a class of its own, which says what its ``kind`` is."""

    kind: str
    host: Annotated[Host | None, say("address of the remote I/O or the PLC")] = None
    port: Port
    part_numbers: Annotated[
        Literal["plc", "agent"],
        say("whose number of the part a PASS names: the PLC's for its gate, or ours"),
    ] = "plc"
    program_request: Annotated[
        Literal["ignored", "checked", "switched"],
        say("what becomes of the program that the PLC wants: nothing, FAULT where another runs, or a switch to it"),
    ] = "ignored"
    plc_silence_ms: Annotated[Milliseconds, say("how long the PLC's heartbeat may stand still")] = 500
    watchdog_tested: Annotated[
        date | None,
        BeforeValidator(plain_date),
        say("when a person saw the remote I/O drop PASS by itself; edge-agent output test --watchdog writes it"),
    ] = None
    watchdog_tested_by: Annotated[Text | None, say("who saw it")] = None
    part_present_input: Annotated[Coil | None, say("zero-based address of the input that sees a part")] = None
    mode_input: Annotated[Coil | None, say("zero-based address of the input that is on in automatic")] = None
    acknowledge_input: Annotated[Coil | None, say("zero-based address of the input of the acknowledge button")] = None
    reject_confirm_input: Annotated[
        Coil | None, say("zero-based address of the input that sees parts leave by the reject chute")
    ] = None
    reject_confirm_ms: Annotated[
        Milliseconds | None, say("how long a rejected part may take to the chute; left out, nobody counts them")
    ] = None
    pass_hold_ms: Annotated[Milliseconds, say("how long PASS stands; the next part ends it earlier")] = 300
    refresh_ms: Annotated[Milliseconds, say("how often the output is written, which feeds the watchdog")] = 100
    write_timeout_ms: Annotated[Milliseconds, say("how long the device may take to answer")] = 150
    watchdog_ms: Annotated[Milliseconds, say("what the device's own watchdog is set to")] = 500

    @property
    @abstractmethod
    def names_parts(self) -> bool:
        """A PASS names its part, by the number that the device counts or takes: it opens the gate for no other part.

        Otherwise PASS opens for whoever is at the gate, and only its end, by the agent or by a watchdog that somebody
        has seen, keeps it from the next part.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """What the agent writes to at the device, for messages."""

    @property
    @abstractmethod
    def shared_words(self) -> range | None:
        """The words of the device that this agent writes, where other agents may write others; None: all of it is held.

        Only where the device looks at the heartbeat of each agent apart: a watchdog that is one for the whole device
        would be fed by the others.
        """

    @property
    def answer_words(self) -> list[int]:
        """The words that the device writes for this agent, by the same numbers: no other agent may write there."""
        return []

    @property
    def is_one_behind_all_ports(self) -> bool:
        """Whether every port of the host leads to the same words, so that one block is one, however it is reached."""
        return False

    @property
    def way_keys(self) -> str:
        """The keys of line.toml that say how the device is reached, for messages."""
        return "output.host and output.port"

    @property
    def device(self) -> str | None:
        """The serial port of this PC that the output is reached over; None: it is reached at ``host`` and ``port``."""
        return None

    @property
    def armed_module(self) -> str | None:
        """The family of remote I/O whose own watchdog the agent looks at; None where line.toml names none."""
        return None

    def untested_watchdog(self) -> tuple[str, str]:
        """The key to point at, and why nothing proves that PASS falls when this PC is dead; empty texts if it does."""
        if self.names_parts or (self.watchdog_tested and self.watchdog_tested_by):
            return "", ""
        return "watchdog_tested", (
            "nothing proves that the device drops PASS when this PC is dead, and nobody has said that its watchdog was "
            "tested (got no watchdog_tested)"
        )

    def on_loopback(self, host: str, port: int) -> Self:
        """The same output, at a simulated device on this PC."""
        return self.model_copy(update={"host": host, "port": port})

    def problems(self) -> list[tuple[Loc, str]]:
        """Keys that are right alone and wrong together, each with the key to point at."""
        problems: list[tuple[Loc, str]] = []
        if self.program_request != "ignored" and not self.names_parts:
            message = (
                f'"{self.program_request}" needs output.kind of a PLC, as "modbus-registers": coils ask for no program'
            )
            problems.append((("output", "program_request"), message))
        if (self.watchdog_tested is None) != (self.watchdog_tested_by is None):
            absent = "watchdog_tested" if self.watchdog_tested is None else "watchdog_tested_by"
            message = f"watchdog_tested and watchdog_tested_by go together (got no {absent})"
            problems.append((("output",), message))
        return problems + self._input_problems()

    def _input_problems(self) -> list[tuple[Loc, str]]:
        problems: list[tuple[Loc, str]] = []
        names = ("mode_input", "acknowledge_input", "reject_confirm_input")
        wired = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        doubled = sorted(name for name, place in wired.items() if list(wired.values()).count(place) > 1)
        if doubled:
            problems.append((("output", doubled[0]), f"expected an input of its own (got {wired[doubled[0]]} twice)"))
        if wired and max(wired.values()) - min(wired.values()) >= _INPUTS_IN_ONE_READ:
            got = sorted(wired.values())
            message = f"expected inputs within {_INPUTS_IN_ONE_READ} addresses of each other (got {got})"
            problems.append((("output", next(iter(wired))), message))
        counts = self.reject_confirm_input is not None or self.names_parts
        if self.reject_confirm_ms is not None and not counts:
            message = "needs output.reject_confirm_input, or a PLC that counts: otherwise nobody sees a part leave"
            problems.append((("output", "reject_confirm_ms"), message))
        if self.reject_confirm_input is not None and self.reject_confirm_ms is None:
            message = "needs output.reject_confirm_ms: how long a rejected part may take to the chute"
            problems.append((("output", "reject_confirm_input"), message))
        return problems
