"""The sandbox's Slack without a socket: the real client's calls go straight into the sandbox's Web API.

`Office` is the workspace and its bad days; `InProcess` is the client that the bot's own delivery is given, so that
errors, limits and metadata are read by the code that reads Slack's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from slack_sdk import WebClient
from slack_sdk.web import SlackResponse

from bot.delivery import Delivery
from bot.manifest import manifest
from bot.sandbox import methods_chat, methods_conversations, methods_files, methods_people
from bot.sandbox.config import AppConfig
from bot.sandbox.ids import Ids
from bot.sandbox.records import Message
from bot.sandbox.seed import Person, Room, Seed
from bot.sandbox.state import State
from bot.sandbox.webapi import WebApi
from jobs.model import Team
from tests.simulation.cloud import TrueTime

TOKEN = "xoxb-simulated"
METHODS = (
    methods_chat.METHODS | methods_conversations.METHODS | methods_files.METHODS | methods_people.METHODS
)  # fmt: skip
NAMES = ("ada", "tam", "bo", "eve", "lea", "max")
LEADERS = ("lea", "max")


class Hours:
    """The workspace's clock: true time, whatever the bot's wall clock says."""

    def __init__(self, time: TrueTime) -> None:
        self._time = time

    def now(self) -> datetime:
        """Return the wall time."""
        return self._time.now()

    def monotonic(self) -> float:
        """Return seconds that only differ."""
        return self._time.now().timestamp()

    def wait(self, *_: object) -> bool:
        """Never be called: nothing here waits for anybody."""
        raise AssertionError("nobody waits in a simulation")


class Office:
    """One workspace with two teams' channels. `lost` is the chance that a post stands and is not answered."""

    def __init__(self, time: TrueTime, seed: str) -> None:
        chance = random.Random(seed)
        self.chance = chance
        self.lost = 0.0
        self.down = False
        people = tuple(Person(name=name, real_name=name.capitalize(), title="") for name in NAMES)
        rooms = tuple(Room(name=name, members=NAMES) for name in ("vision", "nlp"))
        state = State.build(
            app=AppConfig.from_manifest(manifest()),
            seed=Seed(people=people, rooms=rooms, groups=()),
            clock=Hours(time),
            ids=Ids(chance),
            base_url="http://slack.invalid",
        )
        self.state = state
        self.api = WebApi(state, bot_token=TOKEN, app_token="xapp-", methods=METHODS, request_id=lambda: "r")
        self.users = {name: state.workspace.user(name).id for name in NAMES}
        self.channels = {name: state.workspace.channel(name).id for name in ("vision", "nlp")}
        self.posted = 0

    def client(self) -> WebClient:
        """Return a client of this workspace."""
        return InProcess(self)

    def delivery(self) -> Delivery:
        """Return the bot's delivery into this workspace."""
        delivery = Delivery(WebClient(token=TOKEN))
        delivery._client = InProcess(self)
        return delivery

    def call(self, method: str, values: dict[str, Any]) -> SlackResponse:
        """Answer one call as Slack would; raises what the client raises."""
        if self.down:
            raise TimeoutError("Slack does not answer.")
        body = json.dumps({key: value for key, value in values.items() if value is not None}).encode()
        answer = self.api.call(method, f"Bearer {TOKEN}", "application/json", body, "")
        if answer.body.get("ok") and method in ("chat.postMessage", "files.completeUploadExternal"):
            self.posted += 1
            if self.lost and self.chance.random() < self.lost:
                raise TimeoutError("The answer did not come.")
        response = SlackResponse(
            client=None,
            http_verb="POST",
            api_url=method,
            req_args={},
            data=answer.body,
            headers=dict(answer.headers),
            status_code=answer.status,
        )
        return response.validate()

    def said(self, channel: str) -> Sequence[Message]:
        """Return what stands in a channel, by its id, as it reads now."""
        return self.state.workspace.everything(channel)


class InProcess(WebClient):
    """The SDK's client with the network cut out."""

    def __init__(self, office: Office) -> None:
        super().__init__(token=TOKEN, retry_handlers=[])
        self._office = office

    def api_call(self, api_method: str, **sent: Any) -> SlackResponse:
        """Hand one call over."""
        values = dict(sent.get("json") or sent.get("params") or sent.get("data") or {})
        return self._office.call(api_method, values)

    def files_upload_v2(self, **sent: Any) -> SlackResponse:
        """Upload in the three steps that the SDK takes, the bytes straight into the workspace."""
        content = sent["content"]
        asked = {"filename": sent["filename"], "length": len(content), "alt_txt": sent.get("alt_txt")}
        begun = self._office.call("files.getUploadURLExternal", asked)
        secret = str(begun["upload_url"]).rpartition("/")[2]
        self._office.state.files.upload(secret, content)
        return self._office.call(
            "files.completeUploadExternal",
            {
                "files": [{"id": begun["file_id"], "title": sent["title"]}],
                "channel_id": sent["channel"],
                "thread_ts": sent["thread_ts"],
                "initial_comment": sent["initial_comment"],
            },
        )


class Roster:
    """Who leads and who may rent, from the office's list instead of calls that are cached for a minute."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def leads(self, team: Team) -> tuple[str, ...]:
        """Return the leads of every team."""
        return tuple(self._office.users[name] for name in LEADERS)

    def standing(self, user: str) -> str | None:
        """Let everybody of the office rent."""
        return None

    def can_post(self, channel: str) -> str | None:
        """Let the bot post in the teams' channels."""
        return None if channel in self._office.channels.values() else "I am not in that channel."

    def resolve(self, name: str) -> str | None:
        """Return the id of a name."""
        return self._office.users.get(name.removeprefix("@"))
