"""The browser of this machine, for tests and pictures that want a real one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, ViewportSize, expect, sync_playwright

HOW = "install one with `apt-get install chromium` or `.venv/bin/playwright install chromium`, or name it in CHROMIUM"
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE = 20_000  # milliseconds in which a page shows what it should; the five of Playwright's are for a quiet machine
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # root in a container has no namespace to give it; it opens nothing but our own pages
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium and end it with the context; skips the test by name where there is none."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        path = find(playwright)
        if path is None:
            pytest.skip(f"there is no Chromium here: {HOW}")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def find(playwright: Playwright) -> str | None:
    """Return the browser's path: what CHROMIUM names, what the system has, what Playwright has fetched; else None."""
    own = playwright.chromium.executable_path
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return named or (own if Path(own).exists() else None)
