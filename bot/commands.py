"""Slash commands: parse, write down, acknowledge, answer."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, Respond

from bot import answering, budgeting
from bot.parse import parse_train
from bot.parts import Caller, Parts, is_group_message
from bot.verbs import Command
from bot.views import answers
from bot.views.blocks import Message
from jobs.errors import BadRequest


class Commands:
    """Listeners of `/train` and `/budget`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def train(self, ack: Ack, command: dict[str, Any], respond: Respond) -> None:
        """Answer `/train`: at once where rows are all that it takes, else after the acknowledgement."""
        parts, caller, typed = self._parts, _caller(command), _typed(command)
        asked = self._parse(command, caller)
        if isinstance(asked, Message):
            _answer(ack, asked)
        elif answering.quick(asked):
            _answer(ack, answering.guarded(parts, typed, lambda: answering.perform(parts, asked, caller)))
        else:
            ack()
            _answer(respond, answering.guarded(parts, typed, lambda: answering.perform(parts, asked, caller)))

    def budget(self, ack: Ack, command: dict[str, Any]) -> None:
        """Answer `/budget`; what was changed is said where all can read it."""
        done = budgeting.perform(self._parts, command.get("text", ""), _caller(command), typed=_typed(command))
        _answer(ack, done.message, kind="in_channel" if done.changed else "ephemeral")

    def _parse(self, command: dict[str, Any], caller: Caller) -> Command | Message:
        try:
            return parse_train(
                command.get("text", ""), delivery=caller.delivery, channel=caller.channel, person=caller.person
            )
        except BadRequest as error:
            failed = answers.failure(self._parts.say, error)
            return answering.guarded(self._parts, _typed(command), lambda: failed)


def _caller(command: dict[str, Any]) -> Caller:
    return Caller(
        person=command["user_id"],
        channel=command["channel_id"],
        delivery=command["trigger_id"],
        in_group_message=is_group_message(command.get("channel_name")),
    )


def _typed(command: dict[str, Any]) -> str:
    return f"{command['command']} {command.get('text', '')}".strip()


def _answer(answer: Ack | Respond, message: Message, *, kind: str = "ephemeral") -> None:
    answer(text=message.text, blocks=list(message.blocks), response_type=kind)
