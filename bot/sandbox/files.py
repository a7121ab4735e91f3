"""Uploaded files: announced, uploaded, completed and shared, in Slack's three steps; guarded by the feed's lock."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from dataclasses import replace

from bot.sandbox.clock import Clock
from bot.sandbox.ids import Ids
from bot.sandbox.records import SlackError, StoredFile

# Slack works on a new file for about a second; an image block that shows it earlier is refused.
PROCESSING_S = 1.0
LARGEST = 1_000_000_000


class Files:
    """The files of one workspace."""

    def __init__(self, *, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._files: dict[str, StoredFile] = {}

    def announce(self, *, name: str, size: int, user: str, alt_text: str | None) -> StoredFile:
        """The first step: an id and a secret address for the bytes (`size` of them)."""
        if not 0 < size <= LARGEST:
            raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] invalid length"]})
        file = StoredFile(
            id=self._ids.new("F"),
            name=name,
            title=name,
            mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
            size=size,
            user=user,
            alt_text=alt_text,
            created=int(self._clock.now().timestamp()),
            secret=self._ids.secret(48),
        )
        self._files[file.id] = file
        return file

    def upload(self, secret: str, content: bytes) -> StoredFile:
        """The second step: the bytes, once, as many as were announced."""
        file = next((f for f in self._files.values() if f.secret == secret), None)
        if file is None or file.content is not None:
            raise SlackError("file_not_found")
        if len(content) != file.size:
            raise SlackError("invalid_length")
        return self._store(replace(file, content=content))

    def complete(self, file_id: str, *, title: str | None) -> StoredFile:
        """The third step: the file stands; nobody sees it before it is shared."""
        file = self.get(file_id, finished=False)
        if file.content is None or file.completed:
            raise SlackError("file_not_found" if file.content is None else "file_already_completed")
        ready_at = self._clock.monotonic() + PROCESSING_S
        return self._store(replace(file, title=title or file.name, completed=True, ready_at=ready_at))

    def share(self, file_id: str, channel: str) -> StoredFile:
        """Note that the file was posted in this channel."""
        file = self._files[file_id]
        return self._store(replace(file, channels=tuple(dict.fromkeys((*file.channels, channel)))))

    def get(self, file_id: str, *, finished: bool = True) -> StoredFile:
        """The file of that id; `file_not_found` when there is none, or when it is not complete yet."""
        file = self._files.get(file_id)
        if file is None or (finished and not file.completed):
            raise SlackError("file_not_found")
        return file

    def showable(self, matches: Callable[[StoredFile], bool]) -> bool:
        """True when an image block can show the file: complete, shared somewhere, and worked on."""
        now = self._clock.monotonic()
        return any(f.completed and f.channels and f.ready_at <= now and matches(f) for f in self._files.values())

    def all(self) -> list[StoredFile]:
        """All complete files, oldest first."""
        return [f for f in self._files.values() if f.completed]

    def _store(self, file: StoredFile) -> StoredFile:
        self._files[file.id] = file
        return file
