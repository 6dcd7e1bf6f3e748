"""The routine that docs/plc-recipes.md has for Studio 5000, scanned as it stands there: for whom it opens the gate."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.base import Verdict
from drivers.output.block import BlockState, Status, check_word

_RECIPES = (Path(__file__).parents[2] / "docs" / "plc-recipes.md").read_text()
_ROUTINE = _RECIPES.partition("A structured text routine")[2].split("```")[1]
_WORDS = {":=": "=", "=": "==", "<>": "!=", "/": "//", "AND": "&", "OR": "|", "XOR": "^", "NOT": "1 -", "MOD": "%"}
_STEP = re.compile(r"\s*(?:IF (.*?) THEN|FOR (\w+) := (.*?) TO (.*?) DO|(ELSE)\b|(END_IF|END_FOR);|(.*?);)", re.DOTALL)
_SCAN_MS = 10


def _python(text: str) -> str:
    """An expression or an assignment of structured text, as Python has it; a bit of a DINT is a function."""
    text = re.sub(r"\b([A-Z]\w*(?:\[\w+\])?)\.(\d+)", r"bit(\1, \2)", text.replace("S:FS", "FirstScan"))
    text = re.sub(r"16#([0-9A-F]+)", r"0x\1", text)
    return re.sub(r":=|<>|=|/|\b(?:AND|OR|XOR|NOT|MOD)\b", lambda found: _WORDS[found[0]], " ".join(text.split()))


def _compiled(routine: str) -> Any:
    lines, depth = [], 0
    for step in _STEP.finditer(re.sub(r"//.*", "", routine)):
        condition, name, first, last, alternative, end, statement = step.groups()
        if end:
            depth -= 1
        elif alternative:
            lines.append("    " * (depth - 1) + "else:")
        elif statement is not None:
            lines.append("    " * depth + _python(statement))
        else:
            opening = f"if {_python(condition)}:" if condition else f"for {name} in range({first}, {last} + 1):"
            lines.append("    " * depth + opening)
            depth += 1
    assert depth == 0
    return compile("\n".join(lines), "docs/plc-recipes.md", "exec")


_COMPILED = _compiled(_ROUTINE)


def _bit(word: int, at: int) -> int:
    return word >> at & 1


def _tonr(timer: SimpleNamespace) -> None:
    timer.ACC = 0 if timer.Reset or not timer.TimerEnable else timer.ACC + _SCAN_MS
    timer.DN = int(timer.ACC >= timer.PRE)


def _osri(edge: SimpleNamespace) -> None:
    edge.OutputBit = int(edge.InputBit and not edge.before)
    edge.before = edge.InputBit


class Logix:
    """A controller with the tags of the page's table. They keep their values when its power is off."""

    def __init__(self) -> None:
        names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \| (?:DINT|BOOL) \|", _RECIPES, re.MULTILINE)))
        names += ["SensorAtGate", "PartIsGone"]
        self.tags: dict[str, Any] = dict.fromkeys(names, 0)
        self.tags |= {"AgentToPlc": [0] * 8, "PlcToAgent": [0] * 5, "Block": [0] * 8}
        self.tags |= {"TONR": _tonr, "OSRI": _osri, "CPS": self._copy, "bit": _bit}
        self.heartbeat = 0
        self.power_comes_back()

    def _copy(self, *_: object) -> None:
        self.tags["Block"][:] = self.tags["AgentToPlc"]

    def power_comes_back(self) -> None:
        """What a prescan sets, and the first scan."""
        self.tags["BeatTimer"] = SimpleNamespace(ACC=0, DN=0)
        self.tags["PartEdge"] = SimpleNamespace(before=1, OutputBit=0)
        self.scan(is_first=True)

    def scan(self, times: int = 1, *, is_first: bool = False) -> None:
        for _ in range(times):
            self.tags["FirstScan"] = int(is_first)
            exec(_COMPILED, self.tags)  # noqa: S102 - it is a page of this project

    def part_arrives(self) -> None:
        for level in (1, 0):
            self.tags["SensorAtGate"] = level
            self.scan()

    def part_leaves(self) -> None:
        for level in (1, 0):
            self.tags["PartIsGone"] = level
            self.scan()

    def write(self, seq: int, verdict: Verdict = Verdict.PASS, **changed: int) -> None:
        """The agent's block, with one more heartbeat; then one scan. ``changed``: words by their place, as ``at2``."""
        self.heartbeat = (self.heartbeat + 1) % 65_536
        words = list(BlockState(seq, verdict, 1, Status.READY, 0xBEEF, self.heartbeat).words)
        for at, word in changed.items():
            words[int(at[2:])] = word
        self.tags["AgentToPlc"][:] = words
        self.scan()

    @property
    def is_open(self) -> bool:
        return bool(self.tags["Gate"])


@pytest.fixture
def plc() -> Logix:
    """With a part of number 1 at the gate, and an agent that was heard."""
    found = Logix()
    found.write(0, Verdict.REJECT)
    found.part_arrives()
    return found


def test_it_opens_for_the_part_at_the_gate_until_that_is_gone(plc: Logix) -> None:
    assert not plc.is_open
    plc.write(1)
    assert plc.is_open
    assert plc.tags["PlcToAgent"][:2] == [1, 1]
    plc.part_leaves()
    assert not plc.is_open


@pytest.mark.parametrize("at", range(8))
def test_a_block_with_one_other_word_opens_nothing(plc: Logix, at: int) -> None:
    before = plc.tags["AgentToPlc"][7]
    words = BlockState(1, Verdict.PASS, 1, Status.READY, 0xBEEF, before).words
    if at < 7:
        plc.write(1, **{f"at{at}": words[at] ^ 1})
    else:
        plc.scan(50)
        plc.write(1, at7=before)

    assert not plc.is_open
    assert plc.tags["PlcToAgent"][1] == 0


@pytest.mark.parametrize(("at", "word"), [(0, 2), (1, 0xC3), (1, 0xFFFF), (2, 0), (2, 0x5A), (4, 0), (4, 2)])
def test_a_block_whose_check_agrees_opens_nothing_either_with_one_other_word(plc: Logix, at: int, word: int) -> None:
    words = list(BlockState(1, Verdict.PASS, 1, Status.READY, 0xBEEF).words[:6])
    words[at] = word
    plc.write(1, **{f"at{at}": word, "at6": check_word(tuple(words))})
    assert not plc.is_open


def test_a_reject_is_final_and_a_pass_of_another_part_opens_nothing(plc: Logix) -> None:
    for seq in (0, 2, 65_535):
        plc.write(seq)
        assert not plc.is_open
    plc.write(1, at0=65_537)
    assert not plc.is_open
    plc.write(1, Verdict.REJECT)
    plc.write(1)
    assert not plc.is_open


def test_the_next_part_closes_it_and_a_pass_that_stands_is_not_its_own(plc: Logix) -> None:
    plc.write(1)
    plc.part_arrives()
    plc.write(1)
    assert not plc.is_open
    assert plc.tags["PlcToAgent"][0] == 2


@pytest.mark.parametrize("is_decided", [True, False])
def test_an_old_pass_opens_nothing_when_the_power_comes_back(plc: Logix, *, is_decided: bool) -> None:
    if is_decided:
        plc.write(1)
    else:
        plc.tags["AgentToPlc"][:] = BlockState(1, Verdict.PASS, 1, Status.READY, 0xBEEF, 77).words
    plc.power_comes_back()
    plc.scan(3)
    plc.write(1)
    assert not plc.is_open


def test_a_pass_that_comes_when_its_part_is_gone_opens_an_empty_gate_for_nobody(plc: Logix) -> None:
    """It would stand open until the next part is seen, and longer where that one is not."""
    plc.part_leaves()
    plc.write(1)
    assert not plc.is_open
    plc.part_arrives()
    plc.write(2)
    assert plc.is_open


def test_behind_65535_comes_1_and_the_heartbeat_stays_a_word(plc: Logix) -> None:
    plc.tags["PlcToAgent"][:3] = [65_535, 65_535, 65_535]
    plc.part_arrives()
    assert plc.tags["PlcToAgent"][0] == 1
    assert 0 <= plc.tags["PlcToAgent"][2] < 3
    plc.write(1)
    assert plc.is_open
