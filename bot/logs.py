"""One sink for logs: a line an event, with its job where there is one, and no secret in it.

Our structured events and the libraries' ordinary records end in one handler. What must not be seen is masked
there, once: a secret's value never reaches a file because somebody forgot.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection
from types import TracebackType
from typing import TextIO

import structlog

from trainer.masking import MASK, Mask

# They tell of every tick and every request; what goes wrong in them is a warning.
_CHATTY = ("alembic", "apscheduler", "bolt", "botocore", "httpx", "slack_sdk", "urllib3", "uvicorn")


class MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats a record, traceback included, and masks what is secret in the finished line."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._mask = Mask(dict.fromkeys(secrets, MASK))
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                self._masked,
                structlog.processors.LogfmtRenderer(
                    key_order=["timestamp", "level", "event", "logger", "job", "attempt"], drop_missing=True
                ),
            ],
            foreign_pre_chain=_SHARED,
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without secrets and without what moves a terminal's cursor or hides letters."""
        line = self._mask(super().format(record))
        return "".join(letter if letter.isprintable() else " " for letter in line)

    def _masked(self, logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        # Before the values are quoted: a key of several lines is not found in what quoting makes of it.
        return {key: self._mask(str(value)) if _is_words(value) else value for key, value in event.items()}


def _is_words(value: object) -> bool:
    return value is not None and not isinstance(value, bool | int | float)


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,  # the job and the attempt that this thread works on, whoever logs
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


def catch_the_rest() -> None:
    """Send what nobody caught and what Python warns of through the sink too: a traceback may carry a secret's value."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt) or error is None:
        sys.__excepthook__(kind, error or kind(), trace)
        return
    logging.getLogger("uncaught").critical("Nobody caught this.", exc_info=(kind, error, trace))
