"""What the bot asks of a running machine: one small file, looked at again and again."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from trainer import wire
from trainer.storage import Store, StoreFault
from trainer.wire import Control


def parse_control(data: bytes) -> Control:
    """Return the wish in `data`; raises `ValueError` on what is not one."""
    control = wire.from_json(Control, data)
    if isinstance(control.seq, bool) or not isinstance(control.seq, int):
        raise ValueError(f"seq {control.seq!r} is not a whole number")
    if isinstance(control.deadline, bool) or not isinstance(control.deadline, int | float):
        raise ValueError(f"deadline {control.deadline!r} is not a time")
    if not math.isfinite(control.deadline) or control.deadline <= 0:
        raise ValueError(f"deadline {control.deadline!r} is not a time")
    return control


class ControlWatch:
    """Looks at the control file every `every` seconds and hands on each newer wish once.

    A store that cannot be read changes nothing. A file that is no control file is told once and changes nothing.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        every: float,
        wish: Callable[[Control], None],
        notice: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._key = key
        self._every = every
        self._wish = wish
        self._notice = notice
        self._seen = -1
        self._complained = False
        self._stop = threading.Event()
        self._looked = threading.Event()
        self._looked.set()  # nobody waits for the first
        self._poke = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Look now; safe in a signal handler's aftermath, not in the handler itself."""
        self._poke.release()

    def fresh(self, patience: float) -> bool:
        """Wait until a look that begins after this call is done; return False if that takes too long."""
        self._looked.clear()
        self._poke.release()
        return self._looked.wait(patience)

    def close(self) -> None:
        """Stop looking; a look under way may outlive this call, unheard."""
        self._stop.set()
        self._poke.release()

    def look(self) -> None:
        """Read the file once."""
        try:
            data = self._store.get(self._key)
        except StoreFault:
            return
        if data is None:
            return
        try:
            control = parse_control(data)
        except ValueError as error:
            if not self._complained:
                self._complained = True
                self._notice("control_unreadable", f"The control file was left alone, it cannot be read: {error}.")
            return
        if control.seq > self._seen and not self._stop.is_set():
            self._seen = control.seq
            self._wish(control)

    def _run(self) -> None:
        while not self._stop.is_set():
            began_before = self._looked.is_set()
            self.look()
            if not began_before:
                self._looked.set()
            self._poke.acquire(timeout=self._every)
