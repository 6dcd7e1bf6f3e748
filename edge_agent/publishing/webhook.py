"""Results to an HTTP address: a POST with a batch of records; any 2xx confirms the whole batch."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge_agent.publishing.sender import NotDelivered
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.publishing.outbox import Record
    from edge_agent.settings import WebhookSettings

__all__ = ["WebhookReceiver"]

_WITHIN_S = 10.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another place than line.toml names gets neither records nor token."""

    def redirect_request(self, *_: Any) -> None:
        return


class WebhookReceiver:
    """An address that takes POSTs. Used in one thread."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings, line: str) -> None:
        self._settings = settings
        self._line = line
        self.most = settings.most
        self._opener = urllib.request.build_opener(_NoRedirect)

    def deliver(self, records: Sequence[Record]) -> None:
        """POST them. Raises NotDelivered for everything but 2xx: what is refused is kept and sent again."""
        body = {
            "schema_version": 1,
            "line": self._line,
            "parts": [record.content for record in records if record.kind == "part"],
            "events": [record.content for record in records if record.kind == "event"],
        }
        request = urllib.request.Request(  # noqa: S310 - line.toml takes http and https only
            self._settings.url,
            data=json.dumps(body, allow_nan=False, default=str).encode(),
            method="POST",
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"edge-agent/{version('edge-agent')}",
                "Idempotency-Key": f"{records[0].origin[:16]}-{records[0].link}-{records[-1].link}",
            },
        )
        if self._settings.token_file is not None:
            request.add_unredirected_header("Authorization", f"Bearer {read_password(self._settings.token_file)}")
        try:
            with self._opener.open(request, timeout=_WITHIN_S) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as err:
            err.close()
            raise NotDelivered(f"{self._settings.url} answered {err.code} {err.reason}") from err
        except (OSError, ValueError, http.client.HTTPException) as err:
            raise NotDelivered(f"{self._settings.url} cannot be reached: {err}") from err

    def close(self) -> None:
        """Nothing is held open between two deliveries."""
