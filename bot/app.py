"""The Bolt app: listeners are registered here, and nothing is decided."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.logger.messages import warning_client_prioritized_and_token_skipped
from slack_sdk import WebClient

from bot.acknowledging import Tell, TimedApp, nobody
from bot.actions import Actions
from bot.calls import Count, CountedClient
from bot.commands import Commands
from bot.events import Events
from bot.parts import Parts
from jobs.errors import Misconfigured
from jobs.settings import Settings

LISTENERS = 10  # threads; Bolt's five are few where a press may wait a second for Slack's user groups
TIMEOUT = 10  # seconds for a call of the Web API


def slack_client(settings: Settings, count: Count) -> WebClient:
    """Return a client with the bot's token that tells `count` of its calls; raises `Misconfigured` without one."""
    if settings.slack_bot_token is None:
        raise Misconfigured("SLACK_BOT_TOKEN is not set. `hourglass manifest` prints the app; its page has the token.")
    token = settings.slack_bot_token.get_secret_value()
    return CountedClient(count=count, token=token, base_url=_base(settings), timeout=TIMEOUT)


def build_app(parts: Parts, client: WebClient, acknowledged: Tell = nobody) -> App:
    """Return the app with every listener; asks Slack once whose token it has."""
    secret = parts.settings.slack_signing_secret
    logger = logging.getLogger("bolt")
    # SLACK_BOT_TOKEN stands in the environment because our own settings read it there: Bolt need not wonder.
    logger.addFilter(lambda record: record.getMessage() != warning_client_prioritized_and_token_skipped())
    app = TimedApp(
        clock=parts.clock,
        tell=acknowledged,
        client=client,
        signing_secret=secret.get_secret_value() if secret else None,
        listener_executor=ThreadPoolExecutor(max_workers=LISTENERS, thread_name_prefix="listener"),
        process_before_response=False,
        logger=logger,
    )
    commands, actions, events = Commands(parts), Actions(parts), Events(parts)
    app.command("/train")(commands.train)
    app.command("/budget")(commands.budget)
    app.action("approve")(actions.approve)
    app.action("approve_shorter")(actions.approve_shorter)
    app.action("deny")(actions.deny)
    app.action("stop")(actions.stop)
    app.action("extend")(actions.extend)
    app.action(re.compile(r"^extend_\d+$"))(actions.extend_by)
    app.action("rerun")(actions.rerun)
    app.action("continue")(actions.resume)
    app.action("larger")(actions.larger)
    app.action("files")(actions.files)
    app.action("whole_log")(actions.whole_log)
    app.action("describe")(actions.describe)
    app.view("shorter")(actions.shorter_submitted)
    app.view("deny")(actions.deny_submitted)
    app.view("extend")(actions.extend_submitted)
    app.view("describe")(actions.describe_submitted)
    app.event("app_mention", middleware=[events.mentioned])(events.acknowledged)
    return app


def socket_handler(app: App, settings: Settings) -> SocketModeHandler:
    """Return the Socket Mode connection, not yet opened; raises `Misconfigured` without its token."""
    if settings.slack_app_token is None:
        raise Misconfigured("SLACK_APP_TOKEN is not set: Socket Mode needs an xapp-… token with connections:write.")
    token = settings.slack_app_token.get_secret_value()
    return SocketModeHandler(
        app, token, web_client=WebClient(token=token, base_url=_base(settings), timeout=TIMEOUT), concurrency=LISTENERS
    )


def _base(settings: Settings) -> str:
    return settings.slack_api_url.rstrip("/") + "/"
