"""A line to a server on this computer that breaks when it is told to, and counts what went over it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from urllib.parse import urlsplit

_SIGNED = re.compile(rb"Credential=([^/\s]+)/")


class BrittleLine:
    """Forwards a free port of 127.0.0.1 to `endpoint` inside its `with`."""

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0  # bytes from the client
        self.keys: set[bytes] = set()  # ids of the keys that requests to S3 were signed with
        self._breaks_at: int | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def break_after(self, sent: int) -> None:
        """Break once so many bytes in all have gone to the server, and stay broken until `mend`."""
        self._breaks_at = sent

    def mend(self) -> None:
        """Let it work again."""
        self._breaks_at = None

    def __enter__(self) -> BrittleLine:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._cut()

    @property
    def _broken(self) -> bool:
        return self._breaks_at is not None and self.sent >= self._breaks_at

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._broken:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                with self._lock:
                    self._open |= {client, server}
                for source, target, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(source, target, counts), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if counts:
                    with self._lock:
                        self.sent += len(data)
                        self.keys.update(_SIGNED.findall(data))
                    if self._broken:
                        self._cut()
                        return
                target.sendall(data)
        for end in (source, target):
            end.close()

    def _cut(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
