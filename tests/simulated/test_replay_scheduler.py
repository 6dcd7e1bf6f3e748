"""A replay at a scheduler of its own, as a plant has one: a real `dask scheduler`, real workers, TLS between all."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from edge_agent.errors import BundleRejected, Unavailable
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.plant import judging
from edge_agent.tools.plant.carried import CarriedBundle
from edge_agent.tools.plant.cluster import _check_versions, versions
from edge_agent.tools.replay import replay_folder
from edge_agent.wiring.free_ports import free_port
from tests.certificates import authority
from tests.plant import Ran, done_chunks, images_below, results, until, verdict_bits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.certificates import Authority

pytestmark = pytest.mark.timeout(600)

NUMBER = 300


@dataclass
class Plant:
    """A scheduler and its workers, each a process; ``environment`` is what a client of them needs."""

    address: str
    environment: dict[str, str]
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin_worker(self) -> None:
        folder = self.folder / f"worker-{len(self.workers)}"
        folder.mkdir()
        options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--local-directory", str(folder))
        self.workers.append(self.begin("distributed.cli.dask_worker", self.address, *options))

    def begin(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "plant.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self.stack.callback(_ended, process)
        return process

    def judging(self) -> list[psutil.Process]:
        """The processes that judge: each is below the one that watches it."""
        below = [one for worker in self.workers for one in psutil.Process(worker.pid).children(recursive=True)]
        return [one for one in below if "spawn_main" in " ".join(one.cmdline())]


def _ended(process: subprocess.Popen[bytes]) -> None:
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for one in below:
        one.kill()
    process.kill()
    process.wait()


@contextmanager
def plant(folder: Path, made: Authority, workers: int = 2) -> Iterator[Plant]:
    certificate, key = made.leaf("plant")
    tls = {"CA_FILE": str(made.ca)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls |= {f"{role}__CERT": str(certificate), f"{role}__KEY": str(key)}
    environment = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": value for name, value in tls.items()}
    port = free_port()
    at = Plant(f"tls://127.0.0.1:{port}", environment, folder)
    with at.stack:
        options = ("--host", f"tls://127.0.0.1:{port}", "--no-dashboard", "--protocol", "tls")
        at.begin("distributed.cli.dask_scheduler", *options)
        for _ in range(workers):
            at.begin_worker()
        yield at


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
    _check_versions({"tls://10.0.0.5:1": ours}, ours)

    with pytest.raises(Unavailable, match=r"numpy 1\.0") as refused:
        _check_versions({"tls://10.0.0.5:1": ours, "tls://10.0.0.6:1": {**ours, "numpy": "1.0"}}, ours)
    assert "10.0.0.6" in str(refused.value)
