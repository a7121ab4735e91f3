"""Does the provider take this machine back? Its metadata service says so, some seconds or minutes ahead.

| kind    | asked                                          | says no by | warns, about |
|---------|------------------------------------------------|------------|--------------|
| aws     | `spot/instance-action`, with a token (IMDSv2)  | 404        | 120 s        |
| gcp     | `instance/preempted`                           | FALSE      | 30 s         |
| alibaba | `instance/spot/termination-time`               | 404        | 300 s        |
| file    | a file that the machine's warden writes        | its absence | what it says |

A look that fails says nothing: no run is ended because a service was slow to answer. On a VM the warden looks, as
`python3 trainer.pyz notice aws`, and hands what it hears to the container as a file, because nothing in there may
ask the metadata service; in a container whose host somebody else started, the agent looks by itself.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

_PATIENCE = 3.0  # seconds for one answer; the services are on the same host
_LONGEST = 4096  # bytes of an answer
_TOKEN_LASTS = 21_600  # seconds; the most that AWS lends one for


class BadSource(ValueError):
    """What names where to look is not such a name."""


@dataclass(frozen=True)
class Kind:
    """How one provider tells it."""

    name: str  # as people call it
    base: str
    path: str
    every: float  # seconds between looks
    warns: float  # seconds from the notice to the end, where it does not say


KINDS = {
    "aws": Kind("AWS", "http://169.254.169.254", "/latest/meta-data/spot/instance-action", 5.0, 120.0),
    "gcp": Kind("Google Cloud", "http://metadata.google.internal", "/computeMetadata/v1/instance/preempted", 1.0, 30.0),
    "alibaba": Kind(
        "Alibaba Cloud", "http://100.100.100.200", "/latest/meta-data/instance/spot/termination-time", 5.0, 300.0
    ),
    "file": Kind("The provider", "", "", 1.0, 30.0),
}


@dataclass(frozen=True)
class Notice:
    """The machine is to go."""

    by: str  # whose machine it is, as people call it
    at: float  # unix seconds


class Source:
    """Where notices of one kind are looked for: `aws`, or `aws=http://127.0.0.1:8000` for another address."""

    def __init__(self, said: str, *, wall: Callable[[], float] = time.time) -> None:
        """Take the name; raises `BadSource`."""
        kind, _, place = said.partition("=")
        fits = place.startswith("/") if kind == "file" else place.startswith("http://") or not place
        if kind not in KINDS or not fits:
            raise BadSource(f"{said!r} names no notice: write aws, gcp or alibaba, or aws=http://address.")
        self.said = said
        self.kind = kind
        self.every = KINDS[kind].every
        self._place = place or KINDS[kind].base
        self._wall = wall
        self._token = ""

    def look(self) -> Notice | None:
        """Return the notice, if there is one that can be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if self.kind == "file":
                return self._read(Path(self._place).read_text()[:_LONGEST])
            return self._read(self._ask(KINDS[self.kind].path, self._headers()))
        return None

    def _read(self, answer: str) -> Notice | None:
        """Return what an answer says; raises `ValueError` on what is none."""
        kind, now = KINDS[self.kind], self._wall()
        if self.kind == "file":
            told = json.loads(answer)
            by, at = str(told["by"])[:40], float(told["at"])
            return Notice(by, at) if math.isfinite(at) else None
        if self.kind == "gcp":
            return Notice(kind.name, now + kind.warns) if answer.strip().upper() == "TRUE" else None
        text = answer.strip()
        if self.kind == "aws":
            told = json.loads(answer)
            if told["action"] and "time" not in told:  # it is put to sleep, which has no time
                return Notice(kind.name, now + kind.warns)
            text = told["time"]
        told_at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)  # noqa: UP017  Python 3.10
        return Notice(kind.name, told_at.timestamp())

    def _headers(self) -> dict[str, str]:
        if self.kind != "aws":
            return {"Metadata-Flavor": "Google"} if self.kind == "gcp" else {}
        if not self._token:
            asks = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_LASTS)}
            self._token = self._ask("/latest/api/token", asks, method="PUT").strip()
        return {"X-aws-ec2-metadata-token": self._token}

    def _ask(self, path: str, headers: dict[str, str], *, method: str = "GET") -> str:
        # Imported here: where nothing takes a machine back, neither of its two processes needs what they bring.
        import urllib.error
        import urllib.request
        from http.client import HTTPException

        # The team's proxy is no way to a service of this very host.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        # S310: the operator's address, and `Source` takes no other scheme.
        request = urllib.request.Request(self._place.rstrip("/") + path, headers=headers, method=method)  # noqa: S310
        try:
            with opener.open(request, timeout=_PATIENCE) as answer:
                return str(answer.read(_LONGEST).decode("ascii"))
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token = ""  # it has run out: the next look asks for another
            raise
        except HTTPException as error:
            raise OSError(f"no answer that can be read: {error!r}") from error


def seconds_left(notice: Notice, now: float) -> float:
    """Return how long the machine still stands, by its own clock: never less than nothing, nor more than any warns."""
    return min(max(0.0, notice.at - now), max(kind.warns for kind in KINDS.values()))


class NoticeWatch:
    """Looks from a thread of its own, until there is a notice or it is closed."""

    def __init__(self, source: Source, *, tell: Callable[[Notice], None]) -> None:
        self._source = source
        self._tell = tell
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="notice", daemon=True).start()

    def close(self) -> None:
        """Stop looking; a look under way may outlive this call, untold."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            notice = self._source.look()
            if notice is not None:
                if not self._closed.is_set():
                    self._tell(notice)
                return
            self._closed.wait(self._source.every)


def wait_and_print(said: str) -> int:
    """Wait until there is a notice, print it as the file that the agent reads, return 0; 2 for a bad name."""
    try:
        source = Source(said)
    except BadSource as error:
        sys.stderr.write(f"hourglass: {error}\n")
        return 2
    while (notice := source.look()) is None:
        time.sleep(source.every)
    sys.stdout.write(json.dumps(asdict(notice)) + "\n")
    sys.stdout.flush()
    return 0
