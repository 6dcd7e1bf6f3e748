"""A PostgreSQL of a test's own, where this machine has one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.wiring.free_ports import free_port
from tests.publishing import until

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["POSTGRES", "postgres"]


def _programs() -> Path | None:
    """The folder of postgres and initdb; None where there is none."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


POSTGRES = _programs()


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The url of a server that is empty, in that folder, until the block ends."""
    assert POSTGRES is not None
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam("postgres")
        folder = Path("/tmp") / f"pg-{os.getpid()}-{free_port()}"  # noqa: S108 - a folder that this user may enter
        folder.mkdir(mode=0o700)
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "cwd": "/"}
    data, port = folder / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    init = [POSTGRES / "initdb", "-D", data, "-U", "fleet", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(init, check=True, **quiet, **as_user)  # type: ignore[call-overload]
    serve = [POSTGRES / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
    server = subprocess.Popen(serve, **quiet, **as_user)  # type: ignore[call-overload]
    ready = [POSTGRES / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-U", "fleet"]
    try:
        until(lambda: subprocess.run(ready, check=False, **quiet).returncode == 0)  # type: ignore[call-overload]
        yield f"postgresql+psycopg://fleet@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
