"""A rented machine in miniature: the real archive, started as a provider starts it, over a folder store."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from trainer import wire
from trainer.storage import FolderStore, Store
from trainer.wire import AgentOrder, CheckpointRule, Control, Event, EventKind, GpuNeed, Manifest, Reason

T = TypeVar("T")
JOB = "J1"
# The team's Python is the tests' own, under the name that task files use.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def until(condition: Callable[[], T], limit: float = 60.0) -> T:
    """Return the first true value of `condition`; fails after `limit` seconds."""
    give_up = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < give_up, "the condition did not come true in time"
        time.sleep(0.02)


def packed(files: Mapping[str, str | bytes]) -> bytes:
    """Return a source archive with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Rented:
    """One machine and its store; everything it was told and everything it wrote."""

    def __init__(
        self, folder: Path, archive: Path, *, store: Store | None = None, uri: str = "", python: str = sys.executable
    ) -> None:
        """Take the store at `uri`, or a folder store of its own; run on `python`."""
        files = FolderStore(folder / "store")
        self.store: Store = store or files
        self.uri = uri or files.root.as_uri()
        self.python = python
        self.archive = archive
        self.scratch = folder / "work"
        self.deadline = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def order(
        self,
        files: Mapping[str, str | bytes],
        *,
        argv: Sequence[str] = (),
        commands: Sequence[str] = (),
        seconds: float = 60.0,
        grace: float = 4.0,
        **changes: Any,
    ) -> None:
        """Put the source and the order in the store; the deadline is `seconds` from now."""
        source = packed(files)
        self.deadline = time.time() + seconds
        fields: dict[str, Any] = {
            "job": JOB,
            "attempt": 1,
            "rank": 0,
            "nodes": 1,
            "source_key": wire.source_key(JOB),
            "source_sha256": hashlib.sha256(source).hexdigest(),
            "commit": "3f9c2ab",
            "setup": (),
            "commands": tuple(commands),
            "argv": tuple(argv),
            "env": {},
            "gpu": GpuNeed(name="cpu", count=0, memory_gb=None, required=True),
            "checkpoints": CheckpointRule(path="out", upload_every=0.2, keep=2),
            "deadline": self.deadline,
            "grace": grace,
            "resume_key": None,
            "flush_every": 0.2,
            **changes,
        }
        self.store.put(wire.source_key(JOB), source)
        self.store.put(wire.order_key(JOB, 1), wire.to_json(AgentOrder(**fields)))

    def start(self, **env: str) -> Rented:
        """Start it with the variables a provider sets, and nothing of the tests' own environment."""
        told = {
            "PATH": PATH,
            wire.ENV_STORE: self.uri,
            wire.ENV_JOB: JOB,
            wire.ENV_ATTEMPT: "1",
            wire.ENV_DEADLINE: repr(self.deadline),
            wire.ENV_WORKDIR: str(self.scratch),
            **env,
        }
        self.process = subprocess.Popen(
            [self.python, str(self.archive)], env=told, stderr=subprocess.PIPE, start_new_session=True
        )
        return self

    def run(self, limit: float = 90.0, **env: str) -> int:
        """Start it and wait for its end; return the exit code."""
        return self.start(**env).wait(limit)

    def wait(self, limit: float = 90.0) -> int:
        """Wait for the end; return the exit code."""
        assert self.process is not None
        self.process.communicate(timeout=limit)
        return self.process.returncode

    def tell(
        self,
        *,
        seq: int = 1,
        stop: Reason | None = None,
        deadline: float | None = None,
        progress: Sequence[str] | None = None,
    ) -> None:
        """Write the control file, as the bot does."""
        until = self.deadline if deadline is None else deadline
        control = Control(seq=seq, deadline=until, stop=stop, progress=progress)
        self.store.put(wire.control_key(JOB, 1), wire.to_json(control))

    def close(self) -> None:
        """End it and all that is left of it."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        for pid in self.children():  # they hold the console open, so they go before it is waited for
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def events(self, kind: EventKind | None = None) -> list[Event]:
        """Return what it told so far, chunk by chunk in the order of their numbers, without a gap."""
        events: list[Event] = []
        number = 1
        while (chunk := self.store.get(wire.event_key(JOB, 1, number))) is not None:
            events += [wire.from_json(Event, line) for line in chunk.splitlines()]
            number += 1
        return [event for event in events if kind is None or event.kind is kind]

    def outcome(self) -> dict[str, Any]:
        """Return the outcome; fails unless there is exactly one and it is the last word."""
        outcomes = [event for event in self.events() if event.kind is EventKind.OUTCOME]
        assert len(outcomes) == 1
        assert self.events()[-1] is not None and self.events()[-1].kind is EventKind.OUTCOME
        return dict(outcomes[0].data)

    def stages(self) -> list[str]:
        """Return the stages in order."""
        return [event.data["stage"] for event in self.events(EventKind.STAGE)]

    def notices(self) -> dict[str, str]:
        """Return the notices by code."""
        return {event.data["code"]: event.data["text"] for event in self.events(EventKind.NOTICE)}

    def series(self, name: str) -> list[tuple[int | None, Any]]:
        """Return the points of a series as they were told."""
        metrics = self.events(EventKind.METRIC)
        return [(event.data["step"], event.data["values"][name]) for event in metrics if name in event.data["values"]]

    def log(self) -> str:
        """Return the log so far."""
        chunks = [gzip.decompress(self.store.get(key) or b"") for key in self.store.keys(f"jobs/{JOB}/a1/log")]
        return b"".join(chunks).decode()

    def manifests(self) -> dict[str, Manifest]:
        """Return the whole checkpoints by name."""
        keys = [key for key in self.store.keys(f"jobs/{JOB}/a1/ckpt") if key.endswith("/manifest.json")]
        # One that gives way to a newer one may be gone between the two looks.
        found = [wire.from_json(Manifest, data) for key in keys if (data := self.store.get(key)) is not None]
        return {manifest.name: manifest for manifest in found}

    def children(self) -> list[int]:
        """Return the processes of this machine that still run, by the scratch folder in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    environ = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if str(self.scratch).encode() in environ:
                    found.append(int(entry.name))
        return found
