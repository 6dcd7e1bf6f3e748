"""edge-agent bundle: list, compare, activate, rollback, and what the agent makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest, read_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import POINTER, activate, bundle_in_use, bundles_in, rollback, switches
from edge_agent.store.journal import JournalReader
from tests.command_line import edge_agent_here
from tests.simulated.line import line

if TYPE_CHECKING:
    from pathlib import Path


def variant(source: Path, to: Path, **changed: Any) -> Path:
    """A bundle that loads and is another one."""
    shutil.copytree(source, to)
    (to / MANIFEST).write_bytes(encode_manifest({**json.loads((to / MANIFEST).read_text()), **changed}))
    return to


def id_of(folder: Path) -> str:
    return read_manifest(folder).text("id")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A line.toml whose [[bundle]] names a registry that is not there yet."""
    path = tmp_path / "line.toml"
    path.write_text(
        "schema_version = 1\n[line]\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n"
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        '[[bundle]]\nprogram = 1\npath = "bundles"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )
    return path


def test_the_way_of_two_bundles_through_a_line(config: Path, thumbnail_bundle: Path, tmp_path: Path) -> None:
    second = variant(thumbnail_bundle, tmp_path / "second", seed=7)
    on = ("--config", str(config))

    first_in = edge_agent_here("bundle", "activate", str(thumbnail_bundle), *on, "--by", "Ada", "--why", "first lot")
    second_in = edge_agent_here("bundle", "activate", str(second), *on, "--by", "Grace")

    assert (first_in.code, second_in.code) == (0, 0), first_in.err + second_in.err
    assert Bundle.load(tmp_path / "bundles").id == id_of(second)

    back = edge_agent_here("bundle", "rollback", *on, "--by", "Ada", "--why", "too many rejects", "--json")

    assert back.code == 0, back.err
    assert json.loads(back.out)["bundle_id"] == id_of(thumbnail_bundle)
    assert Bundle.load(tmp_path / "bundles").id == id_of(thumbnail_bundle)

    listed = edge_agent_here("bundle", "list", *on)

    assert listed.code == 0, listed.err
    assert sum(line.strip().startswith("*") for line in listed.out.splitlines()) == 1
    assert "gone back to by Ada" in listed.out
    assert "too many rejects" in listed.out
    assert edge_agent_here("bundle", "rollback", *on).code == 64  # there was none before the first


def test_a_damaged_bundle_changes_nothing(config: Path, thumbnail_bundle: Path, tmp_path: Path) -> None:
    bad = variant(thumbnail_bundle, tmp_path / "bad", seed=8)
    (bad / "bank.npz").write_bytes(b"not what was calibrated")
    edge_agent_here("bundle", "activate", str(thumbnail_bundle), "--config", str(config))
    before = (tmp_path / "bundles" / POINTER).read_bytes()

    ran = edge_agent_here("bundle", "activate", str(bad), "--config", str(config))

    assert ran.code == 65
    assert "was altered" in ran.err
    assert (tmp_path / "bundles" / POINTER).read_bytes() == before


def test_another_program_has_no_place(config: Path, thumbnail_bundle: Path, tmp_path: Path) -> None:
    other = variant(thumbnail_bundle, tmp_path / "other", program=9)

    ran = edge_agent_here("bundle", "activate", str(other), "--config", str(config))

    assert ran.code == 64
    assert "program 9" in ran.err
    assert not (tmp_path / "bundles").exists()


def test_compare_says_in_words_what_differs(thumbnail_bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((thumbnail_bundle / MANIFEST).read_text())
    images = [*manifest["training_images"][1:], {"name": "new.bmp", "sha256": "ab" * 32, "heldout_score": 0.1}]
    limit = {**manifest["limit"], "value": 2.5, "review_from": 2.5, "statement": "another promise"}
    versions = {**manifest["versions"], "onnxruntime": "9.9"}
    other = variant(thumbnail_bundle, tmp_path / "other", training_images=images, limit=limit, versions=versions)

    same = edge_agent_here("bundle", "compare", str(thumbnail_bundle), str(thumbnail_bundle))
    ran = edge_agent_here("bundle", "compare", str(thumbnail_bundle), str(other), "--json")

    assert same.code == 0
    assert ran.code == 1
    found = {one["topic"]: (one["a"], one["b"]) for one in json.loads(ran.out)["differences"]}
    assert found["limit"][1] == "2.5"
    assert found["good images (23 in both)"] == ("24, 000.bmp only here", "24, new.bmp only here")
    assert found["version of onnxruntime"][1] == "9.9"
    assert "what the limit promises" in found


def prove(folder: Path) -> str:
    """Enough of a proof where the registry is what is tested."""
    return id_of(folder)


def test_an_exchanged_folder_is_not_what_was_activated(thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "bundles"
    activate(registry, thumbnail_bundle, by="Ada", why="", prove=prove)
    inside, _ = bundle_in_use(registry)
    shutil.rmtree(inside)
    variant(thumbnail_bundle, inside, seed=9)

    with pytest.raises(BundleRejected, match="not the bundle that was activated"):
        Bundle.load(registry)


def test_bundles_without_a_choice_are_refused(thumbnail_bundle: Path, tmp_path: Path) -> None:
    variant(thumbnail_bundle, tmp_path / "bundles" / "only", seed=9)

    with pytest.raises(BundleRejected, match="none of them is active"):
        Bundle.load(tmp_path / "bundles")


def test_a_plain_bundle_becomes_the_first_of_a_registry(thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "zipper"
    shutil.copytree(thumbnail_bundle, registry)
    second = variant(thumbnail_bundle, tmp_path / "second", seed=7)

    activate(registry, second, by="Ada", why="", prove=prove)

    assert len(bundles_in(registry)) == 2
    assert Bundle.load(registry).id == id_of(second)
    rollback(registry, by="Ada", why="", prove=prove)
    assert Bundle.load(registry).id == id_of(thumbnail_bundle)


def test_rolling_back_goes_further_each_time(thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "bundles"
    made = [variant(thumbnail_bundle, tmp_path / f"made{n}", seed=20 + n) for n in range(3)]
    for bundle in made:
        activate(registry, bundle, by="Ada", why="", prove=prove)

    back = [rollback(registry, by="Ada", why="", prove=prove).bundle_id for _ in range(2)]

    assert back == [id_of(made[1]), id_of(made[0])]
    with pytest.raises(UsageError, match="no bundle to go back to"):
        rollback(registry, by="Ada", why="", prove=prove)
    assert len(switches(registry)) == 5


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 1, "switches": [{"what": "activate"}]}', "[]"])
def test_a_damaged_pointer_is_no_bundle(text: str, thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "bundles"
    activate(registry, thumbnail_bundle, by="Ada", why="", prove=prove)
    (registry / POINTER).write_text(text)

    with pytest.raises(BundleRejected):
        Bundle.load(registry)


@pytest.mark.parametrize("folder", ["../second", "/etc", "..", ""])
def test_the_pointer_never_leads_out_of_its_folder(folder: str, thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "bundles"
    activate(registry, thumbnail_bundle, by="Ada", why="", prove=prove)
    said = json.loads((registry / POINTER).read_text())
    said["switches"][-1]["folder"] = folder
    (registry / POINTER).write_text(json.dumps(said))

    with pytest.raises(BundleRejected, match="is no switch"):
        Bundle.load(registry)


_DYING = """
import os, sys
from pathlib import Path
from edge_agent.inspection.bundle import registry
from edge_agent.inspection.bundle.manifest import read_manifest
left, sync = int(sys.argv[3]), registry._sync
def dying(path):
    global left
    sync(path)
    left -= 1
    if left == 0:
        os._exit(9)
registry._sync = dying
registry.activate(Path(sys.argv[1]), Path(sys.argv[2]), by="Ada", why="", prove=lambda f: read_manifest(f).text("id"))
"""


def test_killed_anywhere_in_a_switch_the_line_has_the_old_bundle_or_the_new(
    thumbnail_bundle: Path, tmp_path: Path
) -> None:
    second = variant(thumbnail_bundle, tmp_path / "second", seed=7)
    wanted = {id_of(thumbnail_bundle), id_of(second)}
    ends, seen = [], set()
    for after in (1, 4, 7, 8, 9, 99):
        registry = tmp_path / f"registry{after}"
        activate(registry, thumbnail_bundle, by="Ada", why="", prove=prove)
        ran = subprocess.run(
            [sys.executable, "-c", _DYING, str(registry), str(second), str(after)], check=False, timeout=60
        )
        ends.append(ran.returncode)
        found = Bundle.load(registry).id
        seen.add(found)
        assert found in wanted
        if found != id_of(second):  # nothing is in the way of doing it again
            activate(registry, second, by="Ada", why="", prove=prove)
            assert Bundle.load(registry).id == id_of(second)

    assert ends[0] == 9
    assert ends[-1] == 0
    assert seen == wanted


async def test_the_journal_says_what_judges_and_who_chose_it(thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry = tmp_path / "bundles"
    activate(registry, thumbnail_bundle, by="Ada", why="first lot", prove=prove)
    async with line(tmp_path, registry) as at:
        await at.stop_agent()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            said = [event.detail for event in journal.events() if event.kind == "BUNDLE"]

    assert len(said) == 1
    assert id_of(thumbnail_bundle) in said[0]
    assert "activated by Ada" in said[0]
    assert "first lot" in said[0]
