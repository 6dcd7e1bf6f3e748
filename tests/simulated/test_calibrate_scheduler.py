"""A calibration at a scheduler of its own, as a plant has one: a real `dask scheduler`, real workers, and TLS."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import DataError, Unavailable
from edge_agent.tools.plant.hiring import _check_workers
from edge_agent.tools.plant.parcels import listed
from edge_agent.tools.plant.proof import arithmetic
from edge_agent.tools.plant.versions import CALIBRATION, check_versions, versions
from tests.certificates import authority
from tests.plant import Ran, until
from tests.plant_site import plant
from tests.simulated.line import edge_agent, good_image
from tests.simulated.test_calibrate_workers import bundle_id, command, kept

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


def test_folds_at_a_scheduler_with_tls_give_the_bundle_of_one_process_while_worker_and_scheduler_are_killed(
    tmp_path: Path,
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for number in range(24):
        (good / f"{number:02d}.bmp").write_bytes(good_image(number))
    one = edge_agent(*command(good, tmp_path / "one", "--voices", "image,tone,autoencoder"), within_s=500)
    assert one.returncode == 0, one.stderr
    out = tmp_path / "bundle"
    made = authority(tmp_path / "ca")
    arguments = command(good, out, "--voices", "image,tone,autoencoder")
    (tmp_path / "first").mkdir()
    with (
        plant(tmp_path / "first", made) as at,
        Ran((*arguments, "--scheduler", at.address), environment=at.environment) as ran,
    ):
        until("first images", lambda: len(kept(out)) >= 5)
        at.judging()[0].kill()
        before = len(kept(out))
        until("images behind it", lambda: len(kept(out)) > before)
        at.scheduler[0].kill()
        code, _, err = ran.end()
    assert code == 69, err
    assert "the scheduler was lost during the calibration" in err
    assert "what was worked out is kept, and the same command goes on" in err
    assert not out.exists(), "it was done before the scheduler was killed: this proves nothing"
    assert len(kept(out)) > before

    (tmp_path / "second").mkdir()
    with plant(tmp_path / "second", made) as at:
        with Ran((*arguments, "--scheduler", at.address), environment=at.environment) as ran:
            code, said, err = ran.end()
        log = (tmp_path / "second" / "plant.log").read_text()
    assert code == 0, err + log
    assert bundle_id(said) == bundle_id(one.stdout)
    assert not out.with_name("bundle.unfinished").exists()


def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "1.bmp").write_bytes(good_image(1))
    ran = edge_agent(*command(tmp_path, tmp_path / "bundle", "--scheduler", "tcp://127.0.0.1:1"))

    assert ran.returncode == 69
    assert "no scheduler answers at tcp://127.0.0.1:1" in ran.stderr


def test_a_worker_without_the_extra_or_without_edge_agent_is_refused() -> None:
    ours = versions(CALIBRATION)
    check_versions("the worker tls://10.0.0.5:1", ours, ours)

    with pytest.raises(Unavailable, match="has torch none, this machine has") as refused:
        check_versions("the worker tls://10.0.0.6:1", {**ours, "torch": "none"}, ours)
    assert "the extra calibrate" in refused.value.hint
    with pytest.raises(Unavailable, match="cannot work for edge-agent: No module named 'edge_agent'"):
        check_versions("the worker tls://10.0.0.6:1", ModuleNotFoundError("No module named 'edge_agent'"), ours)


def test_a_worker_that_sees_other_images_or_computes_other_bits_is_refused(tmp_path: Path) -> None:
    good, other = tmp_path / "good", tmp_path / "other"
    good.mkdir()
    (good / "1.bmp").write_bytes(good_image(1))
    shutil.copytree(good, other)
    folders, said = (str(good),), dict[str, Any]()
    client: Any = SimpleNamespace(run=lambda function, *_: {"tls://10.0.0.6:1": said[function.__name__]})

    said |= {"listed": listed((str(other),)), "arithmetic": arithmetic()}
    _check_workers(client, folders)
    (other / "2.bmp").write_bytes(good_image(2))
    for seen in (listed((str(other),)), listed(("/nowhere",))):
        said["listed"] = seen
        with pytest.raises(Unavailable, match=r"10\.0\.0\.6:1 does not see the images in"):
            _check_workers(client, folders)
    said |= {"listed": listed(folders), "arithmetic": "0" * 64}
    with pytest.raises(DataError, match="computes other bits"):
        _check_workers(client, folders)
