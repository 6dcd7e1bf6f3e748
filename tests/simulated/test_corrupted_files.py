"""One damaged place in journal, log, bundle or line.toml: refused with a hint, or what is read is what was written."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections import Counter
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.timing import monotonic_s
from edge_agent.errors import EdgeAgentError
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.settings import Settings, load_settings
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.writer import JournalWriter
from tests.simulated.line import READY, line
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.store.journal import PartRow
    from tests.results import Figure
    from tests.simulated.line import Line

T = TypeVar("T")

IS_LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
OFFSETS = int(os.environ.get("EDGE_AGENT_OFFSETS", "500" if IS_LONG else "15"))
IS_WHOLE = OFFSETS >= 500
PROCESSES = int(os.environ.get("EDGE_AGENT_PROCESSES", "20"))
WAITS_S = 30.0
CODES = {"journal": 65, "WAL": 65, "bundle": 65, "line.toml": 78}
SEED = int(os.environ.get("EDGE_AGENT_SEED", "1"))
ROWS = 25
EXAMPLE = Path(__file__).parents[2] / "deploy" / "line.example.toml"
pytestmark = pytest.mark.timeout(1800)
promise = pytest.mark.promise(
    "T-18",
    "one damaged place in journal, WAL, bundle, line.toml",
    "500 each: refused with a hint, told by verify, or read as written",
)


def damaged(draw: random.Random, good: bytes) -> bytes:
    """One place overwritten: a byte, a sector of zeros, or the end cut off."""
    at = draw.randrange(len(good))
    kind = draw.choice(("byte", "byte", "bits", "zeros", "cut"))
    if kind == "cut":
        return good[:at]
    length = {"byte": 1, "bits": 8, "zeros": 512}[kind]
    new = bytes(length) if kind == "zeros" else draw.randbytes(length)
    return good[:at] + new[: len(good) - at] + good[at + length :]


def row(seq: int) -> PartRow:
    return part_row(seq, detail="x" * 200)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that was closed: all in the database file."""
    path = tmp_path_factory.mktemp("good") / "journal.sqlite3"
    with closing(JournalWriter(path)) as writer:
        for seq in range(1, ROWS + 1):
            writer.append(row(seq))
    return path


@pytest.fixture(scope="module")
def killed_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a killed agent leaves it: everything in the log."""
    folder, writing = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("writing")
    with closing(JournalWriter(writing / "journal.sqlite3")) as writer:
        for seq in range(1, ROWS + 1):
            writer.append(row(seq))
        for name in ("journal.sqlite3", "journal.sqlite3-wal"):
            shutil.copy(writing / name, folder / name)
    return folder / "journal.sqlite3"


def read(path: Path) -> list[PartRow] | list[str] | EdgeAgentError:
    """The rows as the next agent finds them, what ``journal verify`` says of them, or why the agent refuses."""
    try:
        Journal.open(path).close()
        with JournalReader.open(path) as reader:
            rows, problems = list(reader.rows()), [*reader.problems(), *reader.audit().problems]
    except EdgeAgentError as err:
        return err
    return problems or rows


def written(rows: int = ROWS) -> list[PartRow]:
    return [row(seq) for seq in range(1, rows + 1)]


def or_why_not(load: Callable[[Path], T], path: Path) -> T | EdgeAgentError:
    try:
        return load(path)
    except EdgeAgentError as err:
        return err


def is_refused_with(code: int, err: EdgeAgentError) -> bool:
    """Whether whoever started the agent is told: by the exit code, and by what to do now."""
    return err.exit_code == code and bool(err.hint)


def is_told(found: list[PartRow] | list[str]) -> bool:
    return bool(found) and isinstance(found[0], str)


def words(refused: int, tried: int, told: int = 0) -> str:
    by_verify = f"{told} told by verify, " if told else ""
    return f"{refused} of {tried} refused, {by_verify}{tried - refused - told} read as written"


@promise
def test_a_damaged_journal_is_refused_or_reads_as_written(tmp_path: Path, journal: Path, figure: Figure) -> None:
    draw, good, refused, told = random.Random(SEED), journal.read_bytes(), 0, 0
    for trial in range(OFFSETS):
        path = tmp_path / f"{trial}.sqlite3"
        left_over = damaged(draw, good)
        path.write_bytes(left_over)
        found = read(path)
        if isinstance(found, EdgeAgentError):
            refused += 1
            assert is_refused_with(65, found), f"{trial}: {found!r}"
        elif is_told(found):
            told += 1
        else:  # a file of no byte, or of one, is a new journal to SQLite
            assert found == written(ROWS if len(left_over) > 1 else 0), f"{trial}: {len(found)} rows"
        for left in tmp_path.iterdir():
            left.unlink()
    figure(f"journal: {words(refused, OFFSETS, told)}", is_whole=IS_WHOLE)
    assert refused


@promise
def test_a_damaged_log_gives_the_rows_before_the_damage(tmp_path: Path, killed_journal: Path, figure: Figure) -> None:
    draw, refused, told, short = random.Random(SEED), 0, 0, 0
    log = killed_journal.with_name(killed_journal.name + "-wal")
    good = log.read_bytes()
    for trial in range(OFFSETS):
        path = tmp_path / f"{trial}.sqlite3"
        shutil.copy(killed_journal, path)
        path.with_name(path.name + "-wal").write_bytes(damaged(draw, good))
        found = read(path)
        if isinstance(found, EdgeAgentError):
            refused += 1
            assert is_refused_with(65, found), f"{trial}: {found!r}"
        elif is_told(found):
            told += 1
        else:
            assert found == written(len(found)), "a gap, or a row that nobody wrote"
            short += len(found) < ROWS
        for left in tmp_path.iterdir():
            left.unlink()
    figure(f"WAL: {words(refused, OFFSETS, told)} up to the damage", is_whole=IS_WHOLE)
    assert short


@promise
def test_a_damaged_bundle_is_refused_or_the_same(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    draw, refused, good = random.Random(SEED), 0, Bundle.load(thumbnail_bundle)
    for _ in range(OFFSETS):
        name, before = damage_a_file(draw, thumbnail_bundle, tmp_path)
        found = or_why_not(Bundle.load, tmp_path)
        if isinstance(found, EdgeAgentError):
            refused += 1
            assert is_refused_with(65, found), f"{name}: {found!r}"
        else:
            assert (found.id, found.limit, found.manifest) == (good.id, good.limit, good.manifest), name
            assert before == (tmp_path / name).read_bytes() or name == "manifest.json"
    figure(f"bundle: {words(refused, OFFSETS)}", is_whole=IS_WHOLE)
    assert refused


def damage_a_file(draw: random.Random, bundle: Path, copy: Path) -> tuple[str, bytes]:
    """A copy of the bundle with one damaged file, and what that file was."""
    files = sorted(path.name for path in bundle.iterdir() if path.is_file())
    for name in files:
        target = copy / name
        if not target.is_symlink() or not target.exists():
            target.unlink(missing_ok=True)
            target.symlink_to(bundle / name)
    name = draw.choice([*files, "manifest.json"])
    before = (bundle / name).read_bytes()
    (copy / name).unlink()
    (copy / name).write_bytes(damaged(draw, before))
    return name, before


@promise
def test_a_damaged_line_toml_is_refused_with_78_or_is_one(tmp_path: Path, figure: Figure) -> None:
    draw, good, refused = random.Random(SEED), EXAMPLE.read_bytes(), 0
    path = tmp_path / "line.toml"
    for _ in range(OFFSETS):
        path.write_bytes(damaged(draw, good))
        path.chmod(0o640)
        found = or_why_not(load_settings, path)
        if isinstance(found, EdgeAgentError):
            refused += 1
            assert is_refused_with(78, found), repr(found)
            assert str(found).startswith(f"{path}:"), "whoever is to mend it must find it"
        else:  # another port, a word of a comment: it is a line.toml still
            assert isinstance(found, Settings)
    figure(f"line.toml: {refused} of {OFFSETS} refused, {OFFSETS - refused} are settings still", is_whole=IS_WHOLE)
    assert refused


@pytest.mark.promise(
    "T-18p",
    "the same damage, each time found by a whole agent",
    "20 each: refused with 65 or 78 and a hint, or works on what was written",
)
@pytest.mark.slow
@pytest.mark.skipif(not IS_LONG, reason="whole processes: make chaos")
@pytest.mark.parametrize("what", CODES)
async def test_a_whole_agent_refuses_with_its_exit_code_or_works(
    tmp_path: Path,
    thumbnail_bundle: Path,
    journal: Path,
    killed_journal: Path,
    figure: Figure,
    *,
    what: str,
) -> None:
    draw, bundle, ends = random.Random(SEED), tmp_path / "bundle", Counter[End]()
    good_journal, good_log = (path.read_bytes() for path in (journal, Path(f"{killed_journal}-wal")))
    good_id = Bundle.load(thumbnail_bundle).id
    for trial in range(PROCESSES):
        folder = tmp_path / str(trial)
        folder.mkdir()
        bundle.mkdir(exist_ok=True)
        if what == "bundle":
            damage_a_file(draw, thumbnail_bundle, bundle)
        async with line(folder, bundle if what == "bundle" else thumbnail_bundle, start=False) as at:
            path = folder / "journal.sqlite3"
            good = load_settings(at.config)
            if what == "journal":
                path.write_bytes(damaged(draw, good_journal))
            elif what == "WAL":
                shutil.copy(killed_journal, path)
                path.with_name(path.name + "-wal").write_bytes(damaged(draw, good_log))
            elif what == "line.toml":
                at.config.write_bytes(damaged(draw, at.config.read_bytes()))
            found = or_why_not(load_settings, at.config)
            await at.start_agent()
            end = await end_of(at, may_wait=found != good)
        about = f"{what} {trial}: {end}, exit code {at.agent.returncode}\n{at.log_tail()}"
        ends[end] += 1
        if end is End.REFUSED:
            # The settings of a line.toml that loads may still name a bundle that is not there.
            assert at.agent.returncode == (65 if isinstance(found, Settings) else CODES[what]), about
            assert "hint: " in at.log_tail(), about
        else:
            assert at.agent.returncode == 0, about
            assert isinstance(found, Settings), about
            assert {Bundle.load(folder / named.path).id for named in found.bundle} == {good_id}, about
            if what in ("journal", "WAL"):
                rows = read(path)  # what cannot be read, or was altered, is said to whoever reads it
                if not isinstance(rows, EdgeAgentError) and not is_told(rows):
                    assert rows == written(len(rows)), about
                    assert what == "WAL" or len(rows) in {0, ROWS}, about

    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    figure(f"{what}: {told}", is_whole=PROCESSES >= 20)


class End(StrEnum):
    """What became of an agent that was started."""

    REFUSED = "refused"
    WORKED = "worked"
    WAITED = "waited for peers that are not there"


async def end_of(at: Line, *, may_wait: bool) -> End:
    """Let the agent end by itself or be READY, and stop it. With other settings its peers may be elsewhere."""
    assert at.agent is not None
    ended, begin = asyncio.ensure_future(at.agent.wait()), monotonic_s()
    while not at.remote_io.coils[READY] and not ended.done():
        if monotonic_s() - begin > WAITS_S:
            assert may_wait, f"neither READY nor refused:\n{at.log_tail()}"
            break
        await asyncio.wait({ended}, timeout=0.05)
    was_ready = at.remote_io.coils[READY]
    if ended.done():
        return End.REFUSED
    await at.stop_agent()
    await ended
    return End.WORKED if was_ready else End.WAITED
