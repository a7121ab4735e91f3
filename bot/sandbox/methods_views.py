"""views.*: modals, opened by a trigger of the person who will see them."""

from __future__ import annotations

from bot.sandbox.arguments import Arguments
from bot.sandbox.ratelimit import TIER_4
from bot.sandbox.records import Json
from bot.sandbox.state import State
from bot.sandbox.webapi import Method


def _view(args: Arguments) -> object:
    return args.tree("view", "invalid_arguments")


def open_view(state: State, args: Arguments) -> Json:
    """views.open"""
    # The view is looked at first: a mistake in it does not use the trigger up.
    trigger, view = args.required("trigger_id"), state.views.check(_view(args))
    return {"view": state.views.open(state.triggers.redeem(trigger), view)}


def push_view(state: State, args: Arguments) -> Json:
    """views.push"""
    trigger, view = args.required("trigger_id"), state.views.check(_view(args))
    return {"view": state.views.push(state.triggers.redeem(trigger), view)}


def update_view(state: State, args: Arguments) -> Json:
    """views.update"""
    return {
        "view": state.views.update(
            _view(args), view_id=args.text("view_id"), external_id=args.text("external_id"), hash=args.text("hash")
        )
    }


METHODS = {
    "views.open": Method(run=open_view, rate=TIER_4),
    "views.push": Method(run=push_view, rate=TIER_4),
    "views.update": Method(run=update_view, rate=TIER_4),
}
