"""Modals: triggers that last three seconds and once, stacks of three, hashes, and what a submission leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox import ManualClock, PersonError, Sandbox
from tests.sandbox.peers import actions, button, modal, option, plain, text_input

Connect = Callable[[App], None]


def a_trigger(sandbox: Sandbox) -> str:
    """A trigger_id as a command hands it out; no app is there to answer, which does not matter to the trigger."""
    sandbox.people.type("ada", "#vision", "/train")
    trigger: str = sandbox.people.deliveries()[-1].payload["trigger_id"]
    return trigger


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(SlackApiError) as refused:
        call()
    return str(refused.value.response["error"])


def test_a_trigger_opens_one_modal_within_three_seconds(
    sandbox: Sandbox, client: WebClient, clock: ManualClock
) -> None:
    trigger = a_trigger(sandbox)
    clock.advance(3.0)
    opened = client.views_open(trigger_id=trigger, view=modal())
    assert [view["id"] for view in sandbox.people.views("ada")] == [opened["view"]["id"]]
    assert sandbox.people.views("tam") == []
    assert error_of(lambda: client.views_open(trigger_id=trigger, view=modal())) == "trigger_exchanged"


def test_a_trigger_expires(sandbox: Sandbox, client: WebClient, clock: ManualClock) -> None:
    trigger = a_trigger(sandbox)
    clock.advance(3.1)
    assert error_of(lambda: client.views_open(trigger_id=trigger, view=modal())) == "expired_trigger_id"
    assert error_of(lambda: client.views_open(trigger_id="1.2.abc", view=modal())) == "invalid_trigger_id"
    assert sandbox.people.views("ada") == []


def test_a_mistake_in_the_view_is_named_and_does_not_use_the_trigger_up(sandbox: Sandbox, client: WebClient) -> None:
    trigger = a_trigger(sandbox)
    with pytest.raises(SlackApiError) as refused:
        client.views_open(trigger_id=trigger, view=modal(title=plain("t" * 25)))
    assert refused.value.response["error"] == "invalid_arguments"
    assert "must be less than 25 characters [json-pointer:/view/title/text]" in refused.value.response["errors"]
    assert client.views_open(trigger_id=trigger, view=modal())["ok"]


def test_modals_stack_three_deep(sandbox: Sandbox, client: WebClient) -> None:
    root = client.views_open(trigger_id=a_trigger(sandbox), view=modal())["view"]
    second = client.views_push(trigger_id=a_trigger(sandbox), view=modal())["view"]
    client.views_push(trigger_id=a_trigger(sandbox), view=modal())
    assert (second["root_view_id"], second["previous_view_id"]) == (root["id"], root["id"])
    assert error_of(lambda: client.views_push(trigger_id=a_trigger(sandbox), view=modal())) == "push_limit_reached"
    assert len(sandbox.people.views("ada")) == 3


def test_an_update_with_an_old_hash_conflicts(sandbox: Sandbox, client: WebClient) -> None:
    first = client.views_open(trigger_id=a_trigger(sandbox), view=modal())["view"]
    second = client.views_update(view_id=first["id"], hash=first["hash"], view=modal(title=plain("newer")))["view"]
    assert (second["id"], second["hash"] == first["hash"]) == (first["id"], False)
    stale = {"view_id": first["id"], "hash": first["hash"], "view": modal()}
    assert error_of(lambda: client.views_update(**stale)) == "hash_conflict"
    assert sandbox.people.views("ada")[0]["title"]["text"] == "newer"


def test_views_are_found_by_external_id_while_they_are_open(sandbox: Sandbox, client: WebClient) -> None:
    client.views_open(trigger_id=a_trigger(sandbox), view=modal(external_id="job-1"))
    assert client.views_update(external_id="job-1", view=modal(external_id="job-1"))["ok"]
    twin: dict[str, Any] = {"trigger_id": a_trigger(sandbox), "view": modal(external_id="job-1")}
    assert error_of(lambda: client.views_push(**twin)) == "duplicate_external_id"
    sandbox.people.close("ada", sandbox.people.views("ada")[0]["id"])
    assert error_of(lambda: client.views_update(external_id="job-1", view=modal())) == "not_found"


def opening(app: App, view: dict[str, Any]) -> None:
    """Let `/train` open this modal."""

    @app.command("/train")
    def train(ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=view)


def open_view(sandbox: Sandbox) -> dict[str, Any]:
    """Type the command and wait for its modal."""
    assert sandbox.people.type("ada", "#vision", "/train").ok
    view: dict[str, Any] = sandbox.people.wait_for(lambda: sandbox.people.views("ada"))[-1]
    return view


def test_a_submission_carries_every_input_and_closes_the_modal(app: App, sandbox: Sandbox, connect: Connect) -> None:
    got: list[dict[str, Any]] = []
    pick = {
        "type": "static_select",
        "action_id": "s",
        "options": [option("a"), option("b")],
        "initial_option": option("a"),
    }
    boxes = {"type": "checkboxes", "action_id": "c", "options": [option("x"), option("y")]}
    opening(
        app,
        modal(
            [
                text_input(),
                {**text_input("pick"), "element": pick},
                {**text_input("boxes"), "element": boxes, "optional": True},
            ],
            private_metadata="job-7",
        ),
    )

    @app.view("form")
    def submitted(ack: Ack, view: dict[str, Any]) -> None:
        got.append(view)
        ack()

    connect(app)
    view = open_view(sandbox)
    outcome = sandbox.people.submit("ada", view["id"], {"typed": "because", "boxes": ["x", "y"]})
    assert outcome.ok and sandbox.people.views("ada") == []
    values = got[0]["state"]["values"]
    assert got[0]["private_metadata"] == "job-7"
    assert values["why"]["typed"] == {"type": "plain_text_input", "value": "because"}
    assert values["pick"]["s"]["selected_option"]["value"] == "a"
    assert [one["value"] for one in values["boxes"]["c"]["selected_options"]] == ["x", "y"]


def test_errors_keep_the_modal_open_beside_their_inputs(app: App, sandbox: Sandbox, connect: Connect) -> None:
    opening(app, modal())

    @app.view("form")
    def submitted(ack: Ack, view: dict[str, Any]) -> None:
        typed = view["state"]["values"]["why"]["typed"]["value"]
        ack(response_action="errors", errors={"why": "say more"}) if len(typed) < 5 else ack()

    connect(app)
    view = open_view(sandbox)
    refused = sandbox.people.submit("ada", view["id"], {"typed": "no"})
    assert (refused.ok, refused.errors) == (False, {"why": "say more"})
    assert [one["id"] for one in sandbox.people.views("ada")] == [view["id"]]
    assert sandbox.people.submit("ada", view["id"], {"typed": "because"}).ok


@pytest.mark.parametrize(
    ("response", "titles"),
    [
        ({"response_action": "update", "view": modal(title=plain("updated"))}, ["updated"]),
        ({"response_action": "push", "view": modal(title=plain("pushed"))}, ["A form", "pushed"]),
        ({"response_action": "clear"}, []),
    ],
)
def test_a_submission_can_update_push_or_clear(
    app: App, sandbox: Sandbox, connect: Connect, response: dict[str, Any], titles: list[str]
) -> None:
    opening(app, modal())
    app.view("form")(lambda ack: ack(**response))
    connect(app)
    outcome = sandbox.people.submit("ada", open_view(sandbox)["id"], {"typed": "x"})
    assert outcome.ok
    assert [view["title"]["text"] for view in sandbox.people.views("ada")] == titles


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"response_action": "errors", "errors": {"nowhere": "x"}}, "invalid_response_errors"),
        ({"response_action": "explode"}, "invalid_response_action"),
        ({"response_action": "update", "view": modal(title=plain("t" * 25))}, "invalid_arguments"),
    ],
)
def test_a_wrong_response_shows_as_trouble_and_keeps_the_modal(
    app: App, sandbox: Sandbox, by_sockets: Connect, response: dict[str, Any], error: str
) -> None:
    opening(app, modal())
    app.view("form")(lambda ack: ack(**response))
    by_sockets(app)
    view = open_view(sandbox)
    outcome = sandbox.people.submit("ada", view["id"], {"typed": "x"})
    assert (outcome.error, outcome.said) == (error, "We had some trouble connecting. Try again?")
    assert [one["id"] for one in sandbox.people.views("ada")] == [view["id"]]


def test_people_cannot_leave_required_inputs_empty_or_invent_options(
    app: App, sandbox: Sandbox, by_sockets: Connect
) -> None:
    radio = {"type": "radio_buttons", "action_id": "r", "options": [option("a"), option("b")]}
    opening(app, modal([text_input(), {**text_input("reason"), "element": radio}]))
    by_sockets(app)
    view_id = open_view(sandbox)["id"]
    for values, words in [
        ({"typed": "x"}, "'Why' is required: give a value for 'r'"),
        ({"typed": "x", "r": "c"}, "has no option 'c'; it has 'a', 'b'"),
        ({"typed": "x", "r": "a", "nowhere": "x"}, "no input 'nowhere'"),
    ]:
        with pytest.raises(PersonError, match=words):
            sandbox.people.submit("ada", view_id, values)


def test_closing_is_told_to_the_app_that_asked_for_it(app: App, sandbox: Sandbox, by_sockets: Connect) -> None:
    closed: list[str] = []
    opening(app, modal(notify_on_close=True))

    @app.view_closed("form")
    def on_close(ack: Ack, view: dict[str, Any]) -> None:
        closed.append(view["id"])
        ack()

    by_sockets(app)
    view = open_view(sandbox)
    assert sandbox.people.close("ada", view["id"]).ok
    assert (closed, sandbox.people.views("ada")) == ([view["id"]], [])


def test_buttons_inside_a_modal_reach_the_app_with_the_view(app: App, sandbox: Sandbox, by_sockets: Connect) -> None:
    got: list[dict[str, Any]] = []
    opening(app, modal([text_input(), actions(button("more", value="1"))]))

    @app.action("more")
    def more(ack: Ack, body: dict[str, Any]) -> None:
        got.append(body)
        ack()

    by_sockets(app)
    view = open_view(sandbox)
    sandbox.people.choose_in_view("ada", view["id"], "typed", "half written")
    assert sandbox.people.press_in_view("ada", view["id"], "more").ok
    assert got[0]["container"] == {"type": "view", "view_id": view["id"]}
    assert got[0]["view"]["state"]["values"]["why"]["typed"]["value"] == "half written"
