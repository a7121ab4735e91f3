"""Who somebody is: a lead, a guest, a stranger. Asked of Slack at the press, remembered for a minute at most.

It fails closed: when Slack does not answer, nobody is a lead by the user group, and nobody new may rent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.calls import patient
from bot.catalogue import Catalogue
from jobs.clock import Clock
from jobs.errors import HourglassError
from jobs.model import Team
from jobs.policy import Person

REMEMBERED = 60.0  # seconds that an answer of Slack's stands
PATIENCE = 1  # seconds for a call that a press waits for: it has to be acknowledged within three
UNHURRIED = 10  # seconds where nobody waits

Answer = TypeVar("Answer")


class Unverified(HourglassError):
    """Slack did not say who this is, so nothing is decided; the same may be tried again."""


class People:
    """Looks people up in Slack, and leads in the configuration and in a user group. Safe between threads."""

    def __init__(
        self,
        *,
        client: WebClient,
        clock: Clock,
        leads: Sequence[str],
        lead_group: str | None,
        say: Catalogue,
        patience: int = PATIENCE,
    ) -> None:
        self._hurried = patient(client, patience)
        self._unhurried = patient(client, UNHURRIED)
        self._clock = clock
        self._leads = tuple(leads)
        self._group = lead_group
        self._say = say
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, object]] = {}

    def person(self, user: str, team: Team) -> Person:
        """Return who pressed; raises `Unverified` when Slack does not answer."""
        guest = self._is_guest(user, self._hurried)
        leads = set(self._configured(team))
        if not guest and (user not in leads or len(leads) == 1):
            leads |= set(self._members(self._group_of(team), self._hurried))
        lead = not guest and user in leads
        return Person(id=user, lead=lead, guest=guest, only_lead=lead and len(leads) == 1)

    def leads(self, team: Team) -> tuple[str, ...]:
        """Return whom to ask, as far as it is known: without an answer of Slack's, the configured ones."""
        try:
            members = self._members(self._group_of(team), self._unhurried)
        except Unverified:
            members = ()
        return tuple(dict.fromkeys((*self._configured(team), *members)))

    def standing(self, user: str) -> str | None:
        """Return why this person may not rent, or None: guests and people from other workspaces may not."""
        if self._is_guest(user, self._unhurried):
            return str(self._say("Guests and people from other workspaces cannot rent machines here. Ask a member."))
        return None

    def can_post(self, channel: str) -> str | None:
        """Return None where the bot can post, else the sentence that says what to do."""
        if channel.startswith("D"):
            return None
        invite = self._say("I am not in that channel. Type `/invite @hourglass` there, then try again.")
        try:
            found: Mapping[str, Any] = self._unhurried.conversations_info(channel=channel)["channel"]
        except SlackApiError as error:
            return str(invite) if error.response.get("error") == "channel_not_found" else None
        except Exception:  # noqa: BLE001  # the transport's errors are many; the post itself will tell
            return None
        if found.get("is_archived"):
            return str(self._say("That channel is archived. Start it from another one."))
        return None if found.get("is_member") or found.get("is_im") else str(invite)

    def resolve(self, name: str) -> str | None:
        """Return the id of a user typed as `@name`, None where nobody is called so; an id comes back unchanged."""
        if not name.startswith("@"):
            return name
        wanted = name[1:].lower()
        try:
            roster = self._remember("users", self._roster)
        except Unverified:
            return None
        return roster.get(wanted)

    def _configured(self, team: Team) -> Sequence[str]:
        return team.leads or self._leads

    def _group_of(self, team: Team) -> str | None:
        return team.lead_group or self._group

    def _is_guest(self, user: str, client: WebClient) -> bool:
        found = self._remember(f"user {user}", lambda: client.users_info(user=user)["user"])
        own = self._remember("own team", lambda: str(client.auth_test()["team_id"]), forever=True)
        foreign = found.get("is_stranger") or str(found.get("team_id", own)) != own
        return bool(
            foreign
            or found.get("is_restricted")
            or found.get("is_ultra_restricted")
            or found.get("deleted")
            or found.get("is_bot")
        )

    def _members(self, group: str | None, client: WebClient) -> tuple[str, ...]:
        return self._remember(f"group {group}", lambda: _ask_members(group, client)) if group else ()

    def _roster(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for page in self._unhurried.users_list(limit=200):
            for user in page["members"]:
                profile = user.get("profile", {})
                for name in (user.get("name"), profile.get("display_name")):
                    if name and not user.get("deleted"):
                        found.setdefault(str(name).lower(), str(user["id"]))
        return found

    def _remember(self, key: str, ask: Callable[[], Answer], *, forever: bool = False) -> Answer:
        with self._lock:
            at, answer = self._known.get(key, (0.0, None))
            if key in self._known and (forever or self._clock.monotonic() - at < REMEMBERED):
                return answer  # type: ignore[return-value]  # the key names the question, and so the answer's type
        try:
            found = ask()
        except Exception as error:  # whatever the transport raises means the same: not verified
            message = self._say("I could not check with Slack who you are, so nothing was done. Try again in a moment.")
            raise Unverified(str(message)) from error
        with self._lock:
            self._known[key] = (self._clock.monotonic(), found)
        return found


def _ask_members(group: str, client: WebClient) -> tuple[str, ...]:
    """Return the members of a group by its id or its handle."""
    name = group.lstrip("@")
    if not (name.startswith("S") and name.isupper()):
        groups = client.usergroups_list()["usergroups"]
        name = next((str(one["id"]) for one in groups if one.get("handle") == name), name)
    return tuple(client.usergroups_users_list(usergroup=name)["users"])
