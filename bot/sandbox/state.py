"""Everything one sandbox knows, in one value that its edges share; `feed.lock` guards all of it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.sandbox.clock import Clock
from bot.sandbox.config import AppConfig
from bot.sandbox.feed import Feed
from bot.sandbox.files import Files
from bot.sandbox.ids import Ids
from bot.sandbox.posting import Posting
from bot.sandbox.ratelimit import RateLimiter
from bot.sandbox.records import Json, Message, StoredFile
from bot.sandbox.response_url import ResponseUrls
from bot.sandbox.seed import Seed
from bot.sandbox.views import Triggers, Views
from bot.sandbox.wire import file_json, message_json
from bot.sandbox.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class State:
    """The stores of one sandbox."""

    app: AppConfig
    base_url: str  # "http://127.0.0.1:PORT", no slash at the end
    clock: Clock
    ids: Ids
    feed: Feed
    workspace: Workspace
    files: Files
    posting: Posting
    triggers: Triggers
    views: Views
    response_urls: ResponseUrls
    limiter: RateLimiter

    @classmethod
    def build(cls, *, app: AppConfig, seed: Seed, clock: Clock, ids: Ids, base_url: str) -> State:
        """A fresh workspace from its seed."""
        feed = Feed()
        workspace = Workspace(seed=seed, clock=clock, ids=ids, feed=feed)
        files = Files(clock=clock, ids=ids)
        posting = Posting(workspace=workspace, files=files, ids=ids)
        identity: Json = {
            "team_id": workspace.team.id,
            "app_id": workspace.app_id,
            "bot_id": workspace.bot_id,
            "app_installed_team_id": workspace.team.id,
        }
        return cls(
            app=app,
            base_url=base_url,
            clock=clock,
            ids=ids,
            feed=feed,
            workspace=workspace,
            files=files,
            posting=posting,
            triggers=Triggers(clock=clock, ids=ids),
            views=Views(feed=feed, ids=ids, identity=identity),
            response_urls=ResponseUrls(clock=clock, ids=ids, workspace=workspace, posting=posting),
            limiter=RateLimiter(clock),
        )

    def file(self, file: StoredFile) -> Json:
        """A file as Slack's JSON."""
        return file_json(self.workspace, file, self.base_url)

    def message(self, message: Message, *, metadata: bool = False) -> Json:
        """A message as Slack's JSON, its files included."""
        files = {one: self.file(self.files.get(one)) for one in message.files}
        return message_json(self.workspace, message, files, metadata=metadata)

    def response_url(self, path: str) -> str:
        """The full response_url of an issued path."""
        return f"{self.base_url}/commands/{path}"
