"""The real nginx with deploy/nginx-edge-agent.conf as it is shipped, at a free port. Absent, its tests are skipped."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.wiring.free_ports import free_port
from tests.certificates import authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

RECIPE = (Path(__file__).parents[2] / "deploy" / "nginx-edge-agent.conf").read_text()
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NO_NGINX = "no nginx on this machine (apt-get install nginx-light)"
_AROUND = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/edge-agent.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer by way of nginx, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Proxy:
    """nginx at its port of 127.0.0.1. ``flags`` let Chromium trust its certificate and find the name in the recipe."""

    port: int
    folder: Path
    trusts: ssl.SSLContext
    certificate: Path

    @property
    def flags(self) -> tuple[str, ...]:
        words = [("x509", "-in", str(self.certificate), "-pubkey", "-noout"), ("pkey", "-pubin", "-outform", "der")]
        key = b""
        for of in words:
            key = subprocess.run(["openssl", *of], input=key, check=True, capture_output=True).stdout
        pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
        return (
            f"--ignore-certificate-errors-spki-list={pin}",
            "--host-resolver-rules=MAP line7.plant.example 127.0.0.1",
        )

    async def open(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A request over TLS with exactly these headers; the reader stands before the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusts)
        given = {"Host": f"line7.plant.example:{self.port}", "Connection": "close", **(headers or {})}
        if body:
            given["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return reader, writer

    async def ask(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The whole answer to a request."""
        reader, writer = await self.open(path, method=method, headers=headers, body=body)
        try:
            async with asyncio.timeout(60):
                said, _, more = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        status, *lines = said.decode("latin-1").split("\r\n")
        named = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(status.split()[1]), named, _whole(more) if "transfer-encoding" in named else more)


def _whole(chunked: bytes) -> bytes:
    """The body behind its chunks."""
    body = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        body, chunked = body + chunked[: int(size, 16)], chunked[int(size, 16) + 2 :]
    return body


@asynccontextmanager
async def nginx(folder: Path, page_port: int, changes: Mapping[str, str] | None = None) -> AsyncIterator[Proxy]:
    """The proxy before the page at ``page_port``, with a certificate of its own; ``changes`` are made in the recipe."""
    assert NGINX is not None
    await asyncio.to_thread(folder.mkdir)
    made, port = authority(folder / "certificates"), free_port()
    certificate, key = made.leaf("nginx")
    recipe = RECIPE
    for old, new in {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "/etc/nginx/edge-agent.pem": str(certificate),
        "/etc/nginx/edge-agent.key": str(key),
        "http://127.0.0.1:8480/": f"http://127.0.0.1:{page_port}/",
        "/etc/nginx/edge-agent.htpasswd": str(folder / "htpasswd"),
        **(changes or {}),
    }.items():
        assert old in recipe, old
        recipe = recipe.replace(old, new)
    (folder / "edge-agent.conf").write_text(recipe)
    user = "user root;" if os.geteuid() == 0 else ""  # its workers have to reach the test's folder
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(30):
            while not await _listens(port):
                assert process.returncode is None, (folder / "error.log").read_text()
                await asyncio.sleep(0.02)
        context = ssl.create_default_context(cafile=str(made.ca))
        context.check_hostname = False  # the certificate is for 127.0.0.1, the name that is asked for the recipe's
        yield Proxy(port, folder, context, certificate)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
