"""The page in a real browser: a command typed, a card approved by another, a plot seen; by keyboard, on a phone."""

from __future__ import annotations

import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.sandbox import AppConfig, Command, ManualClock, Sandbox
from tests.sandbox.peers import actions, button, modal, option, over_sockets, plain, text_input
from tests.support import chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def a_png() -> bytes:
    """A small grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40, 24, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * 40) * 24)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def deciding(client: WebClient, held: threading.Event) -> App:
    """An app that posts a card, takes a decision and answers in the thread."""
    app = App(client=client, signing_secret="unused")

    @app.command("/train")
    def train(ack: Ack, command: dict[str, Any]) -> None:
        ack(response_type="ephemeral", text=f"Reading `{command['text']}`")
        menu = {"type": "overflow", "action_id": "more", "options": [option("log"), option("copy")]}
        said = {
            "type": "mrkdwn",
            "text": f"*{command['text']}* by <@{command['user_id']}>, ends <!date^0^{{date_num}}|1970>",
        }
        client.chat_postMessage(
            channel=command["channel_id"],
            text="A job",
            blocks=[
                {"type": "section", "text": said, "accessory": menu},
                actions(button("approve", text=plain("Approve"), style="primary"), button("deny", text=plain("Deny"))),
            ],
        )

    @app.action("approve")
    def approve(ack: Ack, body: dict[str, Any]) -> None:
        held.wait(30)
        ack()
        channel, ts = body["channel"]["id"], body["message"]["ts"]
        client.chat_update(channel=channel, ts=ts, text=f"Approved by <@{body['user']['id']}>", blocks=[])
        client.files_upload_v2(
            channel=channel,
            thread_ts=ts,
            content=a_png(),
            filename="loss.png",
            alt_txt="loss falls",
            initial_comment="step 300",
        )

    @app.action("deny")
    def deny(ack: Ack, body: dict[str, Any]) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=modal([text_input()], title=plain("Deny this job")))

    @app.view("form")
    def denied(ack: Ack, view: dict[str, Any]) -> None:
        short = len(view["state"]["values"]["why"]["typed"]["value"]) < 5
        ack(response_action="errors", errors={"why": "Say a little more."}) if short else ack()

    @app.action("more")
    def more(ack: Ack, body: dict[str, Any]) -> None:
        ack()
        chosen = body["actions"][0]["selected_option"]["value"]
        client.chat_postMessage(channel=body["channel"]["id"], thread_ts=body["message"]["ts"], text=f"chose {chosen}")

    app.event("message")(lambda: None)
    return app


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def held() -> threading.Event:
    """Set: the app may acknowledge an approval."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def workspace(held: threading.Event, clock: ManualClock) -> Iterator[Sandbox]:
    commands = (Command(command="/train", usage_hint="owner/repo@ref", completions=("status", "stop", "gpu=a100")),)
    with Sandbox.start(app=AppConfig(commands=commands), clock=clock) as sandbox:
        app = deciding(WebClient(token=sandbox.bot_token, base_url=sandbox.api_url), held)
        with over_sockets(sandbox, app):
            yield sandbox


@pytest.fixture
def visit(browser: Browser, workspace: Sandbox) -> Iterator[Callable[..., Page]]:
    """Opens the page as somebody; anything on the browser's console is a failure."""
    contexts, complaints = [], list[str]()

    def open_page(who: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(workspace.page_url(who, "#vision"))
        expect(page.get_by_test_id("app-status")).to_have_attribute("data-connected", "yes")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def test_it_says_on_its_face_that_it_stands_in_for_slack(visit: Callable[..., Page]) -> None:
    notice = visit("ada").get_by_test_id("notice")
    expect(notice).to_contain_text("A stand-in for Slack.")
    expect(notice).to_contain_text("is the code that is deployed")


def test_two_windows_a_request_and_its_approval(visit: Callable[..., Page]) -> None:
    ada, lea = visit("ada"), visit("lea")
    ada.get_by_test_id("composer").fill("/train acme/vit@3f9c2ab gpu=a100")
    ada.get_by_test_id("composer").press("Enter")
    expect(ada.locator("[data-ephemeral]")).to_contain_text("Only visible to you")
    card = lea.locator("[data-testid=message]", has_text="acme/vit@3f9c2ab")
    expect(card).to_contain_text("by @ada, ends 1970-01-01")
    expect(lea.locator("[data-ephemeral]")).to_have_count(0)
    card.locator("[data-action-id=approve]").click()
    expect(ada.get_by_text("Approved by @lea")).to_be_visible()
    expect(ada.get_by_text("(edited)")).to_be_visible()

    ada.get_by_test_id("replies").click()
    plot = ada.get_by_test_id("thread-pane").get_by_alt_text("loss falls")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") == 40
    plot.click()
    expect(ada.get_by_test_id("lightbox")).to_be_visible()
    ada.keyboard.press("Escape")
    expect(ada.get_by_test_id("lightbox")).to_have_count(0)
    ada.keyboard.press("Escape")
    expect(ada.get_by_test_id("thread-pane")).to_be_hidden()


def test_a_button_works_until_it_is_acknowledged_and_says_when_it_was_not(
    visit: Callable[..., Page], held: threading.Event, clock: ManualClock
) -> None:
    held.clear()
    lea = visit("lea")
    lea.get_by_test_id("composer").fill("/train x")
    lea.get_by_test_id("composer").press("Enter")
    approve = lea.locator("[data-action-id=approve]")
    approve.click()
    expect(approve).to_have_attribute("data-state", "working")
    expect(approve).to_have_attribute("aria-busy", "true")
    clock.advance(3.1)
    expect(approve).to_have_attribute("data-state", "failed")
    expect(lea.get_by_test_id("toast")).to_contain_text("This app did not respond")
    held.set()
    # The app goes on with what it was told, too late for the person who pressed.
    expect(lea.get_by_text("Approved by @lea")).to_be_visible()


def test_a_modal_shows_the_apps_errors_and_keeps_what_was_typed(visit: Callable[..., Page]) -> None:
    lea = visit("lea")
    lea.get_by_test_id("composer").fill("/train x")
    lea.get_by_test_id("composer").press("Enter")
    lea.locator("[data-action-id=deny]").click()
    form = lea.get_by_test_id("modal")
    expect(form).to_contain_text("Deny this job")
    lea.get_by_test_id("modal-submit").click()
    expect(form).to_contain_text("Please complete this required field.")
    form.get_by_label("Why").fill("no")
    lea.get_by_test_id("modal-submit").click()
    expect(form).to_contain_text("Say a little more.")
    expect(form.get_by_label("Why")).to_have_value("no")
    form.get_by_label("Why").fill("not before Friday")
    lea.get_by_test_id("modal-submit").click()
    expect(form).to_have_count(0)


def test_menus_stand_at_the_choice_that_the_app_made(visit: Callable[..., Page], workspace: Sandbox) -> None:
    ada = visit("ada")
    menu = {"type": "static_select", "action_id": "menu", "options": [option("1 h"), option("2 h")]}
    client = WebClient(token=workspace.bot_token, base_url=workspace.api_url)
    for block_id, element in (("made", menu | {"initial_option": option("2 h")}), ("open", menu)):
        client.chat_postMessage(channel="#vision", text="?", blocks=[actions(element, block_id=block_id)])
    expect(ada.locator("[data-block-id=made] select")).to_have_value("2 h")
    expect(ada.locator("[data-block-id=open] select")).to_have_value("")


def test_messages_are_text_and_never_markup(visit: Callable[..., Page], workspace: Sandbox) -> None:
    ada = visit("ada")
    workspace.people.type("tam", "#vision", MARKUP)
    client = WebClient(token=workspace.bot_token, base_url=workspace.api_url)
    for blocks in (
        [{"type": "section", "text": {"type": "mrkdwn", "text": f"*{MARKUP}* <javascript:alert(1)|click>"}}],
        [{"type": "markdown", "text": f"# {MARKUP}\n[click](javascript:alert(1))"}],
        [{"type": "header", "text": plain(MARKUP)}],
    ):
        client.chat_postMessage(channel="#vision", text=MARKUP, blocks=blocks)
    expect(ada.get_by_test_id("message")).to_have_count(4)
    scroll = ada.locator("#channel-scroll")
    expect(scroll.get_by_text("<script>").first).to_be_visible()
    assert scroll.locator("img, script, a[href^=javascript]").count() == 0
    assert ada.title() not in ("1", "2")


def test_emphasis_goes_over_code_and_never_into_it(visit: Callable[..., Page], workspace: Sandbox) -> None:
    ada = visit("ada")
    workspace.people.type("tam", "#vision", "*Output of `k7m2pqx`*, from `a*b*c`: 2*3*4")
    said = ada.get_by_test_id("message")
    expect(said.locator("strong")).to_have_text(["Tam Okafor", "Output of k7m2pqx"])
    expect(said.locator("strong code")).to_have_text("k7m2pqx")
    expect(said).to_contain_text("from a*b*c: 2*3*4")


def test_the_keyboard_completes_recalls_and_switches_people(visit: Callable[..., Page]) -> None:
    ada = visit("ada")
    box = ada.get_by_test_id("composer")
    box.press_sequentially("/tr")
    expect(ada.get_by_test_id("completion").first).to_contain_text("owner/repo@ref")
    box.press("Tab")
    box.press_sequentially("st")
    expect(ada.locator("#channel-composer [role=option]")).to_have_text(["status", "stop"])
    box.press("ArrowDown")
    box.press("Tab")
    expect(box).to_have_value("/train stop ")
    box.press("Enter")
    expect(ada.get_by_text("Reading stop")).to_be_visible()
    box.press("ArrowUp")
    expect(box).to_have_value("/train stop")
    box.fill("")
    box.press_sequentially("/train s")
    box.press("Enter")  # sends what was typed, whatever is offered
    expect(ada.get_by_text("Reading s", exact=True)).to_be_visible()
    ada.get_by_test_id("as-ada").press("ArrowRight")
    expect(ada.get_by_test_id("as-tam")).to_have_attribute("aria-checked", "true")
    expect(ada).to_have_url(re.compile("as=tam"))
    expect(ada.locator("[data-ephemeral]")).to_have_count(0)


def test_what_asks_for_somebody_counts_until_it_is_read(visit: Callable[..., Page], workspace: Sandbox) -> None:
    lea = visit("lea")
    workspace.people.type("ada", "#nlp", "@lea please look")
    nlp = lea.locator("[data-channel=nlp]")
    expect(nlp.locator(".count-badge")).to_have_text("1")
    expect(lea).to_have_title(re.compile(r"^\(1\)"))
    nlp.click()
    expect(nlp.locator(".count-badge")).to_have_count(0)
    expect(lea.locator(".for-me")).to_contain_text("@lea please look")


def test_a_phone_has_one_pane_and_no_sideways_scrolling(visit: Callable[..., Page]) -> None:
    lea = visit("lea", viewport={"width": 390, "height": 844}, has_touch=True)
    lea.get_by_test_id("composer").fill("/train acme/vit@3f9c2ab")
    lea.get_by_test_id("composer-send").tap()
    lea.locator(".overflow-opener").tap()
    lea.get_by_role("menuitem", name="log").tap()
    lea.get_by_test_id("replies").tap()
    expect(lea.get_by_test_id("thread-pane").get_by_text("chose log")).to_be_visible()
    expect(lea.locator("#channel-scroll")).to_be_hidden()
    lea.get_by_test_id("close-thread").tap()
    expect(lea.locator("#rail")).to_be_hidden()
    lea.locator("#open-rail").tap()
    lea.get_by_test_id("redeliver").tap()
    expect(lea.get_by_test_id("toast")).to_contain_text("Delivered again; the app acknowledged.")
    assert lea.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_comes_back_after_the_server_did(visit: Callable[..., Page], workspace: Sandbox) -> None:
    ada = visit("ada")
    ada.context.set_offline(True)
    workspace.people.type("tam", "#vision", "said meanwhile")
    ada.context.set_offline(False)
    expect(ada.get_by_text("said meanwhile")).to_be_visible(timeout=20_000)
