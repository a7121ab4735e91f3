"""What a rented machine's command printed, read as one text."""

from __future__ import annotations

from bot.whole_log import WholeLogs
from trainer.storage import Store


def whole(store: Store, prefix: str) -> str:
    """Return all that lies under a log's prefix."""
    logs = WholeLogs(store)
    log = logs.find(prefix)
    return "" if log is None else b"".join(logs.text(log, 0, log.length)).decode()
