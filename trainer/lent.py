"""The store's credentials on a rented machine: lent for hours, and replaced by the bot while the job runs.

The bot lays the next ones under `control/`, long before those that are used end. Requests that are signed from then
on, those of an upload in parts that is under way included, are signed with the newest.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from trainer import wire
from trainer.wire import ENV_STORE_PREFIX, Lease

EVERY = 20.0  # seconds between looks; STS lends for a quarter of an hour at least, and the bot renews at half of it
_PATIENCE = 20.0  # seconds for the link
_MOST = 16_384  # bytes; a session's token has some thousand


class Lent:
    """The keys that requests are signed with; safe between threads."""

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str | None) -> None:
        """Begin with the first ones."""
        self._keys = (access_key_id, secret_access_key, session_token)

    @classmethod
    def in_env(cls, env: Mapping[str, str]) -> Lent | None:
        """Return what the provider put into the machine's environment, None where there are no such variables."""
        named = [env.get(f"{ENV_STORE_PREFIX}AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
        if not named[0] or not named[1]:
            return None
        return cls(named[0], named[1], env.get(f"{ENV_STORE_PREFIX}AWS_SESSION_TOKEN") or None)

    def take(self, lease: Lease) -> None:
        """Sign with these from now on."""
        self._keys = (lease.access_key_id, lease.secret_access_key, lease.session_token)

    def session(self) -> Any:
        """Return a session of the SDK whose clients sign with whatever the keys are at that moment."""
        import boto3
        from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
        from botocore.session import get_session

        lent = self

        class Current(Credentials):  # type: ignore[misc]  # the SDK has no types
            def get_frozen_credentials(self) -> Any:
                return ReadOnlyCredentials(*lent._keys)  # one read: a key never meets another's token

        class Provider(CredentialProvider):  # type: ignore[misc]  # the SDK has no types
            METHOD = "lent"

            def load(self) -> Any:
                return Current(*lent._keys)

        session = get_session()
        session.register_component("credential_provider", CredentialResolver([Provider()]))
        return boto3.Session(botocore_session=session)


class LeaseWatch:
    """Looks for newer credentials again and again, as long as the process lives, and hands each on once.

    What cannot be read changes nothing: those that are used go on. `read` returns the lease's bytes, None where there
    are none yet, and may raise whatever it likes. It is asked first; `link` is a signed address of the same, for
    when the credentials have ended already.
    """

    def __init__(
        self,
        read: Callable[[], bytes | None],
        *,
        take: Callable[[Lease], None],
        link: str = "",
        every: float = EVERY,
    ) -> None:
        self._read = read
        self._take = take
        self._link = link
        self._seen: Lease | None = None
        self._every = every
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    def look(self) -> None:
        """Look once."""
        data = self._asked(self._read) or (self._asked(self._linked) if self._link else None)
        if not data:
            return
        with suppress(ValueError):
            lease = wire.from_json(Lease, data)
            if not all(isinstance(each, str) and each for each in (lease.access_key_id, lease.secret_access_key)):
                return
            if lease != self._seen:
                self._seen = lease
                self._take(lease)

    @staticmethod
    def _asked(read: Callable[[], bytes | None]) -> bytes | None:
        try:
            return read()
        except Exception:  # noqa: BLE001  a line that is down, a right that has ended: the next look may be luckier
            return None

    def _linked(self) -> bytes:
        with urllib.request.urlopen(self._link, timeout=_PATIENCE) as answer:  # noqa: S310  the bot's own link
            return bytes(answer.read(_MOST))

    def _run(self) -> None:
        while True:
            time.sleep(self._every)
            self.look()
