"""The metadata service as each machine of `tests.aws.harness` sees it: its tags, and the notice that it is taken back.

A stand-in for 169.254.169.254 on the engine's bridge. Who asks is known by his address, as on a real host; IMDSv2 alone
is spoken, and a tag is shown only where the launch asked for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.metadata import TOKEN, answer

_TAGS = "/latest/meta-data/tags/instance/"


class MachineMetadata:
    """One server for all machines; `who` names the instance at an address, `described` gives what its books hold."""

    def __init__(
        self,
        address: str,
        who: Callable[[str], str | None],
        described: Callable[[str], Mapping[str, Any] | None],
    ) -> None:
        self.notices: dict[str, str] = {}  # instance -> the JSON of spot/instance-action
        self._who, self._described = who, described
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._get(self)

            def do_PUT(self) -> None:
                good = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
                answer(self, 200 if good else 400, TOKEN if good else "")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a test's own output is what is read."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="metadata")
        self._thread.start()
        self.url = f"http://{address}:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        name = self._who(request.client_address[0])
        one = self._described(name) if name is not None else None
        if request.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            answer(request, 401, "")
        elif name is None or one is None:
            answer(request, 404, "")
        elif request.path.startswith(_TAGS):
            shown = one.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled"
            tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())} if shown else {}
            value = tags.get(request.path.removeprefix(_TAGS))
            answer(request, 404 if value is None else 200, value or "")
        elif request.path == "/latest/meta-data/spot/instance-action" and name in self.notices:
            answer(request, 200, self.notices[name])
        else:
            answer(request, 404, "")
