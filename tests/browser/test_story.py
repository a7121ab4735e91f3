"""What people see, in a real browser with the whole bot behind the page: a line, an approval, a plot, a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from jobs.lifecycle import JobState
from tests.e2e.deployment import LIMIT, Deployment
from tests.support.chromium import PHONE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("browser"),
]

PATIENCE = LIMIT * 1000  # Playwright counts milliseconds
TRAINS = """
import pathlib, time, zipfile
out = pathlib.Path("out"); out.mkdir(exist_ok=True)
for step in range(1, 21):
    print(f"step {step}/20: loss {4 / step:.4f}", flush=True)
    time.sleep(0.05)
with zipfile.ZipFile("out/model.pt", "w") as file:
    file.writestr("weights", "1234")
"""


def say(page: Page, line: str) -> None:
    """Type a line into the channel's box, as a person does."""
    page.get_by_test_id("composer").fill(line)
    page.get_by_test_id("composer").press("Enter")
    expect(page.get_by_test_id("composer")).to_have_value("")


def message(page: Page, text: str | re.Pattern[str]) -> Locator:
    """Return the message with this text, once it is there."""
    found = page.get_by_test_id("message").filter(has_text=text)
    expect(found).to_have_count(1, timeout=PATIENCE)
    return found


def test_a_lead_approves_on_a_phone_and_the_researcher_gets_a_plot_and_a_checkpoint(
    deployment: Deployment, visit: Callable[..., Page]
) -> None:
    commit = deployment.script("acme/vit", TRAINS)
    ada = visit("ada", viewport={"width": 1280, "height": 900})
    lea = visit("lea", viewport=PHONE, has_touch=True, is_mobile=True)

    say(lea, "/budget cap 300")
    message(lea, "$300.00 a month")
    say(lea, "/budget auto-approve 1")
    message(lea, "under $1.00")

    say(ada, f'/train {commit} gpu=a100 hours=4 reason="a baseline"')
    asked = message(ada, re.compile("waiting for a lead", re.IGNORECASE))
    expect(asked).to_contain_text("a baseline")
    expect(asked).to_contain_text("this computer's CPU stands in for the A100")
    ts = asked.get_attribute("data-ts")
    on_phone = lea.locator(f'[data-ts="{ts}"]')
    expect(on_phone).to_contain_text(re.compile("waiting for a lead", re.IGNORECASE), timeout=PATIENCE)
    on_phone.locator('[data-action-id="approve"]').tap()

    for page in (ada, lea):
        card = page.locator(f'[data-ts="{ts}"]').first
        expect(card).to_contain_text("Approved by @lea", timeout=PATIENCE)
        expect(card.locator('[data-action-id="approve"]')).to_have_count(0)
        expect(card).to_contain_text(re.compile(r"✅\s+Done"), timeout=PATIENCE)

    ada.locator(f'[data-testid="replies"][data-thread="{ts}"]').click()
    thread = ada.get_by_test_id("thread-pane")
    plot = thread.locator(".picture img").last
    expect(plot).to_have_attribute("alt", re.compile("Line chart of the loss of acme/vit"), timeout=PATIENCE)
    plot.scroll_into_view_if_needed()
    ada.wait_for_function("image => image.naturalWidth === 1280", arg=plot.element_handle(), timeout=PATIENCE)
    link = thread.get_by_role("link", name="model.pt")
    expect(link).to_be_visible(timeout=PATIENCE)
    assert httpx.get(str(link.get_attribute("href"))).content[:2] == b"PK"

    (job,) = deployment.jobs()
    settled = deployment.ended(job)
    assert (settled.state, settled.decided_by) == (JobState.SUCCEEDED, deployment.people.user_id("lea"))
    assert deployment.held() == 0
    assert deployment.machines() == []


def test_a_lead_approves_less_than_was_asked_for(deployment: Deployment, visit: Callable[..., Page]) -> None:
    commit = deployment.script("acme/vit", TRAINS)
    lea = visit("lea", viewport=PHONE, has_touch=True, is_mobile=True)
    say(lea, "/budget cap 300")
    say(lea, "/budget auto-approve 1")
    message(lea, "under $1.00")
    job = deployment.train(f"{commit} gpu=a100 hours=4")

    card = lea.get_by_test_id("message").filter(has_text=re.compile("waiting for a lead", re.IGNORECASE))
    card.locator('[data-action-id="approve_shorter"]').tap(timeout=PATIENCE)
    asked = deployment.job(job.id).hold
    form = lea.get_by_test_id("modal")
    lengths = form.get_by_label("How long instead?")
    expect(lengths).to_contain_text("up to $", timeout=PATIENCE)
    chosen = float(lengths.input_value())
    lea.get_by_test_id("modal-submit").tap()
    expect(form).to_have_count(0, timeout=PATIENCE)

    settled = deployment.ended(job)
    assert settled.state is JobState.SUCCEEDED
    assert settled.deadline is not None and settled.decided_at is not None
    minutes = (settled.deadline - settled.decided_at).total_seconds() / 60
    assert chosen < 240
    assert minutes == pytest.approx(chosen, abs=5)
    assert settled.hold < asked
