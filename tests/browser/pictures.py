"""Takes the pictures of the docs from the demo as it runs: a finished job's thread, and an approval on a phone.

    python -m tests.browser.pictures                # writes docs/images/thread.png and docs/images/approval-phone.png
    python -m tests.browser.pictures --out DIR

Nothing in them is drawn by hand: the demo's job trains for real, and the page is the one that `make demo` serves.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image
from playwright.sync_api import Browser, ViewportSize, expect

from bot.demo.repository import NAME
from bot.demo.stage import CHANNEL, LEAD, RESEARCHER, Plan, Stage
from tests.support import chromium

T = TypeVar("T")

LIMIT = 900.0  # seconds for the demo's training; on a busy machine it takes some
DESK: ViewportSize = {"width": 1400, "height": 900}
COLOURS = 256  # of a picture's palette: a page has few, and the file is a third as large
REASON = "baseline for Friday's comparison"
SETTLES = 500  # milliseconds in which the phone's drawer has slid away


def main() -> None:
    """Run the demo's stage and take the pictures."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path("docs/images"), help="where the pictures go")
    out: Path = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # out through every `with`, as Ctrl-C goes
    with tempfile.TemporaryDirectory(prefix="hourglass-pictures-") as folder:
        plan = Plan(folder=Path(folder), provider="practice", port=0)
        with Stage(plan) as stage, chromium.launched() as browser:
            _say(stage, LEAD, "/budget cap 300")
            _keep(_thread(browser, stage), out / "thread.png")
            _say(stage, LEAD, "/budget auto-approve 1")
            _keep(_approval(browser, stage), out / "approval-phone.png")


def _thread(browser: Browser, stage: Stage) -> bytes:
    """The finished job: its card in the channel, and the plot and the links in its thread."""
    people = stage.sandbox.people
    _say(stage, RESEARCHER, _line(stage))
    card = _until(stage, lambda: next((said for said in people.messages(CHANNEL) if NAME in said["text"]), None))
    ts = str(card["ts"])
    _until(stage, lambda: " charged of " in people.thread(CHANNEL, ts)[0]["text"])
    page = browser.new_context(viewport=DESK, device_scale_factor=1.5).new_page()
    page.goto(stage.sandbox.page_url(RESEARCHER, CHANNEL, ts))
    plot = page.get_by_test_id("thread-pane").locator(".picture img").last
    plot.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 0", arg=plot.element_handle())
    page.get_by_test_id("thread-pane").get_by_role("link", name=".pt").last.scroll_into_view_if_needed()
    return page.screenshot()


def _approval(browser: Browser, stage: Stage) -> bytes:
    """The lead's copy of what is to be decided, as it comes to a phone."""
    _say(stage, RESEARCHER, f'{_line(stage)} reason="{REASON}"')
    _until(stage, lambda: stage.sandbox.people.dms(LEAD))
    context = browser.new_context(viewport=chromium.PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(stage.sandbox.page_url(LEAD, CHANNEL))
    page.get_by_label("Channels").first.tap()
    page.get_by_test_id("channel-link").filter(has_text="Hourglass").tap()
    expect(page.locator('[data-action-id="approve"]')).to_be_visible()
    page.wait_for_timeout(SETTLES)
    return page.screenshot()


def _line(stage: Stage) -> str:
    return f"/train {NAME}@{stage.git.sha[:7]} gpu=a100 hours=4"


def _say(stage: Stage, who: str, line: str) -> None:
    outcome = stage.sandbox.people.type(who, CHANNEL, line)
    if not outcome.ok:
        sys.exit(f"{line!r} was not answered: {outcome.said or outcome.error}")


def _until(stage: Stage, look: Callable[[], T | None]) -> T:
    """Return the first true value of `look`, which is asked at each change of the workspace while the bot lives."""

    def alive() -> T | None:
        stage.bot.check()
        return look()

    seen = stage.sandbox.people.wait_for(alive, timeout=LIMIT)
    assert seen is not None  # what is waited for is true
    return seen


def _keep(screenshot: bytes, path: Path) -> None:
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {picture.width} × {picture.height}, {path.stat().st_size // 1000} kB")  # noqa: T201  (its whole output)


if __name__ == "__main__":
    try:
        main()
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))
