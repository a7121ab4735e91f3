"""An S3 that forgets: a stand-in that answers as S3 does, counts what it is sent, and keeps small objects only.

For measuring the side that sends: what a real store costs by itself is not in the figure. It checks no signature.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from trainer.storage import S3Store, open_store

BUCKET = "sink"
_KEPT = 2**20  # bytes; events, logs and manifests are smaller, checkpoints are not
_BLOCK = 2**20


class Sink:
    """Serves on a free port of 127.0.0.1 inside its `with`."""

    uri = f"s3://{BUCKET}/hg"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.parts: dict[tuple[str, str], int] = {}  # upload and part number: bytes
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = lambda self: outer.serve(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables with which a machine reaches it."""
        return {
            "HOURGLASS_STORE_AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY": "example-secret",
            "HOURGLASS_STORE_AWS_REGION": "us-east-1",
            "HOURGLASS_STORE_AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
        }

    def store(self) -> S3Store:
        """Return the store, as the bot would open it."""
        found = open_store(self.uri, self.environment)
        assert isinstance(found, S3Store)
        return found

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        split = urlsplit(request.path)
        key, query = unquote(split.path).removeprefix(f"/{BUCKET}").lstrip("/"), parse_qs(split.query, True)
        body, size, etag = _read(request)
        with self._lock:
            code, answer, headers = self._answer(request.command, key, query, body, size, etag)
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name, value)
        if "Content-Length" not in headers:
            request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(answer)

    def _answer(
        self, verb: str, key: str, query: Mapping[str, list[str]], body: bytes, size: int, etag: str
    ) -> tuple[int, bytes, dict[str, str]]:
        if verb == "POST" and "uploads" in query:
            upload = f"u{len(self.parts) + len(self.sizes)}"
            return 200, _xml("InitiateMultipartUploadResult", Bucket=BUCKET, Key=key, UploadId=upload), {}
        if verb == "PUT" and "partNumber" in query:
            self.parts[query["uploadId"][0], query["partNumber"][0]] = size
            return 200, b"", {"ETag": etag}
        if verb == "POST":
            upload = query["uploadId"][0]
            self.sizes[key] = sum(part for (of, _), part in self.parts.items() if of == upload)
            return 200, _xml("CompleteMultipartUploadResult", Bucket=BUCKET, Key=key, ETag=etag), {}
        if verb == "PUT":
            self.sizes[key] = size
            self.objects[key] = body
            return 200, b"", {"ETag": etag}
        if verb == "DELETE":
            self.sizes.pop(key, None)
            self.objects.pop(key, None)
            return 204, b"", {}
        if verb == "GET" and "list-type" in query:
            prefix = query.get("prefix", [""])[0]
            listed = "".join(
                f"<Contents><Key>{name}</Key><Size>{self.sizes[name]}</Size></Contents>"
                for name in sorted(self.sizes)
                if name.startswith(prefix)
            )
            return 200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>".encode(), {}
        if key not in self.sizes:
            return 404, _xml("Error", Code="NoSuchKey", Message="There is none."), {}
        answer = self.objects.get(key, b"")
        return 200, answer, {"ETag": '"0"', "Content-Length": str(self.sizes[key] if verb == "HEAD" else len(answer))}


def _read(request: BaseHTTPRequestHandler) -> tuple[bytes, int, str]:
    """Return a request's body where it is small, how large it is, and its ETag; chunks that are signed are undone."""
    length = int(request.headers.get("Content-Length") or 0)
    wrapped = "aws-chunked" in (request.headers.get("Content-Encoding") or "")
    size = int(request.headers.get("x-amz-decoded-content-length") or length)
    digest, kept, left = hashlib.md5(usedforsecurity=False), b"", length
    while left:
        block = request.rfile.read(min(left, _BLOCK))
        if not block:
            break
        left -= len(block)
        kept = kept + block if length <= _KEPT + 65_536 else b""
        digest.update(block[:64])  # an ETag that differs where contents do is enough here, and cheap
    if wrapped and kept:
        kept = b"".join(_chunks(kept))
    return kept, size, f'"{digest.hexdigest()}"'


def _chunks(body: bytes) -> list[bytes]:
    found, at = [], 0
    while match := re.compile(rb"([0-9a-fA-F]+)(?:;[^\r\n]*)?\r\n").match(body, at):
        length = int(match[1], 16)
        if length == 0:
            break
        found.append(body[match.end() : match.end() + length])
        at = match.end() + length + 2
    return found


def _xml(name: str, **fields: str) -> bytes:
    inner = "".join(f"<{tag}>{text}</{tag}>" for tag, text in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inner}</{name}>'.encode()
