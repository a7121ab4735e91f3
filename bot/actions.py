"""Buttons and forms: who may is checked at the press; whoever may not, or comes too late, is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slack_bolt import Ack, Respond
from slack_sdk import WebClient

from bot import answering, describing, outbox
from bot.fanout import ENDS
from bot.parts import Caller, Parts, is_group_message
from bot.views import modals
from bot.views.blocks import Block, Message
from jobs import descriptions
from jobs.errors import BadRequest
from jobs.model import Job
from jobs.service import Person

Body = dict[str, Any]


class Actions:
    """Listeners of the buttons on cards, and of the forms that some of them open."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # ------------------------------------------------------------ decisions

    def approve(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Approve a job as it stands."""
        caller, job_id = _caller(body), _value(body)
        self._decide(ack, respond, job_id, caller, lambda by: self._approve(job_id, by, None, caller))

    def approve_shorter(self, ack: Ack, body: Body, client: WebClient) -> None:
        """Open the form for a shorter approval."""
        self._form(ack, body, client, "shorter", self._shorter_form)

    def deny(self, ack: Ack, body: Body, client: WebClient) -> None:
        """Open the form for a denial."""
        self._form(ack, body, client, "deny", self._deny_form)

    def shorter_submitted(self, ack: Ack, body: Body, view: Block) -> None:
        """Approve for the length that was chosen."""
        caller, job_id = _caller(body), view["private_metadata"]
        minutes = float(_state(view, "minutes", "minutes")["selected_option"]["value"])
        self._submit(ack, job_id, caller, lambda by: self._approve(job_id, by, minutes, caller))

    def deny_submitted(self, ack: Ack, body: Body, view: Block) -> None:
        """Deny with the reason that was chosen or written."""
        parts, caller, job_id = self._parts, _caller(body), view["private_metadata"]
        reason = modals.denial(
            parts.say,
            _state(view, "reason", "reason")["selected_option"]["value"],
            _state(view, "words", "words").get("value") or "",
        )
        if not reason:
            ack(response_action="errors", errors=modals.missing_words(parts.say))
            return
        self._submit(ack, job_id, caller, lambda by: parts.service.deny(job_id, by, reason))

    # ------------------------------------------------------------ a running job

    def stop(self, ack: Ack, body: Body, respond: Respond) -> None:
        """End a job; the dialog has asked already."""
        caller, job_id = _caller(body), _value(body)
        _only_failures(ack, respond, self._parts, lambda: answering.stop(self._parts, job_id, caller))

    def extend(self, ack: Ack, body: Body, client: WebClient) -> None:
        """Open the form for more time."""
        self._form(ack, body, client, "extend", lambda job_id, _: self._extend_form(job_id, _caller(body)))

    def extend_by(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Extend by the minutes that the button names; its provider is asked after the acknowledgement."""
        ack()
        caller, job_id = _caller(body), _value(body)
        minutes = float(body["actions"][0]["action_id"].rpartition("_")[2])
        _only_failures(None, respond, self._parts, lambda: answering.extend(self._parts, job_id, minutes, caller))

    def extend_submitted(self, ack: Ack, body: Body, view: Block) -> None:
        """Extend by what was chosen; a form has nowhere to answer, so a failure is whispered in the channel."""
        ack()
        parts, caller, job_id = self._parts, _caller(body), view["private_metadata"]
        minutes = float(_state(view, "minutes", "minutes")["selected_option"]["value"])
        failed = _failure(parts, lambda: answering.extend(parts, job_id, minutes, caller))
        if failed is not None:
            self._whisper(job_id, caller, failed)

    def rerun(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Ask for the same again."""
        caller, job_id = _caller(body), _value(body)
        message = answering.guarded(
            self._parts,
            f"/train rerun {job_id}",
            lambda: answering.rerun(self._parts, job_id, {}, caller, pressed=True),
        )
        ack()
        _answer(respond, message)

    def resume(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Ask for a new rental that goes on from the last checkpoint."""
        caller, job_id = _caller(body), _value(body)
        message = answering.guarded(
            self._parts,
            f"/train rerun {job_id}",
            lambda: answering.rerun(self._parts, job_id, {}, caller, resume=True, pressed=True),
        )
        ack()
        _answer(respond, message)

    def larger(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Ask for the same on a larger GPU, from the last checkpoint where there is one."""
        caller, (job_id, gpu, spot) = _caller(body), _value(body).split()

        def again() -> Message:
            saved = answering.look(self._parts, job_id, caller).can_go_on
            return answering.rerun(self._parts, job_id, {"gpu": gpu, "spot": spot}, caller, resume=saved, pressed=True)

        message = answering.guarded(self._parts, f"/train rerun {job_id} gpu={gpu} spot={spot}", again)
        ack()
        _answer(respond, message)

    def files(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Answer with links that were made now."""
        ack()
        job_id, _, name = _value(body).partition(" ")
        caller = _caller(body)
        typed = f"/train checkpoints {job_id}"
        _answer(
            respond,
            answering.guarded(self._parts, typed, lambda: answering.fresh_links(self._parts, job_id, name, caller)),
        )

    def whole_log(self, ack: Ack, body: Body, respond: Respond) -> None:
        """Answer with a link to a whole log, which is put together now."""
        ack()
        job_id, attempt, rank = _value(body).split()
        parts, caller = self._parts, _caller(body)
        typed = f"/train logs {job_id}"
        _answer(
            respond,
            answering.guarded(parts, typed, lambda: answering.whole_log(parts, job_id, attempt, rank, caller)),
        )

    def describe(self, ack: Ack, body: Body, client: WebClient) -> None:
        """Open the form that says what a job's lines mean, with what the button suggests."""
        job_id, _, suggested = _value(body).partition(" ")
        parts, caller = self._parts, _caller(body)
        self._form(
            ack, body, client, "describe", lambda _, by: describing.form(parts, job_id, by, caller, suggested), job_id
        )

    def describe_submitted(self, ack: Ack, body: Body, view: Block) -> None:
        """Read a job's lines as the form says; what cannot be read is said in the form."""
        parts, caller, job_id = self._parts, _caller(body), view["private_metadata"]
        said = (_state(view, "lines", "lines").get("value") or "").splitlines()
        try:
            descriptions.read(said)
        except BadRequest as error:
            ack(response_action="errors", errors={"lines": parts.say.retold(str(error))})
            return
        if self._submit(ack, job_id, caller, lambda by: parts.service.describe(job_id, by, said)):
            typed = f"/train progress {job_id}"  # the store is asked for its newest lines, which may take its time
            answer = answering.guarded(parts, typed, lambda: describing.described(parts, job_id, caller))
            self._whisper(job_id, caller, answer)

    # ------------------------------------------------------------ inside

    def _approve(self, job_id: str, by: Person, minutes: float | None, caller: Caller) -> Job:
        return self._parts.service.approve(job_id, by, minutes=minutes, delivery=caller.delivery)

    def _decide(self, ack: Ack, respond: Respond, job_id: str, caller: Caller, act: Callable[[Person], Job]) -> None:
        failed = _failure(self._parts, lambda: act(self._person(job_id, caller)))
        ack()
        if failed is not None:
            _answer(respond, failed)

    def _submit(self, ack: Ack, job_id: str, caller: Caller, act: Callable[[Person], Job]) -> bool:
        """Do what a form asks for: it closes, or says why not; return whether it was done."""
        failed = _failure(self._parts, lambda: act(self._person(job_id, caller)))
        if failed is None:
            ack()
        else:
            ack(response_action="update", view=modals.sorry(self._parts.say, failed.text))
        return failed is None

    def _form(
        self,
        ack: Ack,
        body: Body,
        client: WebClient,
        callback: str,
        build: Callable[[str, Person], Block],
        about: str = "",
    ) -> None:
        """Open a form at once, for its trigger lives three seconds; then look up who presses, and fill it in."""
        parts, job_id = self._parts, about or _value(body)
        opened = client.views_open(trigger_id=body["trigger_id"], view=modals.loading(parts.say, callback))
        ack()
        view: Block = {}

        def act() -> None:
            view.update(build(job_id, self._person(job_id, _caller(body))))

        failed = _failure(parts, act)
        if failed is not None:
            view = modals.sorry(parts.say, failed.text)
        client.views_update(view_id=opened["view"]["id"], view=view)

    def _deny_form(self, job_id: str, by: Person) -> Block:
        facts = answering.deciding(self._parts, job_id, by)
        return modals.deny(self._parts.say, facts)

    def _shorter_form(self, job_id: str, by: Person) -> Block:
        facts = answering.deciding(self._parts, job_id, by)
        return modals.shorter(self._parts.say, facts, answering.shorter_holds(self._parts, facts))

    def _extend_form(self, job_id: str, caller: Caller) -> Block:
        facts = answering.look(self._parts, job_id, caller)
        return modals.extend(self._parts.say, facts, answering.costs(facts))

    def _person(self, job_id: str, caller: Caller) -> Person:
        return answering.person(self._parts, answering.look(self._parts, job_id, caller).job, caller.person)

    def _whisper(self, job_id: str, caller: Caller, message: Message) -> None:
        with self._parts.db.write() as tx:
            outbox.owe(
                tx,
                key=f"{caller.delivery}:whisper",
                kind="whisper",
                channel=caller.person,
                priority=ENDS,
                payload={"text": message.text, "blocks": list(message.blocks)},
                at=self._parts.clock.now(),
                job_id=job_id,
            )
        self._parts.wake()


def _failure(parts: Parts, act: Callable[[], object]) -> Message | None:
    """Return what went wrong as an answer, None where nothing did."""
    outcome: list[object] = []

    def done() -> Message:
        outcome.append(act())
        return Message(text="")

    message = answering.guarded(parts, parts.say.plain("the button"), done)
    return None if outcome else message


def _only_failures(ack: Ack | None, respond: Respond, parts: Parts, act: Callable[[], Message]) -> None:
    """Act, acknowledge, and answer only what went wrong: what went right is seen on the card."""
    failed = _failure(parts, act)
    if ack is not None:
        ack()
    if failed is not None:
        _answer(respond, failed)


def _answer(respond: Respond, message: Message) -> None:
    respond(text=message.text, blocks=list(message.blocks), response_type="ephemeral", replace_original=False)


def _caller(body: Body) -> Caller:
    """Name the press: a repeated delivery of it has the same action_ts, or the same view and its hash."""
    user = body["user"]["id"]
    channel = (body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id") or answering.FORM
    if body.get("actions"):
        delivery = f"press:{body['actions'][0]['action_ts']}:{user}"
        grouped = is_group_message((body.get("channel") or {}).get("name"))
        return Caller(person=user, channel=channel, delivery=delivery, in_group_message=grouped)
    view = body["view"]
    return Caller(person=user, channel=channel, delivery=f"form:{view['id']}:{view['hash']}")


def _value(body: Body) -> str:
    return str(body["actions"][0].get("value") or "")


def _state(view: Block, block: str, action: str) -> dict[str, Any]:
    found: dict[str, Any] = view["state"]["values"][block][action]
    return found
