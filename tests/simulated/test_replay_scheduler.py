"""A replay at a scheduler of its own, as a plant has one: a real `dask scheduler`, real workers, TLS between all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import BundleRejected, Unavailable
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.plant import judging
from edge_agent.tools.plant.carried import CarriedBundle
from edge_agent.tools.plant.versions import check_versions, versions
from edge_agent.tools.replay import replay_folder
from tests.certificates import authority
from tests.plant import Ran, done_chunks, images_below, results, until, verdict_bits
from tests.plant_site import plant

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

NUMBER = 300


def bits_of_one_process(images: Path, bundle: Path) -> list[tuple[object, ...]]:
    inspector = Inspector(Bundle.load(bundle), threads=2)
    inspector.warm_up()
    return [verdict_bits(image) for image in replay_folder(images, {(1, 1): inspector}, None, lambda *_: None).images]


def test_a_scheduler_with_tls_gives_the_bits_of_one_process_while_workers_and_client_are_killed(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    images, out = images_below(tmp_path / "images", NUMBER), tmp_path / "out"
    arguments = ("replay", str(images), "--bundle", str(thumbnail_bundle), "--out", str(out), "--chunk", "2")
    with plant(tmp_path, authority(tmp_path / "ca")) as at:
        command = (*arguments, "--scheduler", at.address)
        with Ran(command, environment=at.environment) as ran:
            until("chunk", lambda: len(done_chunks(out)) >= 2)
            at.judging()[0].kill()
            before = len(done_chunks(out))
            until("chunk behind it", lambda: len(done_chunks(out)) > before)
            ran.kill()
        assert len(done_chunks(out)) < NUMBER // 2, "it was done before it could be killed: this proves nothing"
        kept = {path: path.stat().st_mtime_ns for path in done_chunks(out)}
        with Ran(command, environment=at.environment) as ran:
            code, _, err = ran.end()
        assert code == 0, err + (tmp_path / "plant.log").read_text()
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        assert [verdict_bits(image) for image in results(out)] == bits_of_one_process(images, thumbnail_bundle)
        carried = list(tmp_path.glob("worker-*/**/edge-agent-bundles/*/manifest.json"))
        assert carried, "workers of another machine would not see the client's folder"

        with Ran((*arguments[:-4], "--out", str(tmp_path / "o2"), "--scheduler", at.address)) as ran:
            code, _, err = ran.end()
    assert code == 69, "a client without a certificate is not let in"
    assert "no scheduler answers at" in err


def test_a_bundle_that_was_carried_is_judged_by_and_another_one_is_refused(
    tmp_path: Path, thumbnail_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(thumbnail_bundle)
    monkeypatch.setattr(judging, "carried", {})
    with pytest.raises(BundleRejected, match="is not there"):
        judging._bundle(judging.BundleAt(bundle.id, ("/nowhere",)))

    worker: Any = SimpleNamespace(local_directory=str(tmp_path))
    CarriedBundle(bundle).setup(worker)
    assert judging._bundle(judging.BundleAt(bundle.id, ("/nowhere",))).id == bundle.id

    with pytest.raises(BundleRejected, match="has bundle"):
        judging._bundle(judging.BundleAt("0" * 64, (str(thumbnail_bundle),)))


def test_a_worker_with_another_version_is_refused() -> None:
    ours = versions()
    check_versions("the worker tls://10.0.0.5:1", ours, ours)

    with pytest.raises(Unavailable, match=r"numpy 1\.0") as refused:
        check_versions("the worker tls://10.0.0.6:1", {**ours, "numpy": "1.0"}, ours)
    assert "10.0.0.6" in str(refused.value)


def test_a_worker_that_comes_later_and_has_another_version_judges_nothing(tmp_path: Path) -> None:
    """Only those that are there at the beginning are asked for theirs: each says it again with its first chunk."""
    chunk = judging.Chunk(0, str(tmp_path), (), (), {**versions(), "edge-agent": "0.0.9"})
    with pytest.raises(Unavailable, match=r"this machine has 0\.0\.9"):
        judging.judge_chunk(chunk)
