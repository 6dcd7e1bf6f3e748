"""A scheduler of Dask and its workers as a plant has them: processes of their own, TLS between all."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from edge_agent.wiring.free_ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.certificates import Authority

__all__ = ["Plant", "plant"]


@dataclass
class Plant:
    """A scheduler and its workers, each a process; ``environment`` is what a client of them needs."""

    address: str
    environment: dict[str, str]
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: list[subprocess.Popen[bytes]] = field(default_factory=list)

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
        at.scheduler.append(at.begin("distributed.cli.dask_scheduler", *options))
        for _ in range(workers):
            at.begin_worker()
        yield at
