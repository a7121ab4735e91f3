"""Names and numbers in lines of text: where they stand side by side, and what belongs to a name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from trainer.names import (
    BESIDE,
    PARTS,
    RECORD,
    RECORDS,
    is_companion,
    is_of_evaluation,
    is_outcome,
    is_worth_naming,
    may_end,
    of_part,
    series_name,
)

NUMBER = (  # of bounded length: a line may be made to keep us busy
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d+)?"
    r"|[nN]a[nN]\b|[iI]nf(?:inity)?\b)"
)

# What may stand before a name as a word of its own and belongs to it: "Batch Loss", "Gen Loss Total".
_BEFORE = frozenset({
    "train", "training", "val", "val.", "vali", "valid", "validation", "eval", "evaluation", "test", "testing", "dev",
    "meta", "overall", "pseudo", "ema",
    "avg", "avg.", "average", "averaged", "mean", "running", "lm", "total", "d", "g", "policy", "value", "actor",
    "critic",
    "generator", "discriminator", "gen", "disc", "box", "cls", "kl", "batch", "step", "epoch", "episode", "global",
    "smooth", "smoothed", "weighted", "macro", "micro", "student", "teacher", "recon", "reconstruction", "real",
    "fake", "aux", "auxiliary", "main", "task", "contrastive", "triplet", "mlm", "ctc", "att", "log", "negative",
    "squared", "absolute", "root", "balanced", "top-1", "top-5", "top1", "top5", "token", "word", "node", "edge",
    "energy", "learning", "grad", "gradient", "error", "cross", "force", "forces", "stress", "in-sample",
    "out-of-sample", "oob", "cv", "q", "pi", "alpha", "temperature", "prior", "posterior", "content", "style", "cycle",
    "identity", "inception", "median", "loss", "acc", "accuracy", "reward", "perplexity",
    "gen.", "disc.", "dis.", "enc.", "dec.", "recon.", "rec.", "adv.", "reg.",
})  # fmt: skip
_QUALIFIERS = _BEFORE | RECORDS
_MOST_BEFORE = 4
_BEST_ABROAD = ("лучш", "最佳", "最好", "最优", "meilleur", "mejor", "beste", "miglior", "melhor")
_OF_EPISODES = re.compile(r"(?:min|max)_(?:episode_)?(?:reward|return)$")  # of the last few, and no record
_QUOTIENT = re.compile(r"\b\d+/\d+\s?=\s?(?=\d?\.\d|\d+(?:\.\d+)?\s?%)")  # "acc: 2046/3748=0.5459"
_VALUE_FIRST = re.compile(
    rf"\s*(?P<value>{NUMBER})\s+= (?P<name>[A-Za-z][\w ]*)(?=[ (]*\w*\)?\s*$)"
)  # "0.9 = Validation score (acc)"
# "Accuracy: 9842/10000 (98%)"
_SHARE = re.compile(r"(?<=[a-z])(?P<sign>\s?[:=]\s*)\d+\s?/\s?\d+\s*\(\s?(?P<share>\d+(?:\.\d+)?)\s?%\)", re.IGNORECASE)
_OF_A_PART = re.compile(r"epoch|step|iter|train|val|test", re.IGNORECASE)
# "mIoU/mAcc/allAcc 0.05/0.12/0.13"
_NAMES_AND_NUMBERS = re.compile(  # of bounded length: a line may be made to keep us busy
    r"(?<![\w/])(?P<names>[A-Za-z]\w{0,30}(?:/[A-Za-z]\w{0,30}){1,7})\s?[:\s]\s?"
    r"(?P<numbers>[-+]?\d{1,9}(?:\.\d{1,18})?%?(?:/[-+]?\d{1,9}(?:\.\d{1,18})?%?){1,7})"
)
_TWINS = re.compile(  # "mean/median reward 1.5/2.5"
    r"\b(?P<one>mean|min|median|avg|train)/(?P<two>[a-z]+) (?P<name>[a-z]\w*)(?P<sign>\s*[:=]\s*|\s)"
    r"(?P<first>[-+]?\d{1,9}(?:\.\d{1,18})?)\s?/\s?(?P<second>[-+]?\d{1,9}(?:\.\d{1,18})?)",
    re.IGNORECASE,
)
_NEAR_VALUE = 3  # spaces between a name and its number, unless the line counts
_NEAR = 56  # characters that those words may have
_NO_NAME = re.compile(
    r"(?:with|and|of|at|the|is|in|by|for|on|to|from|has|had|got|new|now|this|last|current|latest|overall|model|our)$",
    re.IGNORECASE,
)
_NO_NAME_EITHER = re.compile(  # what was done, and what something took
    r"(?:done|finished|ended|completed|saved|saving|started|over|cuda|s|ms|secs?|seconds?|mins?|minutes?|h|hours?|tok(?:ens)?"
    r"|samples?|imgs?|images?|[kmgt]i?b|it|its|px|mm|cm|db|deg|w)\.?$|\w{5,}\.$",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?:^|[-|,;:]\s+|\s{2,}|\t|(?<=\.\d)\d*%?\s(?!(?:s|ms|sec|m|h|k|K|M|G|B|W|it|px|mm|cm|dB|deg)\b))(?P<first>[A-Za-z][\w.-]*\s)?"
    r"(?P<word>(?!(?:with|and|of|at|the|is|in|by|for|on|to|has|had|got|new|now|this|last|current|latest|overall|model|our)\b)"
    r"[A-Za-z](?:[\w-]*[A-Za-z_-])?(?:_\d+)?\.?)\s$",  # no "gpu0"
    re.IGNORECASE,
)
_ALONE_IN_CELL = re.compile(  # "PSNR: 14.6433,Loss: 0.1869, VGG Loss 0.00295100"
    r"(?:[|,;]\s*|\s{2,}|\t|(?<=\.\d)\d*\s(?!(?:s|ms|sec|m|h|k|K|M|G|B|W|it|px|mm|cm|dB|deg)\b))"
    r"(?P<first>(?:average|avg\.?|mean|train|training|val|valid|validation|test)\s)?"
    r"(?P<word>(?!(?:with|and|of|at|the|is|in|by|for|on|to|has|had|got|new|now|this|last|current|latest|overall|model|our|from)\b)"
    r"[A-Za-z](?:[\w-]*[A-Za-z_-])?\.?)\s$",
    re.IGNORECASE,
)
# "F1 on test = 0.73", "error in val = 4.5"
_ON_PART = re.compile(
    r"\b([A-Za-z][\w@]*) (?:on|in) (?:the )?(train|training|dev|val|validation|evaluation|test)(?: set| data)?"
    r"(?=\s*[:=])"
)
_AT = re.compile(r"(?<=[a-z]) @(?=\d)")  # "Hits @10: 0.3"
_TOP = re.compile(r"\b(top) (\d{1,2})[ _-](?=acc|err|prec)", re.IGNORECASE)  # "Top 5 Accuracy 55.1"
# "Loss D Real: 0.58": what it is of stands behind the name.
_OF_WHAT = re.compile(r"\b(?:[Ll]oss|LOSS|[Aa]cc)(?: [A-Z]\w{0,11}){1,2}(?=\s?[:=]\s*[-+.\d])")
_PAIR = re.compile(
    # A name is taken whole or not at all, so that prose is soon passed over; "->" and "..." are no part of it.
    r"(?<![\w./@?&-])(?=(?P<name>[a-z]\w*(?:(?:[/@]|\.(?!\.)|-(?!>))\w*)*))(?P=name)"
    r"(?:\s?\((?:(?P<part>train\w*|val\w*|test|dev|eval\w*)|[^()\d=]{1,24})\)|\s?\[[\w\- ]{1,16}\](?=\s*[:=]))?"
    r"(?: (?:value|average|avg|mean)(?=\s*[:=]|\s[-+]?\d*\.\d))?"
    r"(?P<sign>(?=\[\s*[-+]?\d*\.\d+\s*\])|['\"]?\s*(?:::?|=(?!=)|[-=]>|→|\.{3,})\s*"
    r"|['\"],\s|['\"]?\s(?:is|was)\s?[:=]\s*|['\"]?\s(?:is|reached|-)\s|\s{1,8})"
    rf"(?P<list>\[\s*)?(?:(?:tensor|array|(?:np\.)?float\d*)\(\s*)?(?P<value>{NUMBER})(?P<more>(?(list)(?=\)?,)|(?!)))?"
    # What goes on as a formula, a word, a time or a range is no measurement; a spread ("+/- 0.1") may follow one.
    # What stands behind a rule and has a number of its own goes on, too: "PSNR 31.2 / SSIM 0.91".
    r"(?!\.?\d|\s*(?:[*/](?!\s[\d,]+ @|\s[a-z][\w@.-]{0,15}\s?[:=]?\s?\d)(?=\s*[\w(.])|\+(?!/-))(?!-)"
    r"|(?!(?:dB|mm|cm|px|pts|deg)(?!\w))[\w:]|-\w)",
    re.IGNORECASE,
)
# "Train - loss: 0.3 | Valid - loss: 0.4": of which part the names behind it are.
_SECTION = re.compile(
    r"(?=[tvde])(?<![\w/.@-])(?P<part>train|val|valid|test|dev|eval)(?:ing|ating|idation|uation)?"
    r"(?=\s*[:|\])>(\[{][\s'\"({\[]*[a-z]|\s+[->]+\s+[a-z])",
    re.IGNORECASE,
)
_TOOK = re.compile(r"\s?(?:s|secs?|seconds|ms|minutes|hours)\b")
_PART_BEHIND = re.compile(r"%?\s?\((?P<part>train|val|valid|validation|test|dev|eval)\)", re.IGNORECASE)
_AVERAGED = re.compile(r"(?:avg|average|mean|running)\b|(?:avg|mean)_", re.IGNORECASE)
_CLOSE = 10  # characters before a name that say it is the present one
_CURRENT = re.compile(r"\b(?:current|cur) $", re.IGNORECASE)
_NOT_FINITE = ("nan", "inf", "infinity")
_MOST = 48  # series one line may bring


_ANY_PAIR = re.compile(
    rf"(?<![\w./@?&-])(?P<name>[a-z][\w./@-]*(?: [a-z][\w./@-]*)?)['\"]?\s*[:=]\s*(?P<value>{NUMBER})"
    r"(?!\.?\d|\s*[*/]|[\w:]|-\w|\s*(?:s|sec|secs|seconds|ms|min|mins|h|MB|MiB|GB|GiB|it/s|s/it)\b)",
    re.IGNORECASE,
)


_METERED = re.compile(  # of bounded length: a line may be made to keep us busy
    r"(?:^|[\t|,;)\]]\s*|\s{2})(?P<name>[a-z][\w./@-]{0,40}(?: [a-z][\w./@-]{0,40})?):?\s{1,8}"
    r"(?P<value>[-+]?\d{0,15}\.\d{1,18}(?:e[-+]?\d+)?)%?\s?\(\s*[-+]?\d{0,15}\.\d{1,18}(?:e[-+]?\d+)?%?\s*\)",
    re.IGNORECASE,
)
_FOLDER = re.compile(r"\t(?:[\w.-]{1,40}/){2,8}(?=[A-Za-z])")  # of bounded length, too
_OF_NETS = re.compile(r"(?<!\w)[A-Z]{1,5}\((?:x|y|z|G\(z\))\)")  # "D(x): 0.46 D(G(z)): 0.53": of the generative nets
_ENGLISH = {
    "训练集": " train ",
    "训练": " train ",
    "验证集": " val ",
    "验证": " val ",
    "测试集": " test ",
    "测试": " test ",
    "损失": " loss ",
    "准确率": " accuracy ",
    "正确率": " accuracy ",
    "学习率": " lr ",
}
_CHINESE = re.compile("|".join(_ENGLISH))
_CHARACTER = re.compile("[一-鿿]")
_ROUND = re.compile(r"第\s?(\d+)\s?轮")
# "np.float32(0.5)", "tensor(0.5, device='cuda:0')"
_WRAPPED = re.compile(r"(?:tensor|array|(?:np|numpy)\.\w+)\(\[?([-+.\w]+)\]?(?:, \w+=[^()]*)?\)")
_FORTRAN = re.compile(r"(?<=\d)D(?=[+-]\d\d(?!\w))")  # "1.23D+02"


def number(text: str) -> float:
    """Return the number in `text`: thousands may be separated, NaN and infinities are numbers."""
    return float(text.replace(",", ""))


def plainly(line: str) -> str:
    """Return `line` with numbers and names as they are read: "1.23D+02" as "1.23e+02", "D(x)" as "D_x".

    The folder that all names of a line with tabs stand in is none of them: "tmp/mnist/disc cost".
    """
    if "/" in line and "\t" in line and (folder := _FOLDER.search(line)) and line.count(folder.group()) > 1:
        line = line.replace(folder.group(), "\t")
    if "(x)" in line or "(y)" in line or "(z)" in line:
        line = _OF_NETS.sub(lambda found: found.group().replace("(", "_").replace(")", ""), line)
    return _FORTRAN.sub("e", line) if "D+" in line or "D-" in line else line


def unwrapped(line: str) -> str:
    """Return `line` with numbers as such that were printed as tensors or arrays of one."""
    return _WRAPPED.sub(r"\1", line) if "(" in line else line


def in_english(line: str) -> str:
    """Return `line` with the Chinese words that trainings print as English ones: "第3轮 训练损失: 0.5"."""
    if not _CHARACTER.search(line):
        return line
    return _ROUND.sub(r"epoch \1 ", _CHINESE.sub(lambda found: _ENGLISH[found.group()], line))


def measurements(text: str, *, stepped: bool) -> Mapping[str, float]:
    """Return the series in `text`, empty if it holds no measurement.

    A line that names a step may bring companions alone; any other needs an outcome. A number behind a mere space
    counts only with a decimal point, as in "loss 3.21", or where the line names a step and no number follows it.
    """
    pairs = _Pairs(_respelled(text), stepped=stepped)
    for pair in _PAIR.finditer(pairs.text):
        if may_end(pair["name"]):
            pairs.take(pair)
    if stepped and pairs.found:
        return {**metered(pairs.text), **pairs.found}
    return pairs.found if pairs.judged else {}


def metered(text: str) -> Mapping[str, float]:
    """Return what stands with its mean behind it, whatever it is called: "l_p 0.006 (0.005)", "Prec 6.25% (3.12%)"."""
    if "(" not in text:
        return {}
    found = {series_name(one["name"]): number(one["value"]) for one in _METERED.finditer(text)}
    return {name: value for name, value in found.items() if is_worth_naming(name) and name != "rank"}


def _respelled(text: str) -> str:
    """Return `text` with each number behind the name that it has."""
    if "/" in text:
        if "n/" in text or "g/" in text:
            text = _TWINS.sub(r"\g<one> \g<name>\g<sign>\g<first>, \g<two> \g<name>\g<sign>\g<second>", text)
        text = _SHARE.sub(r"\g<sign>\g<share>%", text) if "%)" in text else text
        text = _QUOTIENT.sub("", text) if "=" in text else text
        if text.count("/") > 1 and _OF_A_PART.search(text):
            text = _NAMES_AND_NUMBERS.sub(_paired, text)
    if " = " in text and (first := _VALUE_FIRST.match(text)):
        text = f"{first['name'].strip()}: {first['value']}"
    if " on " in text or " in " in text:
        text = _ON_PART.sub(r"\2 \1", text)
    text = text.replace("Mean AP", "mAP") if "Mean AP" in text else text
    if " @" in text:
        text = _AT.sub("@", text)
    if "op " in text or "OP " in text:
        text = _TOP.sub(r"\1_\2_", text)
    if "oss " in text or "cc " in text:
        text = _OF_WHAT.sub(lambda found: found.group().replace(" ", "_"), text)
    return text


class _Pairs:
    """The names and numbers of one line, one pair after another."""

    def __init__(self, text: str, *, stepped: bool) -> None:
        self.text, self.stepped = text, stepped
        self.found: dict[str, float] = {}
        self.judged = False  # one of them is an outcome
        self._far = stepped or "|" in text  # in cells the next word is far
        self._sections: Sequence[tuple[int, str]] | None = None
        self._of = ""  # the part that the last name was of, by its own words
        self._before = ""  # the last name

    def take(self, pair: re.Match[str]) -> None:
        """Take a name, which may be one of a measurement, and its number, if they are one."""
        word, part, sign, value = pair.group("name", "part", "sign", "value")
        words = _words_before(self.text, pair.start(), signed=sign.strip()[-1:] in (":", "="))
        name = series_name(" ".join((*words, word)))
        wide = len(sign) > _NEAR_VALUE and not self._far and sign.isspace()
        sign = sign.strip()
        bare = sign in ("", "-", "is") or "reached" in sign
        if name == "rank" and not words and "." not in value:
            return  # of a process, and no mean rank
        if pair["more"] is not None and "loss" not in name:
            return  # the first of several
        if not self._wants(name, value, bare=bare) or (word[-4:] == "cost" and _TOOK.match(self.text, pair.end())):
            return
        if bare and (wide or not _stands_alone(name, value, self.text[pair.end() :], self.stepped)):
            return
        if words and words[0].lower() in RECORDS and not _OF_EPISODES.match(name):
            return
        name = self._parted(name, part, pair)
        known = of_part(self._of, name) if self._of else ""
        if name in self.found and _CURRENT.search(self.text, max(0, pair.start() - _CLOSE), pair.start()):
            self.found[name] = number(value)  # "Average Loss 3.426 | Current Loss 3.461"
            return
        if name in self.found and not part:  # "train loss 0.5 acc 0.8, val loss 0.6 acc 0.7"
            name = known or name
        elif known in self.found and _AVERAGED.match(" ".join((*words, word))):
            return  # "test_loss: 2.1 | avg_loss: 2.0"
        if name not in self.found and len(self.found) < _MOST:
            self.found[name] = number(value)
            self.judged = (
                self.judged
                or is_outcome(name)
                or word[:3] == "mAP"
                or (not bare and "." in value and is_of_evaluation(name))
            )

    def _wants(self, name: str, value: str, *, bare: bool) -> bool:
        if is_outcome(name):
            return True
        if is_companion(name) and (self.stepped or not bare or (self.judged and "." in value)):
            return True
        return (self.stepped or self._before.rpartition("_")[2] in PARTS) and name in PARTS and "." in value

    def _parted(self, name: str, part: str | None, pair: re.Match[str]) -> str:
        """Return a name with the part of the data that it is of."""
        if not part and "(" in self.text and (behind := _PART_BEHIND.match(self.text, pair.end())):
            part = behind["part"]
        if not part:
            self._sections = _sections(self.text) if self._sections is None else self._sections
            if self._sections:
                part = next((of for begins, of in reversed(self._sections) if begins < pair.start()), "")
        name = of_part(part, name) if part else name
        stem, _, last = self._before.rpartition("_")
        if name in PARTS and last in PARTS and stem:  # "accuracy train: 0.5 test: 0.4"
            name = f"{stem}_{name}"
        self._before = name
        first, parts, _ = name.partition("_")
        self._of = first if parts and first in PARTS else self._of
        return name


def _paired(found: re.Match[str]) -> str:
    names, numbers = found["names"].split("/"), found["numbers"].split("/")
    if len(names) != len(numbers):
        return found.group()
    return ", ".join(f"{name}: {value}" for name, value in zip(names, numbers, strict=True))


def _words_before(text: str, at: int, *, signed: bool) -> Sequence[str]:
    """Return the words that stand before the name at `at` and belong to it, the first perhaps one of `RECORDS`.

    One word that nobody knows belongs to it, too, if it stands alone between signs: "- Rec loss: 0.3".
    """
    if at < 2 or text[at - 1] != " " or text[at - 2] in ",|;:=)]%":
        return ()
    words: list[str] = []
    begins = at  # of the name so far
    for word in reversed(text[max(0, at - _NEAR) : at].rsplit(None, _MOST_BEFORE + 1)):
        bare = word.lstrip("[({|<'\"")
        lower = bare.lower()
        if lower in RECORDS or lower.startswith(_BEST_ABROAD):
            return [bare if lower in RECORDS else "best", *words]
        if (lower not in _BEFORE and not is_outcome(lower)) or len(words) == _MOST_BEFORE:
            return [*_alone_before(text, begins, signed=signed), *words]
        words.insert(0, bare)
        begins = text.rindex(word, 0, begins)
        if bare != word:
            break
    return words


def _alone_before(text: str, begins: int, *, signed: bool) -> Sequence[str]:
    """Return the word before `begins` that nobody knows, where it stands alone, and the one before that, if any."""
    if not (text[begins - 2].isalnum() or text[begins - 2] in "_.-"):
        return ()
    alone = (_ALONE if signed else _ALONE_IN_CELL).search(text, max(0, begins - _NEAR), begins)
    if alone is None:
        return ()
    first = (alone["first"] or "").strip()
    if first and signed and not (first.isalpha() and alone["word"][-1] != "."):
        return ()
    if alone["word"][-1] == "." and text[alone.start("word") - 2].isdigit():  # "896.1 SPS. Loss 195.4" ends a sentence
        return ()
    if first.lower() in RECORDS or _NO_NAME.match(first) or _NO_NAME_EITHER.match(alone["word"]):
        return ()
    return (*first.split(), alone["word"])


def _stands_alone(name: str, value: str, behind: str, stepped: bool) -> bool:
    """Return whether a name and a number with a mere space between them are a measurement: "loss 3.2", "loss nan"."""
    if name in ("return", "returns") and not stepped:
        return False  # of prose: "log() returns Inf"
    if value.lower().strip("+-") in _NOT_FINITE:
        return True
    if re.search(r"[.eE]", value):
        return True
    return stepped and is_outcome(name) and not re.match(r"\s*[\d(%]|\s+of\b|\s+\w", behind)


def _sections(text: str) -> list[tuple[int, str]]:
    """Return where parts of the line begin that are of one part of the data; a line of the training alone has none."""
    sections = [(found.start(), found["part"]) for found in _SECTION.finditer(text)]
    return sections if len(sections) > 1 and len({series_name(part) for _, part in sections}) > 1 else []


def anything(text: str) -> Mapping[str, float]:
    """Return whatever `text` gives a name and a number with a decimal point: of a line that names its epoch."""
    found: dict[str, float] = {}
    for pair in _ANY_PAIR.finditer(text):
        words = pair["name"].split()
        name = series_name(words[-1] if words[0].lower() not in _QUALIFIERS else pair["name"])
        if BESIDE.search(name) or RECORD.match(name) or not name:
            continue
        if re.search(r"[.eE]|nan|inf", pair["value"]) and len(found) < _MOST:
            found.setdefault(name, number(pair["value"]))
    return found
