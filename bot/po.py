"""gettext's text files, read without a build step: a `.po` becomes the standard library's translations.

    python -m bot.po        # writes bot/locale/hourglass.pot from the sentences in the code

A sentence is whatever `say(…)`, `say.plain(…)`, `say.plural(…)` or `later(…)` is given as a literal, and what the
code makes that knows no catalogue (`bot.retold`): all of jobs/, and what reads a typed line.
"""

from __future__ import annotations

import ast
import gettext
import io
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bot.retold import made

ROOT = Path(__file__).parent
LOCALE = ROOT / "locale"
_MAKERS = (
    "answering.py", "arguments.py", "clues.py", "commits.py", "correction.py", "estimate.py", "logbook.py", "parse.py",
    "parse_budget.py", "parse_estimate.py", "people.py", "run_line.py", "words.py",
    "../trainer/architectures.py", "../trainer/configs.py", "../trainer/templates.py",
)  # fmt: skip
TEMPLATE = LOCALE / "hourglass.pot"
_HEADER = '"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'


def parse(text: str) -> dict[str, str]:
    """Return msgid -> msgstr; a plural's forms are joined by NUL, as in a `.mo`. Untranslated ones are left out."""
    entries: dict[str, str] = {}
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields: dict[str, str] = {}
        field = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            name, _, quoted = line.partition(" ")
            if not line.startswith('"'):
                field = name
            fields[field] = fields.get(field, "") + ast.literal_eval(line if line.startswith('"') else quoted)
        forms = [fields[name] for name in sorted(fields) if name.startswith("msgstr")]
        if "msgid" in fields and all(forms) and forms:
            key = fields["msgid"] + ("\0" + fields["msgid_plural"] if "msgid_plural" in fields else "")
            entries[key] = "\0".join(forms)
    return entries


def translations(entries: Mapping[str, str]) -> gettext.GNUTranslations:
    """Return the entries as gettext's own translations, through the binary form that it reads."""
    keys = sorted(entries, key=str.encode)
    blob, index = bytearray(), []
    offset = 7 * 4 + 16 * len(keys)
    for text in [*keys, *(entries[key] for key in keys)]:
        data = text.encode()
        index += [len(data), offset + len(blob)]
        blob += data + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0)
    return gettext.GNUTranslations(io.BytesIO(head + struct.pack(f"<{len(index)}I", *index) + bytes(blob)))


def sentences() -> Iterator[tuple[str, str | None]]:
    """Yield every (msgid, plural or None) that people may read."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if texts and _called(node.func) in ("say", "plain", "later"):
                yield texts[0], None
            elif len(texts) == 2 and _called(node.func) == "plural":
                yield texts[0], texts[1]
    makers = [path for path in sorted((ROOT.parent / "jobs").rglob("*.py")) if "migrations" not in path.parts]
    for msgid in made([*makers, *(ROOT / name for name in _MAKERS)]):
        yield msgid, None


def template(found: Iterable[tuple[str, str | None]]) -> str:
    """Return the catalogue of all sentences, untranslated, each once, in the order of the alphabet."""
    blocks = [f'msgid ""\nmsgstr ""\n{_HEADER}']
    for msgid, plural in sorted(set(found), key=lambda pair: pair[0]):
        if plural is None:
            blocks.append(f'msgid {_quoted(msgid)}\nmsgstr ""\n')
        else:
            blocks.append(f'msgid {_quoted(msgid)}\nmsgid_plural {_quoted(plural)}\nmsgstr[0] ""\nmsgstr[1] ""\n')
    return "\n".join(blocks)


def _called(func: ast.expr) -> str:
    """Name the call: `say(…)`, `x.say(…)`, `say.plain(…)`, `self._say.plural(…)`, `later(…)`; "" for any other."""
    name = _last(func)
    if name in ("say", "_say"):
        return "say"
    if isinstance(func, ast.Attribute) and name in ("plain", "plural") and _last(func.value) in ("say", "_say"):
        return name
    return name if name == "later" else ""


def _last(expression: ast.expr) -> str:
    """Return the last name of `a`, `x.a` or `x.y.a`."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


if __name__ == "__main__":
    TEMPLATE.write_text(template(sentences()), encoding="utf-8")
