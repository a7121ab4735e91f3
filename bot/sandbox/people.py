"""Acting as a person: typing, pressing, choosing, filling in modals, and seeing what a person would see.

The page's endpoints, the demo and the tests all go through here, so that a test presses what a person presses.
Users are named by handle or id, channels by "#name" or id, "@hourglass" is the person's own talk with the bot.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox import acting, payloads
from bot.sandbox.acting import Choice
from bot.sandbox.choices import Choices
from bot.sandbox.compose import as_phone, command_text, message_text
from bot.sandbox.deliver import Courier, Delivery, Reply
from bot.sandbox.modals import Modals
from bot.sandbox.outcome import Outcome, interact, interacted
from bot.sandbox.records import Channel, Json, Message, PersonError, SlackError, User
from bot.sandbox.sight import Sight
from bot.sandbox.state import State
from bot.sandbox.workspace import SLACKBOT

_MESSAGE_EVENTS = {"public": "message.channels", "private": "message.groups", "im": "message.im"}


class People(Sight):
    """Everybody at the keyboard of one workspace."""

    def __init__(self, state: State, courier: Courier) -> None:
        super().__init__(state)
        self._courier = courier
        self._choices = Choices(state.workspace)
        self._modals = Modals(state, courier, self._choices)

    # -- typing ------------------------------------------------------------------------------------------

    def type(self, user: str, channel: str, text: str, *, thread_ts: str | None = None, phone: bool = False) -> Outcome:
        """Send a line: one that begins with "/" is a slash command, any other a message.

        With `phone` the line is first changed as a phone's keyboard changes it.
        """
        if not text.strip():
            raise PersonError("there is nothing to send")
        typed = as_phone(text) if phone else text
        with self._lock:
            person, place = self._user(user), self._place(user, channel)
            if place.archived:
                raise PersonError(f"#{place.name} is archived: nobody can write there")
            if not typed.startswith("/"):
                return self._say(person, place, typed, thread_ts)
            payload = self._command(person, place, typed, thread_ts)
        if isinstance(payload, Outcome):
            return payload
        return self._commanded(person, place, *self._courier.deliver("slash_commands", payload))

    def _say(self, person: User, place: Channel, typed: str, thread_ts: str | None) -> Outcome:
        state, bot = self._state, self._state.workspace.bot_user
        text = message_text(typed, state.workspace)
        if thread_ts is not None:
            self._check_parent(place, thread_ts)
        message = state.workspace.post(
            place.id,
            lambda ts: Message(channel=place.id, ts=ts, user=person.id, text=text, thread_ts=thread_ts),
        )
        named = f"<@{bot}>" in text
        if bot not in place.members:
            if named:
                missing = f"You mentioned <@{bot}>, but they’re not in this channel."
                self._slackbot(person, place, missing, thread_ts)
            return Outcome(ok=True, ts=message.ts)
        events: list[Json] = []
        if _MESSAGE_EVENTS[place.kind] in state.app.events:
            events.append(payloads.message_event(state, message, place))
        if named and place.kind != "im" and "app_mention" in state.app.events:
            events.append(payloads.mention_event(state, message))
        sent = [self._courier.publish(payloads.event(state, inner)) for inner in events]
        return Outcome(ok=True, ts=message.ts, delivery_id=sent[-1].id if sent else None)

    def _check_parent(self, place: Channel, thread_ts: str) -> None:
        try:
            self._state.posting.check_parent(place, thread_ts)
        except SlackError as refused:
            raise PersonError(f"there is no thread {thread_ts} in this channel ({refused.code})") from None

    def _command(self, person: User, place: Channel, typed: str, thread_ts: str | None) -> Json | Outcome:
        name, _, rest = typed.partition(" ")
        command = self._state.app.command(name)
        if command is None:
            said = (
                f"`{name}` is not a valid command. In Slack, all messages that start with the “/” character are "
                "interpreted as commands."
            )
            return self._refused(person, place, "invalid_command", said, thread_ts)
        if thread_ts is not None:
            said = f"`{name}` is not supported in threads. Sorry!"
            return self._refused(person, place, "not_in_thread", said, thread_ts)
        text = command_text(rest.strip(), self._state.workspace, should_escape=command.should_escape)
        return payloads.slash_command(self._state, person, place, name, text)

    def _commanded(self, person: User, place: Channel, delivery: Delivery, reply: Reply) -> Outcome:
        error = reply.error
        with self._lock:
            if error is None and reply.payload:
                try:
                    self._state.response_urls.answer(place, person.id, reply.payload)
                except SlackError as refused:
                    error = refused.code
            if error is None:
                return Outcome(ok=True, delivery_id=delivery.id, reply=reply.payload)
            said = f'{delivery.payload["command"]} failed with the error "{error}"'
            if error == "app_did_not_respond":
                said = f"{delivery.payload['command']} failed because the app did not respond"
            self._slackbot(person, place, said, None)
        return Outcome(ok=False, error=error, said=said, delivery_id=delivery.id, reply=reply.payload)

    def _refused(self, person: User, place: Channel, error: str, said: str, thread_ts: str | None) -> Outcome:
        self._slackbot(person, place, said, thread_ts)
        return Outcome(ok=False, error=error, said=said)

    def _slackbot(self, person: User, place: Channel, text: str, thread_ts: str | None) -> None:
        self._state.workspace.post(
            place.id,
            lambda ts: Message(
                channel=place.id, ts=ts, user=SLACKBOT, text=text, only_for=person.id, thread_ts=thread_ts
            ),
        )

    # -- acting ------------------------------------------------------------------------------------------

    def press(
        self,
        user: str,
        channel: str,
        ts: str,
        action_id: str,
        *,
        value: str | None = None,
        block_id: str | None = None,
    ) -> Outcome:
        """Press a button of a message; `value` or `block_id` tell equals apart."""
        return self._act(user, channel, ts, (action_id, block_id, value), None)

    def choose(
        self, user: str, channel: str, ts: str, action_id: str, choice: Choice, *, block_id: str | None = None
    ) -> Outcome:
        """Choose in a select, overflow menu, radio group or checkboxes of a message, by option value."""
        return self._act(user, channel, ts, (action_id, block_id, None), choice)

    def _act(
        self,
        user: str,
        channel: str,
        ts: str,
        what: tuple[str, str | None, str | None],  # action_id, block_id, value
        choice: Choice | None,
    ) -> Outcome:
        with self._lock:
            person, place = self._user(user), self._place(user, channel)
            try:
                message = self._state.workspace.visible(place.id, ts, person.id)
            except SlackError:
                raise PersonError(f"{person.name} sees no message {ts} there: deleted, or never posted") from None
            block, element = acting.find(message.blocks, *what)
            if not self._state.app.interactivity:
                return Outcome(ok=False, error="interactivity_off", said="This app is not set up for buttons.")
            action = self._choices.act(person.id, ts, block, element, choice)
            values = self._choices.values(person.id, ts, message.blocks)
            payload = payloads.message_action(self._state, person, place, message, action, values)
        return interact(self._courier, payload)

    def press_in_view(self, user: str, view_id: str, action_id: str, *, value: str | None = None) -> Outcome:
        """Press a button inside an open modal."""
        return self._modals.act(self._user(user), view_id, action_id, None, value)

    def choose_in_view(self, user: str, view_id: str, action_id: str, choice: Choice) -> Outcome:
        """Choose in a modal's element; an input without dispatch_action only counts on submit."""
        return self._modals.act(self._user(user), view_id, action_id, choice)

    def submit(self, user: str, view_id: str, values: Mapping[str, Choice] | None = None) -> Outcome:
        """Submit a modal; values by action_id or block_id, inputs that are not named keep what they hold."""
        return self._modals.submit(self._user(user), view_id, values or {})

    def close(self, user: str, view_id: str) -> Outcome:
        """Close a modal without submitting."""
        return self._modals.close(self._user(user), view_id)

    # -- the network and the workspace around it ---------------------------------------------------------

    def deliveries(self) -> list[Delivery]:
        """What was delivered to the app so far, oldest first."""
        return self._courier.deliveries()

    def redeliver(self, delivery_id: str | None = None) -> Outcome:
        """Deliver the last envelope (or that one) again, as networks do; the answer counts as the first one did."""
        delivery, reply = self._courier.again(delivery_id)
        payload = delivery.payload
        if delivery.kind == "slash_commands":
            person, place = self._user(payload["user_id"]), self._channel(payload["channel_id"])
            return self._commanded(person, place, delivery, reply)
        if payload["type"] == "view_submission":
            person = self._user(payload["user"]["id"])
            if any(view["id"] == payload["view"]["id"] for view in self.views(person.id)):
                return self._modals.answered(person, payload["view"], delivery, reply)
        return interacted(delivery, reply)

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until no event is on its way to the app; TimeoutError after `timeout` seconds."""
        self._courier.settle(timeout)

    def kick_bot(self, channel: str) -> None:
        """Remove the bot from a channel."""
        self._membership(channel, present=False)

    def invite_bot(self, channel: str) -> None:
        """Add the bot to a channel."""
        self._membership(channel, present=True)

    def archive(self, channel: str) -> None:
        """Archive a channel."""
        with self._lock:
            self._state.workspace.archive(self._channel(channel).id)

    def _membership(self, channel: str, *, present: bool) -> None:
        with self._lock:
            place, bot = self._channel(channel), {self._state.workspace.bot_user}
            members = place.members | bot if present else place.members - bot
            self._state.workspace.set_members(place.id, members)
