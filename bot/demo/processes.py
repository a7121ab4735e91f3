"""The bot and the reaper as the Procfile starts them, in processes of their own beside the demo's workspace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from jobs.errors import Misconfigured

# A bot that is asked to stop finishes its transaction and its post; longer than this it is stuck.
PATIENCE = 10.0


class Process:
    """One child with its output in a file; it dies with `close`, and its log is kept."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bot.cli", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C goes to the demo alone, which then ends its children in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def check(self) -> None:
        """Raise `Misconfigured` with the last lines of the log if the child has left."""
        code = self._child.poll()
        if code is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-12:]
            raise Misconfigured("\n".join([f"The {self.name} left with code {code}. Its last words:", *tail]))

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """Ask it to leave, and insist when it does not."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
