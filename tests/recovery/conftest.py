"""Logs of these stories are rendered and thrown away: a fault that is scripted is not worth a page of trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Render each line as the deployed sink would, to nowhere."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)],
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    yield
    structlog.configure(**before)
