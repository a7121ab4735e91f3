"""A person in front of an open modal: pressing, choosing, submitting, closing, and what the app's answer does."""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox import acting, payloads
from bot.sandbox.acting import Choice
from bot.sandbox.choices import Choices
from bot.sandbox.deliver import Courier, Delivery, Reply
from bot.sandbox.outcome import Outcome, interact
from bot.sandbox.records import Json, PersonError, SlackError, User
from bot.sandbox.state import State

TROUBLE = "We had some trouble connecting. Try again?"


class Modals:
    """Acts in the modals of one workspace."""

    def __init__(self, state: State, courier: Courier, choices: Choices) -> None:
        self._state = state
        self._courier = courier
        self._choices = choices
        self._lock = state.feed.lock

    def act(
        self, person: User, view_id: str, action_id: str, choice: Choice | None, value: str | None = None
    ) -> Outcome:
        """Press or choose inside a modal; an input without dispatch_action only counts on submit."""
        with self._lock:
            view = self._view(person, view_id)
            block, element = acting.find(view["blocks"], action_id, None, value)
            action = self._choices.act(person.id, view_id, block, element, choice)
            if block["type"] == "input" and not block.get("dispatch_action"):
                return Outcome(ok=True)
            values = self._choices.values(person.id, view_id, view["blocks"])
            payload = payloads.view_action(self._state, person, view, action, values)
        return interact(self._courier, payload)

    def submit(self, person: User, view_id: str, values: Mapping[str, Choice]) -> Outcome:
        """Fill in and submit; the app's response_action is carried out."""
        with self._lock:
            view = self._view(person, view_id)
            if view["submit"] is None:
                raise PersonError("this modal has no submit button: press one of its buttons or close it")
            self._choices.fill_in(person.id, view_id, view["blocks"], values)
            filled = self._choices.values(person.id, view_id, view["blocks"])
            payload = payloads.view_submission(self._state, person, view, filled)
        return self.answered(person, view, *self._courier.deliver("interactive", payload))

    def answered(self, person: User, view: Json, delivery: Delivery, reply: Reply) -> Outcome:
        """What the reply to a submission leads to."""
        error, errors = reply.error, dict[str, str]()
        if error is None:
            try:
                with self._lock:
                    errors = self._respond(person, view, reply.payload or {})
            except SlackError as refused:
                error = refused.code
        said = None if error is None else TROUBLE
        if errors:
            error = "validation"
        return Outcome(
            ok=error is None,
            error=error,
            said=said,
            delivery_id=delivery.id,
            reply=reply.payload,
            errors=errors or None,
        )

    def close(self, person: User, view_id: str) -> Outcome:
        """Close without submitting; the app hears of it when the view asked for that."""
        with self._lock:
            view = self._view(person, view_id)
            if view["clear_on_close"]:
                self._state.views.clear(person.id)
            else:
                self._state.views.close(person.id, view_id)
            if not view["notify_on_close"]:
                return Outcome(ok=True)
            payload = payloads.view_closed(self._state, person, view, cleared=view["clear_on_close"])
        return interact(self._courier, payload)

    def _respond(self, person: User, view: Json, response: Json) -> dict[str, str]:
        """Carry out a response_action; what it returns are the sentences to show beside inputs."""
        views, asked = self._state.views, response.get("response_action")
        if asked == "errors":
            errors = response.get("errors")
            inputs = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
            if not isinstance(errors, dict) or not errors or not errors.keys() <= inputs:
                raise SlackError("invalid_response_errors")
            return {str(key): str(value) for key, value in errors.items()}
        if asked == "update":
            views.update(response.get("view"), view_id=view["id"])
        elif asked == "push":
            views.push(person.id, response.get("view"))
        elif asked == "clear":
            views.clear(person.id)
        elif asked is None:
            views.close(person.id, view["id"])
        else:
            raise SlackError("invalid_response_action")
        return {}

    def _view(self, person: User, view_id: str) -> Json:
        try:
            return self._state.views.get(person.id, view_id)
        except SlackError:
            raise PersonError(f"{person.name} has no open modal {view_id}") from None
