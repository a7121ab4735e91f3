"""Links to files: a folder's are signed by us and expire, an S3 store's are made fresh when a button is pressed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from bot.catalogue import later
from jobs.clock import Clock
from jobs.errors import HourglassError, Misconfigured
from trainer.storage import FolderStore, S3Store, Store, StoreFault, checked
from trainer.wire import attempt_prefix

KEY_BYTES = 32
_LOG = "log\n"  # before the prefix that is signed: no file's key has a line's end
PRESIGNED_LIMIT = timedelta(days=7)  # S3 signs nothing that lives longer


class LinkRefused(HourglassError):
    """A link was changed, is too old, or was never ours."""


def link_key(state: Path) -> bytes:
    """Return this deployment's key for signing links, made on first use in a file that only its owner reads."""
    path = state / "links.key"
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise Misconfigured(
                f"{path} is damaged: delete it and start again; links given out so far will end."
            ) from None
        return key
    except OSError as error:
        raise Misconfigured(f"HOURGLASS_STATE={state} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key)
    return key


class Links:
    """Where a stored file can be fetched, for a while."""

    def __init__(
        self, *, store: Store, secret: bytes, base: str, minutes: int, clock: Clock, published: bool = False
    ) -> None:
        """`published`: people reach the site at `base`, wherever the files are."""
        self.store = store
        self._published = published
        self._secret = secret
        self._base = base.rstrip("/")
        self._life = timedelta(minutes=minutes)
        self._clock = clock

    def url(self, key: str) -> str | None:
        """Return a link that can stand in a message; None where the store's links are made at the press."""
        if not isinstance(self.store, FolderStore):
            return None
        expires = int((self._clock.now() + self._life).timestamp())
        return f"{self._base}/files/{quote(checked(key))}?exp={expires}&sig={self._sign(key, expires)}"

    def fresh(self, key: str) -> tuple[str, datetime]:
        """Return a link made now, and until when it works; raises `StoreFault` when the store makes none."""
        life = min(self._life, PRESIGNED_LIMIT)
        until = self._clock.now() + life
        url = self.url(key)
        if url is not None:
            return url, until
        if isinstance(self.store, S3Store):
            return self.store.link(checked(key), int(life.total_seconds())), until
        raise StoreFault("This store has no links; fetch the files from where it lies.")

    def log(self, job: str, attempt: int, rank: int = 0) -> str | None:
        """Return a link to all that a machine's command printed; None where the site may not be reached.

        A log is many objects, so that even a bucket's is put together by the site.
        """
        if not isinstance(self.store, FolderStore) and not self._published:
            return None
        prefix = attempt_prefix(job, attempt, rank)
        expires = int((self._clock.now() + self._life).timestamp())
        return f"{self._base}/logs/{quote(prefix)}?exp={expires}&sig={self._sign(_LOG + prefix, expires)}"

    def open(self, key: str, expires: str, signature: str) -> Path:
        """Return the file that a link names; raises `LinkRefused` unless the link is ours and still works."""
        if not isinstance(self.store, FolderStore):
            raise LinkRefused(later("There are no files here."))
        self._check(key, expires, signature)
        try:
            path = (self.store.root / checked(key)).resolve()
        except StoreFault as error:
            raise LinkRefused(later("This link names no file.")) from error
        # A key cannot leave the folder; a symbolic link in it could.
        if not path.is_relative_to(self.store.root.resolve()) or not path.is_file():
            raise LinkRefused(later("This file is no longer here: only the newest checkpoints are kept."))
        return path

    def open_log(self, prefix: str, expires: str, signature: str) -> str:
        """Return the prefix of the chunks of the log that a link names; raises `LinkRefused` as `open` does."""
        self._check(_LOG + prefix, expires, signature)
        return f"{prefix}/log/"

    def _check(self, key: str, expires: str, signature: str) -> None:
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            raise LinkRefused(later("This link is not whole. Copy it again from Slack."))
        if not hmac.compare_digest(self._sign(key, int(expires)).encode(), signature.encode(errors="replace")):
            raise LinkRefused(later("This link was changed. Copy it again from Slack."))
        if datetime.fromtimestamp(int(expires), UTC) < self._clock.now():
            raise LinkRefused(later("This link has expired. `/train checkpoints` and `/train logs` give new ones."))

    def _sign(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{expires}\n{key}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
