"""The sandbox's workspace behind a client without a network, and the bad days that it may have.

The real SDK's client is used up to its `api_call`; from there a call goes straight into the sandbox's Web API,
unless the weather of the moment keeps it, or its answer, from arriving. Chance comes from one seed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.web.file_upload_v2_result import FileUploadV2Result
from slack_sdk.web.slack_response import SlackResponse

from bot.manifest import manifest
from bot.sandbox import methods_chat, methods_conversations, methods_files, methods_people
from bot.sandbox.config import AppConfig
from bot.sandbox.ids import Ids
from bot.sandbox.records import Message, SlackError
from bot.sandbox.seed import Person, Room, Seed
from bot.sandbox.state import State
from bot.sandbox.webapi import WebApi
from tests.support.clock import FakeClock
from tests.support.mortal import Killed

TOKEN = "xoxb-in-process"
METHODS = methods_chat.METHODS | methods_conversations.METHODS | methods_files.METHODS | methods_people.METHODS
NAMES = ("ada", "tam", "lea")
ROOMS = ("vision", "nlp")
POSTS = ("chat.postMessage", "files.completeUploadExternal")


class Hours:
    """The story's clock as the workspace asks for it."""

    def __init__(self, clock: FakeClock) -> None:
        self.now, self.monotonic = clock.now, clock.monotonic

    def wait(self, *_: object) -> bool:
        """Never be called: nobody types here, so nothing waits for an acknowledgement."""
        raise AssertionError("nobody waits")


@dataclass(frozen=True, kw_only=True)
class Weather:
    """How likely it is that a call goes wrong, by how."""

    away: float = 0.0  # it does not arrive, and nobody answers
    lost: float = 0.0  # it is done, and the answer does not arrive
    broken: float = 0.0  # answered 500; done before in half of the cases
    limited: float = 0.0  # answered 429 with a Retry-After
    killed: float = 0.0  # the bot dies: before it in half of the cases, after it in the others


CALM = Weather()
OUTAGE = Weather(away=1.0)


@dataclass(kw_only=True)
class Said:
    """A message that came to stand in the workspace."""

    at: datetime
    channel: str
    key: str  # of its metadata; the file's name where it is a picture


@dataclass(kw_only=True)
class Workspace:
    """One workspace with its weather; what it was asked and what it did is counted."""

    clock: FakeClock
    chance: random.Random
    weather: Weather = CALM
    counts: Counter[str] = field(default_factory=Counter)
    said: list[Said] = field(default_factory=list)
    on_call: Callable[[str], None] = lambda method: None

    def __post_init__(self) -> None:
        """Build the workspace: two rooms, three people."""
        self.state = State.build(
            app=AppConfig.from_manifest(manifest()),
            seed=Seed(
                people=tuple(Person(name=name, real_name=name.capitalize(), title="") for name in NAMES),
                rooms=tuple(Room(name=name, members=NAMES) for name in ROOMS),
                groups=(),
            ),
            clock=Hours(self.clock),
            ids=Ids(random.Random(0)),
            base_url="http://slack.invalid",
        )
        self._api = WebApi(self.state, bot_token=TOKEN, app_token="xapp-", methods=METHODS, request_id=lambda: "r")
        self.people = {name: self.state.workspace.user(name).id for name in NAMES}
        self.rooms = {name: self.state.workspace.channel(name).id for name in ROOMS}

    def client(self) -> WebClient:
        """Return a client of this workspace."""
        return Client(self)

    # ------------------------------------------------------------ calls

    def call(self, method: str, values: dict[str, Any]) -> SlackResponse:
        """Answer a call, or do to it what the weather does; raises what the SDK raises."""
        self.on_call(method)
        self.counts["calls"] += 1
        fate = self._fate()
        if fate:
            self.counts[fate] += 1
        match fate:
            case "away":
                raise TimeoutError("timed out")
            case "limited":
                seconds = self.chance.choice((1, 2, 5, 30, 60))
                return self._answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(seconds)})
            case "broken" if self.chance.random() < 0.5:
                return self._answer(500, {"ok": False, "error": "internal_error"}, {})
            case "killed" if self.chance.random() < 0.5:
                raise Killed(method)
        answer = self._done(method, values)
        match fate:
            case "lost":
                raise ConnectionResetError("Connection reset by peer")
            case "broken":
                return self._answer(500, {"ok": False, "error": "internal_error"}, {})
            case "killed":
                raise Killed(method)
        return answer

    def upload(self, url: str, content: bytes) -> FileUploadV2Result:
        """Take a file's bytes, whatever the weather: what counts is the call that shares it."""
        self.state.files.upload(url.rpartition("/")[2], content)
        return FileUploadV2Result(status=200, body="OK")

    def _fate(self) -> str:
        drawn = self.chance.random()
        for name in ("away", "lost", "broken", "limited", "killed"):
            drawn -= getattr(self.weather, name)
            if drawn < 0:
                return name
        return ""

    def _done(self, method: str, values: dict[str, Any]) -> SlackResponse:
        sent = {name: value for name, value in values.items() if value is not None}
        answer = self._api.call(method, f"Bearer {TOKEN}", "application/json", json.dumps(sent).encode(), "")
        if method in POSTS and answer.body["ok"]:
            self.counts["posts"] += 1
            self.said.append(Said(at=self.clock.now(), channel=self._where(sent), key=self._key(sent)))
        elif answer.status == 429:
            self.counts["over the real limit"] += 1
        elif method == "chat.update" and answer.body["ok"]:
            self.counts["edits"] += 1
        elif method in ("conversations.history", "conversations.replies"):
            self.counts["look-ups"] += 1
        return self._answer(answer.status, answer.body, dict(answer.headers))

    def _where(self, sent: dict[str, Any]) -> str:
        return str(sent.get("channel") or sent.get("channel_id"))

    def _key(self, sent: dict[str, Any]) -> str:
        if "metadata" in sent:
            return str(sent["metadata"]["event_payload"]["key"])
        return self.state.files.get(json.loads(sent["files"])[0]["id"]).name  # the SDK sends these as text

    @staticmethod
    def _answer(status: int, body: dict[str, Any], headers: dict[str, str]) -> SlackResponse:
        return SlackResponse(
            client=None, http_verb="POST", api_url="", req_args={}, data=body, headers=headers, status_code=status
        ).validate()

    # ------------------------------------------------------------ what stands

    def standing(self) -> list[tuple[str, Message]]:
        """Return every message with its key, channel after channel, in the order in which they were said."""
        found = []
        for channel in list(self.state.workspace.channels):
            for message in self.state.workspace.everything(channel):
                found.append((self.key_of(message), message))
        return found

    def key_of(self, message: Message) -> str:
        """Return the key by which a message can be found again."""
        if message.metadata:
            return str(message.metadata["event_payload"]["key"])
        return self.state.files.get(message.files[0]).name if message.files else ""

    def message(self, channel: str, ts: str) -> Message | None:
        """Return a message, None where there is none."""
        try:
            return self.state.workspace.message(channel, ts)
        except SlackError:
            return None


class Client(WebClient):
    """The SDK's client with the network cut out."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(token=TOKEN, base_url="http://slack.invalid/", retry_handlers=[])
        self._workspace = workspace

    def api_call(self, api_method: str, **sent: Any) -> SlackResponse:
        """Hand one call over."""
        return self._workspace.call(api_method, dict(sent.get("json") or sent.get("params") or sent.get("data") or {}))

    def _upload_file(self, *, url: str, data: bytes, **_: Any) -> FileUploadV2Result:
        return self._workspace.upload(url, data)


def random_weather(chance: random.Random) -> Weather:
    """Return one of the days that Slack may have."""
    return chance.choice(
        (
            CALM,
            Weather(lost=0.1, broken=0.05, limited=0.05),
            Weather(lost=0.1, killed=0.1),
            Weather(limited=0.7),  # a storm
            Weather(away=0.5, lost=0.3),
            Weather(away=0.1, lost=0.1, broken=0.1, limited=0.2, killed=0.05),
            OUTAGE,
        )
    )
