"""The agent's end of `import hourglass`: datagrams in, one small state file out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LARGEST = 65_536
_HINT = 100  # bytes a socket's path may have, with room for the system's own limit of 104 or 108


class Inbox:
    """Receives what scripts report, in a thread of its own."""

    def __init__(self, folder: Path, *, take: Callable[[Mapping[str, Any]], None]) -> None:
        """Listen in `folder`, or in a temporary one where its path is too long for a socket."""
        self._temporary: Path | None = None
        if len(os.fsencode(folder / "socket")) > _HINT:
            folder = self._temporary = Path(tempfile.mkdtemp(prefix="hourglass-", dir="/tmp"))
        folder.mkdir(parents=True, exist_ok=True)
        self.address = folder / "socket"
        self.address.unlink(missing_ok=True)
        self._take = take
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    def publish(self, *, ends: float, stop: str | None) -> None:
        """Write what scripts may ask for: when it ends, on the boot clock, and whether and why to stop."""
        target = Path(f"{self.address}.state")
        temporary = target.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not end a training
            temporary.write_text(json.dumps({"ends": ends, "stop": stop}))
            temporary.replace(target)

    def close(self) -> None:
        """Take what still waits and stop listening."""
        self._closing = True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.settimeout(1.0)  # the queue may be full of what still waits
            waker.sendto(b"", str(self.address))  # the last in the queue: all before it is taken first
        self._thread.join(2.0)
        self._socket.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _run(self) -> None:
        while True:
            try:
                data = self._socket.recv(_LARGEST)
            except OSError:
                return
            if not data and self._closing:
                return
            # What is not JSON, or too deep or too large for it, was not sent by our module.
            with contextlib.suppress(ValueError, OverflowError, RecursionError):
                message = json.loads(data)
                if isinstance(message, dict):
                    self._take(message)
