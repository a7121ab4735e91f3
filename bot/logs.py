"""One sink for logs: a line an event, with its job where there is one, and no secret in it.

Our structured events and the libraries' ordinary records end in one handler. What must not be seen is masked
there, once: a secret's value never reaches a file because somebody forgot.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from typing import TextIO

import structlog

MASK = "•••"
# A shorter value would mask ordinary words.
SHORTEST_SECRET = 6
# They tell of every tick and every request; what goes wrong in them is a warning.
_CHATTY = ("alembic", "apscheduler", "bolt", "botocore", "httpx", "slack_sdk", "urllib3", "uvicorn")


class MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats a record, traceback included, and masks what is secret in the finished line."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.LogfmtRenderer(
                    key_order=["timestamp", "level", "event", "logger", "job", "attempt"], drop_missing=True
                ),
            ],
            foreign_pre_chain=_SHARED,
        )
        # Longest first: a secret that contains another is masked whole.
        self._secrets = sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return line


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def configure(secrets: Collection[str], *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send every log through the one sink, which masks the values of `secrets`; standard error is the default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(MaskingFormatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
