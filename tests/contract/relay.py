"""A relay in front of a Unix socket, to be cut: what a provider meets when its engine stops answering."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class Relay:
    """Forwards every connection to `target` until it is cut; a cut ends what is open and refuses what comes."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._down = threading.Event()
        self._mute_after: bytes | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Be unreachable within this context."""
        self._down.set()
        self._hang_up()
        try:
            yield
        finally:
            self._down.clear()

    def lose_answer_to(self, request: bytes) -> None:
        """Once: forward the request whose first line holds these bytes, and hang up before its answer comes back."""
        self._mute_after = request

    def close(self) -> None:
        """Stop; what is open is ended."""
        self._down.set()
        self._hang_up()
        self._server.close()

    def _hang_up(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self._down.is_set():
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            lost = threading.Event()
            with self._lock:
                self._open |= {near, far}
            threading.Thread(target=self._forward, args=(near, far, lost, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(far, near, lost, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, lost: threading.Event, asking: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asking and self._mute_after is not None and self._mute_after in data.partition(b"\r\n")[0]:
                    self._mute_after = None
                    lost.set()
                if not asking and lost.is_set():
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()
