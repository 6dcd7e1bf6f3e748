"""An object storage that speaks as much of S3 as reading needs, over a folder: written from Amazon's API reference.

ListObjectsV2 with prefix and delimiter, in pages; HeadObject; GetObject with ranges. Requests that are not signed with
the one access key are refused, as MinIO does.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ACCESS_KEY", "s3_server"]

ACCESS_KEY = "edge-agent-tests"
_PAGE = 7
"""Objects of one answer: few, so that a listing has several pages."""


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Serve each folder in ``folder`` as a bucket; gives the environment that a client needs."""

    class Handler(_Handler):
        root = folder

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="s3")
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "not told to anybody",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_HEAD(self) -> None:
        self._object(with_body=False)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        if "list-type" in query:
            self._list(unquote(asked.path).strip("/"), query)
        else:
            self._object(with_body=True)

    def _object(self, *, with_body: bool) -> None:
        path = self.root / unquote(urlsplit(self.path).path).lstrip("/")
        if not self._may():
            return
        if not path.is_file():
            self._answer(HTTPStatus.NOT_FOUND, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
            return
        data, status = path.read_bytes(), HTTPStatus.OK
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            data = data[int(found[1]) : int(found[2]) + 1 if found[2] else None]
            status = HTTPStatus.PARTIAL_CONTENT
        self._answer(status, data, with_body=with_body)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        if not self._may():
            return
        folder = self.root / bucket
        if not folder.is_dir():
            self._answer(HTTPStatus.NOT_FOUND, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        found = {self._rolled(key, prefix, query.get("delimiter", "")) for key in keys if key.startswith(prefix)}
        told = sorted(one for one in found if one > after)
        page, is_cut = told[:_PAGE], len(told) > _PAGE
        rows = "".join(self._row(folder, one) for one in page)
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if is_cut else ""
        body = (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{_PAGE}</MaxKeys><IsTruncated>{str(is_cut).lower()}</IsTruncated>{more}{rows}</ListBucketResult>"
        )
        self._answer(HTTPStatus.OK, body.encode())

    @staticmethod
    def _rolled(key: str, prefix: str, delimiter: str) -> str:
        """A key, or what all keys of its folder have in common."""
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        return f"{prefix}{head}{found}" if found else key

    @staticmethod
    def _row(folder: Path, one: str) -> str:
        if one.endswith("/"):
            return f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
        size = (folder / one).stat().st_size
        facts = f'<LastModified>2026-11-30T10:00:00.000Z</LastModified><ETag>"{size:032x}"</ETag><Size>{size}</Size>'
        return f"<Contents><Key>{escape(one)}</Key>{facts}<StorageClass>STANDARD</StorageClass></Contents>"

    def _may(self) -> bool:
        said = self.headers.get("Authorization", "")
        if said.startswith("AWS4-HMAC-SHA256") and f"Credential={ACCESS_KEY}/" in said:
            return True
        self._answer(HTTPStatus.FORBIDDEN, b"<Error><Code>AccessDenied</Code></Error>")
        return False

    def _answer(self, status: HTTPStatus, body: bytes, *, with_body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT")
        self.send_header("ETag", f'"{len(body):032x}"')
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""
