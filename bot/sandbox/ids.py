"""Identifiers and secrets in Slack's shapes, from one injected source of chance."""

from __future__ import annotations

import random
import string

_ALPHABET = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"


class Ids:
    """Makes ids that look like Slack's (`C07K2M9QX4B`) and tokens that are never twice the same.

    The default source is the operating system's; a seeded `random.Random` gives a run that repeats.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.SystemRandom()

    def new(self, prefix: str) -> str:
        """An id of eleven characters that begins with `prefix`, as Slack's do."""
        return prefix + "".join(self._chance.choices(_ALPHABET, k=11 - len(prefix)))

    def number(self, digits: int) -> str:
        """A decimal string without a leading zero."""
        return self._chance.choice("123456789") + "".join(self._chance.choices(string.digits, k=digits - 1))

    def secret(self, length: int = 32) -> str:
        """A hexadecimal secret."""
        return "".join(self._chance.choices(_HEX, k=length))

    def uuid(self) -> str:
        """A version 4 UUID, the form of an envelope_id."""
        raw = self.secret(32)
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"
