"""Mentions: the same verbs in a job's thread, with the job implied; the answer is owed like any other message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot import answering, outbox
from bot.fanout import WARNINGS
from bot.parse import parse_mention
from bot.parts import Caller, Parts
from bot.verbs import Command
from bot.views.blocks import Message
from jobs import db
from jobs.errors import HourglassError


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
        self._once(event, body, lasting=False)
        next()

    def acknowledged(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Do what may take minutes: all else was done before Slack was told so.

        It only answers a question. A bot that dies meanwhile owes nothing but that answer, and is asked again.
        """
        self._once(event, body, lasting=True)

    def _once(self, event: dict[str, Any], body: dict[str, Any], *, lasting: bool) -> None:
        """Do what was asked and owe the answer, if it is of the kind whose turn it is and was not answered yet."""
        parts, key = self._parts, f"event:{body['event_id']}"
        with parts.db.read() as tx:
            again = outbox.was_told(tx, key)
        if again or self._lasts(event, key) is not lasting:
            return
        message = answering.guarded(parts, event.get("text", ""), lambda: self._perform(event, key))
        self._owe(event, key, message)

    def _lasts(self, event: dict[str, Any], key: str) -> bool:
        try:
            return answering.lasting(self._asked(event, key))
        except HourglassError:
            return False  # the answer says what is wrong

    def _asked(self, event: dict[str, Any], key: str) -> Command:
        channel, thread = event["channel"], event.get("thread_ts")
        with self._parts.db.read() as tx:
            job = db.find_job_by_thread(tx, channel, thread) if thread else None
        return parse_mention(
            event.get("text", ""),
            delivery=key,
            channel=channel,
            person=event["user"],
            job=job.id if job else None,
        )

    def _perform(self, event: dict[str, Any], key: str) -> Message:
        grouped = event.get("channel_type") == "mpim"
        caller = Caller(person=event["user"], channel=event["channel"], delivery=key, in_group_message=grouped)
        return answering.perform(self._parts, self._asked(event, key), caller)

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
