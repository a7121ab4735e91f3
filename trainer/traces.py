"""Lines that measure nothing whatever they hold: stack traces, warnings with their source, reports of test runs."""

from __future__ import annotations

import re

_TRACE = re.compile(r'^\s*File ".*", line \d+|^\S+:\d+: \w*Warning: ')
_REPORT = re.compile(r"^=+ (?P<title>.*\w.*) =+$")  # of a test run, which shows what failed in its own words
_REPORT_ENDS = re.compile(r" in [\d.]+s")
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Warning|Interrupt)\b")


class Traces:
    """Follows a run's lines through them."""

    def __init__(self) -> None:
        self._in_trace = False
        self._in_frame = False
        self._in_report = False

    def hold(self, line: str) -> bool:
        """Return whether `line` belongs to one of those."""
        if line.startswith("Traceback (most recent call last)"):
            self._in_trace = True
            return True
        if line.startswith("=") and (report := _REPORT.match(line)):
            self._in_report = not _REPORT_ENDS.search(report["title"]) and (
                self._in_report or "test session starts" in report["title"]
            )
        if self._in_trace and line[:1] not in (" ", "\t"):
            self._in_trace = False
            return True  # the exception itself, the trace's last line
        code = self._in_frame  # a frame's next line is its source
        self._in_frame = ("line" in line or "Warning" in line) and bool(_TRACE.match(line))
        if self._in_trace or self._in_frame or self._in_report or code:
            return True
        raised = "Error" in line or "Exception" in line or "Warning" in line or "Interrupt" in line
        return raised and bool(_EXCEPTION.match(line))
