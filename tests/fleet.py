"""What tests of a fleet share: its server as a process of its own, and lines whose parts are made up."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from edge_agent.fleet.serving import wall_key
from edge_agent.fleet_line.messages import Answer, Enrolled, Enrolment, JudgingBundle, State
from edge_agent.fleet_line.process import send_rows
from edge_agent.fleet_line.secret import secret_file, write_secret
from edge_agent.fleet_line.server import FleetServer, NotAnswered
from edge_agent.settings import FleetSettings
from edge_agent.wiring.free_ports import free_port
from tests.command_line import edge_agent_here
from tests.publishing import Written, until
from tests.security.web_site import web_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["AnyLine", "Fleet", "Lying", "fleet_command", "sending_rows", "state_of"]


@dataclass
class Fleet:
    """The server on this machine, started and ended as a test wants."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    more: tuple[str, ...] = ()
    ca: Path | None = None
    """Whom its certificate is of, where it has one."""

    @property
    def url(self) -> str:
        return f"http{'s' if self.ca else ''}://127.0.0.1:{self.port}"

    @property
    def context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca) if self.ca else None

    def start(self) -> None:
        words = ("fleet", "serve", "--folder", str(self.folder), "--port", str(self.port), *self.more)
        self.process = subprocess.Popen([sys.executable, "-m", "edge_agent", *words])
        until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5, context=self.context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def lines(self) -> dict[str, dict[str, Any]]:
        """Every tile of the page, by the line's name."""
        return {one["line"]: one for one in self.asked()["lines"]}

    def promotions(self) -> list[dict[str, Any]]:
        return list(self.asked()["promotions"])

    def asked(self) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/api/lines")  # noqa: S310
        request.add_header("Authorization", f"Bearer {wall_key(self.folder)}")
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:  # noqa: S310
            return dict(json.loads(answer.read()))

    def post(self, path: str, body: bytes, secret: str) -> int:
        """The status that this body gets."""
        request = urllib.request.Request(f"{self.url}{path}", body, method="POST")  # noqa: S310
        request.add_header("Authorization", f"Bearer {secret}")
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.context) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as err:
            err.close()
            return err.code

    @contextmanager
    def running(self) -> Iterator[Fleet]:
        self.start()
        try:
            yield self
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()


def fleet_command(fleet: Fleet, *words: str) -> dict[str, Any]:
    """Run ``edge-agent fleet`` at the server; what it says."""
    ran = edge_agent_here("fleet", *words, "--folder", str(fleet.folder), "--json")
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def state_of(**changes: Any) -> State:
    """A line that is READY."""
    place = JudgingBundle(program=1, camera=1, bundle_id="a" * 64, chosen_id="a" * 64)
    values: dict[str, Any] = {
        "version": "0.1.0",
        "at_utc": "2026-11-30T10:00:00.000+00:00",
        "state": "READY",
        "follow": "activate",
        "bundles": (place,),
    }
    return State(**(values | changes))


class AnyLine:
    """A line with a journal of its own and the real way to the fleet; no agent and no images."""

    def __init__(self, folder: Path, fleet: Fleet, name: str, follow: str = "activate") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.fleet, self.name = fleet, name
        plain = web_settings(folder)
        ca = {"ca_file": fleet.ca} if fleet.ca else {}
        self.at_fleet = FleetSettings.model_validate({"url": fleet.url, "follow": follow, **ca})
        self.settings: Settings = plain.model_copy(update={"fleet": self.at_fleet})
        self.server = FleetServer(self.at_fleet)
        self.secret = ""

    def join(self) -> str:
        """With an invitation made now; the invitation."""
        invitation = str(fleet_command(self.fleet, "invite", self.name, "--by", "a test")["invitation"])
        answer = self.server.post("/line/enrol", Enrolment(invitation=invitation), Enrolled)
        assert answer.line == self.name
        self.secret = answer.secret
        write_secret(secret_file(self.settings), self.secret)
        return invitation

    def tell(self, **changes: Any) -> Answer:
        return self.server.post("/line/state", state_of(**changes), Answer, secret=self.secret)

    def refused(self, **changes: Any) -> int:
        """The status that telling gets; 0: it was taken."""
        try:
            self.tell(**changes)
        except NotAnswered as err:
            return err.code
        return 0

    def begins(self) -> Written:
        """The journal, begun and known to the queue: what is written from now on is delivered."""
        return Written(self.settings.store.journal)


@dataclass
class Lying:
    """A server that answers each path with those bytes and that status."""

    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[FleetServer]:
        lying = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                lying.asked.append(self.path)
                code, body, headers = lying.answers.get(self.path, (404, b"", {}))
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = found.server_address[1]
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield FleetServer(FleetSettings.model_validate({"url": f"http://127.0.0.1:{self.port}"}))
        finally:
            found.shutdown()
            found.server_close()
            thread.join()


@contextmanager
def sending_rows(line: AnyLine) -> Iterator[None]:
    """The rows' way to the fleet, as the line's process has it, while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=send_rows, args=(stop, line.settings, line.at_fleet))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
