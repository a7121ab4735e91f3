"""What a job's command said, read from the end: the newest chunks of its log in the store."""

from __future__ import annotations

from bot.facts import JobFacts
from bot.markup import clean
from jobs.errors import StoreError
from trainer.storage import Store, StoreFault
from trainer.wire import attempt_prefix

LINES = 40  # in an answer
CHUNKS = 40  # read at the most, the newest first: a word may stand far back, a hundred megabytes need not be read


def read(store: Store, facts: JobFacts, grep: str | None, node: int = 1) -> list[str]:
    """Return the newest lines, oldest first, of the newest attempt that said anything; raises `StoreError`.

    Of several machines those of `node`, counted from 1.
    """
    try:
        for attempt in sorted({one.number for one in facts.attempts}, reverse=True):
            prefix = f"{attempt_prefix(facts.job.id, attempt, node - 1)}/log/"
            found = _newest(store, list(store.keys(prefix)), grep)
            if found:
                return found
    except StoreFault as error:
        raise StoreError(f"The log cannot be read right now: {error}") from error
    return []


def _newest(store: Store, keys: list[str], grep: str | None) -> list[str]:
    lines: list[str] = []
    for key in sorted(keys, reverse=True)[:CHUNKS]:
        text = (store.get(key) or b"").decode(errors="replace")
        # A progress bar overwrites its line by carriage returns: what stands last is what was seen.
        chunk = [clean(line.rsplit("\r", 1)[-1].rstrip()) for line in text.replace("\r\n", "\n").split("\n")]
        lines = [line for line in chunk if line and (not grep or grep.lower() in line.lower())] + lines
        if len(lines) >= LINES:
            break
    return lines[-LINES:]
