"""The thread as it grows, in a terminal: plain lines, one a message, edits of the card as what changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

Message = Mapping[str, Any]

_LINK = re.compile(r"<(https?://[^|>]+)\|([^>]+)>")
_BARE_LINK = re.compile(r"<(https?://[^|>]+)>")
_PERSON = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_DATE = re.compile(r"<!date\^(\d+)\^[^|>]*\|[^>]*>")
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
_CODE = re.compile(r"`([^`\n]+)`")
_NUMBER = re.compile(r"[<$]*\d[\d.,]*")
# Seconds between two lines of a card on which only numbers have changed: a minute's training is some six lines.
PACE = 10.0


class Terminal:
    """Prints what is new in a list of messages; remembers what it has printed."""

    def __init__(self, console: Console, name_of: Callable[[str], str]) -> None:
        self.console = console
        self._name_of = name_of
        self._shown: dict[str, str] = {}
        self._at: dict[str, float] = {}

    def heading(self, text: str) -> None:
        """Print a title."""
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left", style="dim")

    def typed(self, who: str, text: str) -> None:
        """Print a line that a person typed."""
        self._line(datetime.now().astimezone(), who, f"[bold]{escape(text)}[/bold]", "cyan")

    def show(self, messages: Sequence[Message]) -> None:
        """Print the messages that are new, and what has changed in those that were edited."""
        for message in messages:
            ts, text = str(message["ts"]), self._summary(message)
            before = self._shown.get(ts)
            edited = float((message.get("edited") or {}).get("ts", ts))
            if before == text or (before and _alike(before, text) and edited - self._at[ts] < PACE):
                continue
            self._shown[ts], self._at[ts] = text, edited
            who = "card" if before else self._name_of(str(message.get("user", "")))
            self._line(_local(edited), who, _news(before, text) if before else text, "green")

    def _summary(self, message: Message) -> str:
        lines = [self.plain(str(message.get("text", "")))]
        for file in message.get("files", ()):
            lines.append(f"[magenta]plot[/magenta] {escape(str(file.get('alt_txt') or file.get('title') or ''))}")
        return "\n".join(line for line in lines if line)

    def plain(self, text: str) -> str:
        """Return Slack's mrkdwn as rich markup."""
        text = _DATE.sub(lambda match: _moment(_local(float(match[1]))), text)
        text = _PERSON.sub(lambda match: "@" + self._name_of(match[1]), text)
        text = _LINK.sub(r"\2 (\1)", text)
        text = _BARE_LINK.sub(r"\1", text)
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        text = escape(text)
        text = _CODE.sub(r"[bold]\1[/bold]", text)
        return _BOLD.sub(r"[bold]\1[/bold]", text)

    def _line(self, at: datetime, who: str, text: str, style: str) -> None:
        first, *rest = text.split("\n")
        self.console.print(f"[dim]{at:%H:%M:%S}[/dim] [{style}]{escape(who):>10}[/{style}]  {first}", soft_wrap=True)
        for line in rest:
            self.console.print(f"{'':21}{line}", soft_wrap=True)


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def _moment(at: datetime) -> str:
    return f"{at:%H:%M}" if at.date() == datetime.now().astimezone().date() else f"{at:%d %b %H:%M}"


def _alike(before: str, after: str) -> bool:
    return _NUMBER.sub("", before) == _NUMBER.sub("", after)


def _news(before: str, after: str) -> str:
    """Return what an edited card says that it did not say before; its parts stand between commas."""
    title, colon, said = after.partition(": ")
    if not before.startswith(title + colon):
        return after
    old = before.partition(": ")[2].rstrip(".").split(", ")
    return ", ".join(part for part in said.rstrip(".").split(", ") if part not in old) or after
