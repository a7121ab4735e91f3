"""From a pipe to lines: what a command prints, whatever it prints.

A carriage return ends a line as a newline does, for progress bars; bytes that are no UTF-8 are replaced; colours
and other control characters go; a line without an end is cut; secrets' values are masked before anything is kept.
Memory does not grow with the output.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from trainer.masking import MASK, Mask
from trainer.wire import ENV_SECRETS, ENV_STORE_PREFIX

WIDEST = 16_384  # characters of one line that are kept
TAIL_LINES = 80
TAIL_WIDTH = 500
_READ = 65_536
_FEW = 4_096  # bytes; after so few, a little is waited for more: one look for fifty lines costs a fiftieth
_PAUSE = 0.05  # seconds of that; a pipe holds far more than comes in them, or the next read is a large one
_ENDS = re.compile(r"(\r\n|\r|\n)")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CUT = re.compile(r"… \[[\d,]+ characters cut\]$")
_KEY_BEGINS = re.compile(r"-----BEGIN[A-Z ]* PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END[A-Z ]* PRIVATE KEY-----")
_KEY_LINES = 120  # of the longest in use, with room; a beginning alone must not swallow the log
_KEYS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")  # ends of names whose values are secrets


class Line(NamedTuple):
    """One clean line of output; `redraw` when a carriage return ended it, so that another takes its place."""

    text: str
    redraw: bool


def clean(text: str) -> str:
    """Return `text` without colours, cursor movements and control characters; tabs and line ends stay."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return text if text.isprintable() else _CONTROL.sub("", text)


class Splitter:
    """Bytes in, whole lines out; holds at most one unfinished line of bounded length."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._cut = 0  # characters of the unfinished line that are dropped

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that `data` finishes."""
        text = self._rest + self._decoder.decode(data)
        held = ""
        if text.endswith("\r"):  # its newline may come with the next bytes
            text, held = text[:-1], "\r"
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        pieces = _ENDS.split(clean(text[:end]))  # all at once: line by line it would cost five times as much
        lines = [self._line(pieces[i], pieces[i + 1] == "\r") for i in range(0, len(pieces) - 1, 2)]
        rest = text[end:]
        if len(rest) > WIDEST:
            self._cut += len(rest) - WIDEST
            rest = rest[:WIDEST]
        self._rest = rest + held
        return lines

    def end(self) -> list[Line]:
        """Return the last line, if it never got its end."""
        text = clean(self._rest + self._decoder.decode(b"", final=True)).rstrip("\r")
        self._rest = ""
        return [self._line(text, False)] if text or self._cut else []

    def _line(self, text: str, redraw: bool) -> Line:
        cut, self._cut = self._cut + max(0, len(text) - WIDEST), 0
        if cut:
            text = f"{text[:WIDEST]}… [{cut:,} characters cut]"
        return Line(text, redraw)


class Redactor:
    """Masks the values of the variables that the provider named as secrets, and what looks like somebody's token."""

    def __init__(self, env: Mapping[str, str]) -> None:
        names = [name.strip() for name in env.get(ENV_SECRETS, "").split(",") if name.strip()]
        # The store's own keys never reach the command; what goes wrong in the agent may have them in its words.
        names += [name for name in env if name.startswith(ENV_STORE_PREFIX) and name.endswith(_KEYS)]
        self.mask = Mask({env[name]: f"[{name}]" for name in names if name in env})
        self._in_key = 0  # lines that a private key which began may still have

    def page(self, texts: Sequence[str]) -> list[str]:
        """Return lines that were printed one after another, masked; a private key is masked to its last line."""
        whole = "\n".join(texts)
        if not (self._in_key or "characters cut]" in whole or self.mask.touches(whole)):
            return list(texts)
        return [self._line(text) for text in texts]

    def _line(self, text: str) -> str:
        begins, ends = _KEY_BEGINS.search(text), _KEY_ENDS.search(text)
        inside = self._in_key
        self._in_key = 0 if ends else _KEY_LINES if begins else max(0, inside - 1)
        if inside:
            return MASK
        cut = _CUT.search(text)
        if cut is None:
            return self.mask(text)
        return self.mask.cut(self.mask(text[: cut.start()])) + cut.group()


class Output:
    """Where the lines go: the log, the tail that is shown when things go wrong, and whoever watches progress."""

    def __init__(
        self,
        *,
        redactor: Redactor,
        log: Callable[[str], None],
        watch: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redactor = redactor
        self._log = log
        self._watch = watch
        self._clock = clock
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._redrawn = float("-inf")  # when a redrawn line last went into the log

    def take(self, lines: Iterable[Line]) -> None:
        """Take lines as the splitter gives them; empty redraws are dropped."""
        now = self._clock()
        lines = list(lines)
        texts = self._redactor.page([text for text, _ in lines])
        for text, (_, redraw) in zip(texts, lines, strict=True):
            if redraw and not text.strip():
                continue
            if not redraw or now - self._redrawn >= 1.0:  # a bar that moves 10 times a second is one line a second
                self._redrawn = now if redraw else self._redrawn
                self._keep(text)
            self._watch(text)

    def say(self, text: str) -> None:
        """Add a line of ours to the log and the tail."""
        self._keep(self._redactor.mask(text))

    def _keep(self, text: str) -> None:
        self._tail.append(text if len(text) <= TAIL_WIDTH else f"{text[:TAIL_WIDTH]}…")
        self._log(text)

    def tail(self) -> list[str]:
        """Return the last lines, oldest first."""
        return list(self._tail)


class Pump:
    """Reads one pipe to its end in a thread, as fast as it comes."""

    def __init__(self, fd: int, output: Output) -> None:
        self._fd = fd
        self._output = output
        self._splitter = Splitter()
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def finish(self, patience: float) -> None:
        """Take what is still in the pipe and stop, even if a process that got away holds its other end."""
        os.close(self._waker)
        self._thread.join(patience)

    def _run(self) -> None:
        watched = [self._fd, self._wake]
        while True:
            # Once nothing more is to come, an empty pipe is the end even if somebody still holds it.
            ready, _, _ = select.select(watched, [], [], None if self._wake in watched else 0.0)
            if self._fd in ready:
                data = os.read(self._fd, _READ)
                if not data:
                    break
                self._output.take(self._splitter.feed(data))
                if len(data) < _FEW and self._wake in watched:
                    select.select([self._wake], [], [], _PAUSE)
            elif self._wake in ready:
                watched.remove(self._wake)
            elif not ready:
                break
        self._output.take(self._splitter.end())
        os.close(self._fd)
        os.close(self._wake)
