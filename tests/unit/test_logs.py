"""Nothing secret leaves through the log's one sink, whoever logged it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.logs import MASK, configure
from jobs.settings import secrets_of

SECRET = "planted-value-3141"
ENVIRONMENT = {
    "SLACK_BOT_TOKEN": SECRET + "1",
    "SLACK_SIGNING_SECRET": SECRET + "2",
    "HOURGLASS_SECRET_WANDB": SECRET + "3",
    "AWS_SECRET_ACCESS_KEY": SECRET + "4",
    "DATABASE_URL": f"postgresql://bot:{SECRET}5@db/hourglass",
    "HOURGLASS_GIT_TOKENS": f'{{"https://git.example/": "{SECRET}6"}}',
    "PATH": "/usr/bin",
}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    configure(secrets_of(ENVIRONMENT), stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("number", range(1, 7))
def test_no_secret_is_seen(lines: io.StringIO, number: int) -> None:
    value = f"{SECRET}{number}"
    structlog.get_logger("ours").info("event", job="abc", token=value)
    logging.getLogger("theirs").warning("said %s", value)
    try:
        raise ValueError(value)
    except ValueError:
        logging.getLogger("broken").exception("it broke")
    assert value not in lines.getvalue()
    assert lines.getvalue().count(MASK) >= 3
    assert "job=abc" in lines.getvalue()


def test_what_is_no_secret_is_seen(lines: io.StringIO) -> None:
    logging.getLogger("theirs").warning("PATH is /usr/bin")
    assert "/usr/bin" in lines.getvalue()
