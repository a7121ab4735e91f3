"""The whole bot behind the page, and browsers that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.deployment import CHANNEL, Deployment
from tests.support import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file's tests."""
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A bot on practice machines whose team has no budget yet."""
    with Deployment(tmp_path) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, deployment: Deployment) -> Iterator[Callable[..., Page]]:
    """Opens the channel as somebody; whatever the page complains of on its console fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(who: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(deployment.sandbox.page_url(who, CHANNEL))
        expect(page.get_by_test_id("app-status")).to_have_attribute("data-connected", "yes")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
