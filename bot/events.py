"""Mentions: the same verbs in a job's thread, with the job implied; the answer is owed like any other message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot import answering, outbox
from bot.fanout import WARNINGS
from bot.parse import parse_mention
from bot.parts import Caller, Parts
from bot.views.blocks import Message
from jobs import db


class Events:
    """Listeners of what is said to the bot."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def mentioned(
        self,
        event: dict[str, Any],
        body: dict[str, Any],
        next: Callable[[], None],
    ) -> None:
        """Do what a mention asks for, once, and owe the answer into its thread.

        A middleware, because Bolt acknowledges an event before its listener runs: what a bot that dies then has
        not written down would never come again.
        """
        parts, key = self._parts, f"event:{body['event_id']}"
        with parts.db.read() as tx:
            again = outbox.was_told(tx, key)
        if not again:
            message = answering.guarded(parts, event.get("text", ""), lambda: self._perform(event, key))
            self._owe(event, key, message)
        next()

    @staticmethod
    def acknowledged() -> None:
        """Have nothing left to do: the mention was taken before Slack was told so."""

    def _perform(self, event: dict[str, Any], key: str) -> Message:
        parts, channel, thread = self._parts, event["channel"], event.get("thread_ts")
        with parts.db.read() as tx:
            job = db.find_job_by_thread(tx, channel, thread) if thread else None
        asked = parse_mention(
            event.get("text", ""),
            delivery=key,
            channel=channel,
            person=event["user"],
            job=job.id if job else None,
        )
        return answering.perform(parts, asked, Caller(person=event["user"], channel=channel, delivery=key))

    def _owe(self, event: dict[str, Any], key: str, message: Message) -> None:
        with self._parts.db.write() as tx:
            outbox.owe(
                tx,
                key=key,
                kind="post",
                channel=event["channel"],
                priority=WARNINGS,
                payload={
                    "text": message.text,
                    "blocks": list(message.blocks),
                    "thread_ts": event.get("thread_ts") or event["ts"],
                },
                at=self._parts.clock.now(),
            )
        self._parts.wake()
