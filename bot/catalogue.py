"""The one message catalogue: every sentence that a person reads goes through it.

Sentences are gettext's: the English one stands in the code and is the key, a second language is the file
`bot/locale/<language>/LC_MESSAGES/hourglass.po`, and what that file lacks is said in English. Facts are named in
braces and escaped as they go in, unless they are `Markup` already.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from pathlib import Path

from bot.markup import Markup, clean, escape, plain
from bot.po import LOCALE, parse, translations
from bot.retold import Retold
from jobs.errors import Misconfigured


def later(msgid: str) -> str:
    """Mark a sentence that stands in a table and is said elsewhere, so that the catalogue knows it."""
    return msgid


class Catalogue:
    """Says sentences in one language."""

    def __init__(self, texts: gettext.NullTranslations, entries: Mapping[str, str] | None = None) -> None:
        self._texts = texts
        self.retold = Retold(entries or {})  # what was made in English elsewhere: an error's sentence

    @classmethod
    def load(cls, language: str = "en", *, root: Path = LOCALE) -> Catalogue:
        """Return the catalogue of `language`; raises `Misconfigured` where there is none."""
        if language == "en":
            return cls(gettext.NullTranslations())
        path = root / language / "LC_MESSAGES" / "hourglass.po"
        if not language.isidentifier() or not path.is_file():
            known = ", ".join(sorted({"en"} | {one.parts[-3] for one in root.glob("*/LC_MESSAGES/hourglass.po")}))
            raise Misconfigured(f"HOURGLASS_LANGUAGE={language!r} has no catalogue. There is: {known}.")
        entries = parse(path.read_text(encoding="utf-8"))
        return cls(translations(entries), entries)

    def __call__(self, msgid: str, /, **facts: object) -> Markup:
        """Return the sentence as mrkdwn, its facts escaped."""
        return Markup(self._texts.gettext(msgid).format_map({name: escape(fact) for name, fact in facts.items()}))

    def plain(self, msgid: str, /, **facts: object) -> str:
        """Return the sentence for a plain_text object: nothing escaped, invisible characters dropped."""
        cleaned = {name: clean(plain(fact) if isinstance(fact, Markup) else str(fact)) for name, fact in facts.items()}
        return self._texts.gettext(msgid).format_map(cleaned)

    def plural(self, one: str, many: str, n: int, /, **facts: object) -> Markup:
        """Return the sentence in the number of `n`, which it may name as {n}."""
        text = self._texts.ngettext(one, many, n)
        return Markup(text.format_map({"n": f"{n:,}"} | {name: escape(fact) for name, fact in facts.items()}))
