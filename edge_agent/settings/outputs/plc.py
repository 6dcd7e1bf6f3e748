"""What each kind of [output] has that writes the register block into the memory of a PLC, whatever it calls a place."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from edge_agent.settings.outputs.common import Loc, OutputSettings

__all__ = ["BACK_WORDS", "BLOCK_WORDS", "NumberedSettings", "PlcSettings"]

BLOCK_WORDS, BACK_WORDS = 8, 5
_WORD_BITS = 16
_INPUTS = ("part_present_input", "mode_input", "acknowledge_input", "reject_confirm_input")


class PlcSettings(OutputSettings):
    """The block is that of "modbus-registers": a PASS names its part. A PLC has one memory behind all its ports."""

    @property
    def names_parts(self) -> bool:
        """The block carries the part's number."""
        return True

    @property
    def is_one_behind_all_ports(self) -> bool:
        """A PLC has a port for each client, and one memory."""
        return True

    @property
    @abstractmethod
    def plc_place(self) -> str:
        """Where the words begin that the PLC writes, as the PLC names it."""

    @property
    @abstractmethod
    def _inputs_at(self) -> tuple[str, str]:
        """The key that says where the PLC gives its inputs, and what such a place is."""

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems: list[tuple[Loc, str]] = []
        if self.host is None:
            problems.append((("output",), "name the address of the PLC, host (got none)"))
        return problems + super().problems() + self._place_of_inputs()

    def _place_of_inputs(self) -> list[tuple[Loc, str]]:
        named = next((key for key in _INPUTS if getattr(self, key) is not None), None)
        key, place = self._inputs_at
        if named is None or getattr(self, key) is not None:
            return []
        return [(("output", named), f"needs output.{key}: the {place} in which the PLC gives the inputs")]


class NumberedSettings(PlcSettings):
    """A PLC whose places have numbers, one behind the other."""

    last_place: ClassVar[int] = 65_535

    @property
    @abstractmethod
    def word_numbers(self) -> tuple[int, int, int | None]:
        """The block's first word, the PLC's first word, the first one with inputs, counted from the memory's first."""

    @property
    def shared_words(self) -> range | None:
        """The PLC looks at the heartbeat of each block apart."""
        first = self._first_word + self.word_numbers[0]
        return range(first, first + BLOCK_WORDS)

    @property
    def answer_words(self) -> list[int]:
        """As ``OutputSettings.answer_words``, with those that hold an input which line.toml names."""
        _, back, inputs = self.word_numbers
        found = {*range(back, back + BACK_WORDS)}
        if inputs is not None:
            # Not all from the first one on: each word that is held is an open file, and there are 4096 with inputs.
            found |= {inputs + place // _WORD_BITS for place in self._wired()}
        return [self._first_word + word for word in sorted(found)]

    @property
    def _first_word(self) -> int:
        """Where the memory begins in which ``word_numbers`` count, among all memories of the PLC."""
        return 0

    @property
    @abstractmethod
    def _units(self) -> tuple[str, str, int]:
        """What a place is, what several are, and how many of them are a word."""

    @property
    @abstractmethod
    def _keys(self) -> tuple[str, str, str]:
        """The keys that say where the block lies, where the PLC's words lie, and where inputs."""

    @property
    def _inputs_at(self) -> tuple[str, str]:
        return self._keys[2], self._units[0]

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems = super().problems()
        _, units, a_word = self._units
        words = (BLOCK_WORDS, BACK_WORDS, self._input_words())
        taken: list[tuple[str, range]] = []
        for key, count in zip(self._keys, (a_word * count for count in words), strict=True):
            place: int | None = getattr(self, key)
            if place is None or not count:
                continue
            here = range(place, place + count)
            if here.stop - 1 > self.last_place:
                most = self.last_place - count + 1
                message = f"expected at most {most}, so that {count} {units} fit (got {place})"
                problems.append((("output", key), message))
            for other, others in taken:
                if here.start < others.stop and others.start < here.stop:
                    message = f"expected a place outside the {len(others)} {units} of {other} (got {place})"
                    problems.append((("output", key), message))
            taken.append((key, here))
        return problems

    def _input_words(self) -> int:
        """How many words it is up to the last one with an input that line.toml names."""
        wired = self._wired()
        return max(wired) // _WORD_BITS + 1 if wired else 0

    def _wired(self) -> list[int]:
        """The inputs that line.toml names."""
        return [place for key in _INPUTS if (place := getattr(self, key)) is not None]
