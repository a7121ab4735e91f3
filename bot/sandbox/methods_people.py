"""auth.*, users.*, usergroups.*, bots.*, team.*: who is who."""

from __future__ import annotations

from bot.sandbox.arguments import Arguments
from bot.sandbox.methods_conversations import page
from bot.sandbox.ratelimit import SPECIAL, TIER_2, TIER_3, TIER_4
from bot.sandbox.records import Json, SlackError, User
from bot.sandbox.state import State
from bot.sandbox.webapi import Method
from bot.sandbox.wire import bot_profile, group_json, user_json


def auth_test(state: State, args: Arguments) -> Json:
    """auth.test"""
    workspace = state.workspace
    return {
        "url": f"{state.base_url}/",
        "team": workspace.team.name,
        "user": workspace.users[workspace.bot_user].name,
        "team_id": workspace.team.id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }


def _user(state: State, user: User) -> Json:
    return user_json(state.workspace, user, email="users:read.email" in state.app.scopes)


def user_info(state: State, args: Arguments) -> Json:
    """users.info"""
    user = state.workspace.users.get(args.required("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": _user(state, user)}


def user_list(state: State, args: Arguments) -> Json:
    """users.list"""
    some, following = page(list(state.workspace.users.values()), args, 1000)
    return {"members": [_user(state, one) for one in some], "response_metadata": {"next_cursor": following}}


def lookup_by_email(state: State, args: Arguments) -> Json:
    """users.lookupByEmail"""
    address = args.required("email").lower()
    for user in state.workspace.users.values():
        if user.email == address:
            return {"user": _user(state, user)}
    raise SlackError("users_not_found")


def group_list(state: State, args: Arguments) -> Json:
    """usergroups.list"""
    groups = [group_json(state.workspace, one) for one in state.workspace.groups.values()]
    if not args.flag("include_users"):
        groups = [{key: value for key, value in one.items() if key != "users"} for one in groups]
    return {"usergroups": groups}


def group_users(state: State, args: Arguments) -> Json:
    """usergroups.users.list"""
    group = state.workspace.groups.get(args.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def bot_info(state: State, args: Arguments) -> Json:
    """bots.info"""
    asked = args.text("bot") or state.workspace.bot_id
    if asked != state.workspace.bot_id:
        raise SlackError("bot_not_found")
    return {"bot": bot_profile(state.workspace) | {"user_id": state.workspace.bot_user}}


def team_info(state: State, args: Arguments) -> Json:
    """team.info"""
    team = state.workspace.team
    return {"team": {"id": team.id, "name": team.name, "domain": team.domain, "email_domain": "", "icon": {}}}


METHODS = {
    "auth.test": Method(run=auth_test, rate=SPECIAL),
    "users.info": Method(run=user_info, scope="users:read", rate=TIER_4),
    "users.list": Method(run=user_list, scope="users:read", rate=TIER_2),
    "users.lookupByEmail": Method(run=lookup_by_email, scope="users:read.email", rate=TIER_3),
    "usergroups.list": Method(run=group_list, scope="usergroups:read", rate=TIER_2),
    "usergroups.users.list": Method(run=group_users, scope="usergroups:read", rate=TIER_2),
    "bots.info": Method(run=bot_info, scope="users:read", rate=TIER_3),
    "team.info": Method(run=team_info, scope="team:read", rate=TIER_3),
}
