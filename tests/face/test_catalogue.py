"""One catalogue holds every sentence, and a second language is a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot import po
from bot.catalogue import Catalogue
from bot.parse import VERBS, parse_train
from bot.verbs import Run
from jobs.errors import BadRequest, Misconfigured
from jobs.gpus import GPU_NAMES
from jobs.spec import merge
from jobs.values import Request
from tests.face.scenes import SCENES, Scene, texts

pytestmark = pytest.mark.xdist_group("catalogue")  # the language that hides every letter is made once

GERMAN = """# A language is a file.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "training"
msgstr "trainiert"

msgid "{title} on {machine}"
msgstr "{title} auf {machine}"

msgid "and {n} more file"
msgid_plural "and {n} more files"
msgstr[0] "und {n} Datei"
msgstr[1] "und {n} Dateien"

msgid "waiting for a lead"
msgstr ""
"""


def language(root: Path, name: str, text: str) -> Catalogue:
    """Write a language's file and load it."""
    path = root / name / "LC_MESSAGES" / "hourglass.po"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return Catalogue.load(name, root=root)


def test_a_second_language_is_a_file_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    say = language(tmp_path, "de", GERMAN)
    assert say("training") == "trainiert"
    assert say("{title} on {machine}", title="a/b", machine="1 × <A100>") == "a/b auf 1 × &lt;A100&gt;"
    assert say.plural("and {n} more file", "and {n} more files", 1) == "und 1 Datei"
    assert say.plural("and {n} more file", "and {n} more files", 1200) == "und 1,200 Dateien"
    assert say("waiting for a lead") == "waiting for a lead"


def test_a_language_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    language(tmp_path, "de", GERMAN)
    with pytest.raises(Misconfigured, match=r"'fr' has no catalogue\. There is: de, en"):
        Catalogue.load("fr", root=tmp_path)


def test_the_template_for_translators_is_up_to_date() -> None:
    assert po.TEMPLATE.read_text(encoding="utf-8") == po.template(po.sentences()), "run python -m bot.po"


def test_what_a_po_file_says_survives_the_reading() -> None:
    text = 'msgid ""\n"two "\n"lines"\nmsgstr "zwei\\n"\n"Zeilen \\"q\\""\n'
    assert po.parse(text) == {"two lines": 'zwei\nZeilen "q"'}


# Words that are facts of the scenes, commands, keys and names: the same in every language.
SAME = {
    "rain", "ractice", "etching", "baseline",
    "acme", "vision", "cloud", "here", "train", "gpus", "list", "status", "stop", "extend", "logs", "checkpoints",
    "rerun", "budget", "invite", "hourglass", "mine", "notify", "teammate", "spot", "auto", "provider", "image",
    "cost", "reason", "hours", "value", "word", "name", "part", "step", "boom", "fetching", "practice", "this",
    "computer", "stands", "long", "with", "main", "stepnone",
}  # fmt: skip


GPU_NAMES_AND_VERBS = {*GPU_NAMES, *VERBS, "budget"}


def typed(line: str) -> Request:
    """Return the request that a line makes."""
    command = parse_train(line, delivery="d", channel="C1", person="U1")
    assert isinstance(command, Run)
    return command.request


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A language whose every letter is Z, facts and code spans left alone."""
    blocks = ['msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"']
    for msgid, plural in sorted(set(po.sentences()), key=str):
        if plural is None:
            blocks.append(f"msgid {_quoted(msgid)}\nmsgstr {_quoted(_masked(msgid))}")
        else:
            forms = f"msgstr[0] {_quoted(_masked(msgid))}\nmsgstr[1] {_quoted(_masked(plural))}"
            blocks.append(f"msgid {_quoted(msgid)}\nmsgid_plural {_quoted(plural)}\n{forms}")
    return language(tmp_path_factory.mktemp("locale"), "zz", "\n\n".join(blocks))


def bypassing(masked: Catalogue, scene: Scene) -> list[tuple[set[str], str]]:
    """Return the words of a scene that did not come out of the catalogue, each with its text."""
    bare = {
        text: re.sub(r"<[^>]*>|```.*?```|`[^`]*`", " ", text, flags=re.DOTALL) for text in texts(scene.message(masked))
    }
    left = [(set(re.findall(r"[a-z]{4,}", words)) - SAME, text) for text, words in bare.items()]
    return [(words, text) for words, text in left if words]


def test_every_sentence_that_is_shown_goes_through_the_catalogue(masked: Catalogue) -> None:
    assert {scene.name: found for scene in SCENES if (found := bypassing(masked, scene))} == {}


WRONG = (
    "stpo k3v9x2m", "acme/vit@main", "acme/vit gpu=a100 hours=4 -- x", "acme/vit@-x gpu=a100 hours=4 -- x",
    "acme/vit@main gpu=a1000 hours=4 -- x", "acme/vit@main gpu=a100 hours=0 -- x", "acme/vit@main gpu=a100 hours=-1",
    "acme/vit@main gpu=a100-3gb hours=4", "acme/vit@main gpu = a100", "acme/vit@main gpu=a100 hours=4 h",
    "acme/vit@main gpuu=a100", "acme/vit@main gpu=a100 gpu=h100", "acme/vit@main gpu=a100 hours=4 spot=perhaps",
    "acme/vit@main gpu=a100 hours=4 max_cost=lots", "acme/vit@main gpu=a100 hours=4 env.1X=3", "extend k3v9x2m soon",
    "acme/vit@main gpu=a100 hours=4 notify=ada", "acme/vit@main gpu=a100 hours=4 --", "list everything", "gpus a100 x",
    "acme/vit@main python train.py", "acme/vit@main gpu=a100 hours=1000000", 'acme/vit@main reason="x', "logs",
)  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_with_a_line_is_said_in_the_readers_language(masked: Catalogue, line: str) -> None:
    with pytest.raises(BadRequest) as raised:
        merge(typed(line), None)
    english = str(raised.value)
    bare = re.sub(r"`[^`]*`", " ", masked.retold(english))
    left = set(re.findall(r"[a-z]{4,}", bare)) - SAME - GPU_NAMES_AND_VERBS
    assert not left, f"{sorted(left)} in {masked.retold(english)!r}, which was {english!r}"


def test_an_errors_facts_stay_as_they_are_and_a_hint_in_it_is_told_anew(tmp_path: Path) -> None:
    german = """
msgid "`{key}` is not a key; did you mean `{meant}`?"
msgstr "`{meant}` gibt es, `{key}` nicht."

msgid "No price is known for the GPU `{word}`. {hint}There are {list} and cpu."
msgstr "Für `{word}` kennt niemand einen Preis. {hint}Es gibt {list} und cpu."

msgid "Did you mean `{near}`?"
msgstr "Meinten Sie `{near}`?"
"""
    say = language(tmp_path, "de", GERMAN + german)
    assert say.retold("`gpuu` is not a key; did you mean `gpu`?") == "`gpu` gibt es, `gpuu` nicht."
    text = "No price is known for the GPU `a1000`. Did you mean `a100`? There are a100, h100 and cpu."
    told = "Für `a1000` kennt niemand einen Preis. Meinten Sie `a100`? Es gibt a100, h100 und cpu."
    assert say.retold(text) == told
    assert say.retold("This sentence was never written down.") == "This sentence was never written down."
    assert Catalogue.load().retold(text) == text


def _masked(msgid: str) -> str:
    kept = re.split(r"(\{\w+\}|`[^`]*`)", msgid)
    return "".join(part if part[:1] in ("{", "`") else re.sub(r"[A-Za-z]", "Z", part) for part in kept)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
