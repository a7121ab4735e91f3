"""A typed line -> what it asks for. Pure: nothing is looked up, and a bad word costs nobody anything.

    /train owner/repo@ref gpu=a100[-80gb][:n] hours=4 [spot=…] [provider=…] [image=…] [max_cost=…] [max_price=…]
           [nodes=…] [notify=@teammate] [env.K=V] [reason="…"] [-- command…]
    /train estimate MODEL|owner/repo@ref [lora …] [gpu=…] [batch=…] [key=value …]
    /train help [topic] | gpus [name] [spot] | list [mine|all] | status JOB | stop JOB | extend JOB 1h
           | logs JOB [node=N] [text|follow] | progress JOB | checkpoints JOB | rerun JOB [resume] [key=value…]

Every error is a `BadRequest` whose message quotes the bad word. Its `fix`, where one can be guessed, is the whole
corrected line: it has been parsed, so that copying it never leads to the next error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from bot.arguments import KEYS
from bot.correction import corrected
from bot.normalise import normalise
from bot.parse_estimate import parse_estimate
from bot.run_line import parse_overrides, parse_run
from bot.verbs import Checkpoints, Command, Extend, Gpus, Help, List, Logs, Progress, Rerun, Run, Status, Stop
from bot.words import Line, Word, joined, split
from jobs.errors import BadRequest, BadSpec
from jobs.gpus import parse_gpu
from jobs.quantities import parse_minutes

VERBS: Final = (
    "help",
    "gpus",
    "estimate",
    "list",
    "status",
    "stop",
    "extend",
    "logs",
    "progress",
    "checkpoints",
    "rerun",
)
RESUME: Final = "resume"  # behind `rerun`: from the last checkpoint
FOLLOW: Final = "follow"  # behind `logs`: in the thread, until it ends
NODE: Final = "node="  # which machine's log
_BEHIND: Final = {"logs": FOLLOW, "rerun": RESUME}  # the verb's own word, which names no job
TOPICS: Final = (*VERBS, "train", "budget", *KEYS, "env", "inputs")

_MEANT: Final = {
    **dict.fromkeys(("prices", "price", "gpu", "offers"), "gpus"),
    **dict.fromkeys(("fit", "fits", "memory", "vram", "oom", "calc"), "estimate"),
    **dict.fromkeys(("jobs", "ls", "ps", "queue"), "list"),
    **dict.fromkeys(("show", "info", "describe"), "status"),
    **dict.fromkeys(("cancel", "kill", "end", "abort", "terminate"), "stop"),
    **dict.fromkeys(("more", "longer", "prolong"), "extend"),
    **dict.fromkeys(("log", "tail", "output", FOLLOW, "grep"), "logs"),
    **dict.fromkeys(("lines", "metrics", "curves", "plot", "loss"), "progress"),
    **dict.fromkeys(("ckpt", "ckpts", "checkpoint", "files", "weights"), "checkpoints"),
    **dict.fromkeys(("retry", "again", "restart", RESUME), "rerun"),
}
_JOB = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class _Context:
    """Where a line was typed."""

    delivery: str
    channel: str
    person: str
    job: str | None  # of the thread


def parse_train(text: str, *, delivery: str, channel: str, person: str) -> Command:
    """Read what followed `/train`; raises `BadRequest`, whose fix begins with `/train`."""
    context = _Context(delivery=delivery, channel=channel, person=person, job=None)
    return corrected(lambda line: _parse(line, context), text, "/train")


def parse_mention(text: str, *, delivery: str, channel: str, person: str, job: str | None) -> Command:
    """Read what followed `@Hourglass`; inside a job's thread `job` need not be named. A fix has no prefix."""
    context = _Context(delivery=delivery, channel=channel, person=person, job=job)
    said = re.sub(r"^\s*<@[^<>]{1,100}>[\s,:]*", "", text)
    return corrected(lambda line: _parse(line, context), said, "")


def _parse(text: str, context: _Context) -> Command:
    line = split(normalise(text))
    if line.words and line.words[0].text.lower() in ("/train", "train", "run"):
        line = line.after(1)
    if not line.words:
        if line.tail is not None:
            raise BadRequest("Which repository? Write it first: `acme/vit@main gpu=a100 hours=4 -- …`.")
        return Help(topic=None)
    first = line.words[0].text
    verb = first.lower().lstrip("/")
    if verb in VERBS:
        return _verb(verb, line.after(1), context)
    if any(sign in first for sign in "/@=") or first.startswith("-"):
        typed = line.edited({})
        person, channel, delivery = context.person, context.channel, context.delivery
        return Run(request=parse_run(line, text=typed, delivery=delivery, channel=channel, person=person))
    return _unknown_verb(first, line, context)


def _unknown_verb(first: str, line: Line, context: _Context) -> Command:
    if len(line.words) > 1 and any("=" in word.text for word in line.words[1:]):
        # `vit gpu=a100 hours=4`: a repository without its owner
        raise BadRequest(f"`{first}` is not a repository. Write its owner too, and the commit: `acme/{first}@main`.")
    verb = _MEANT.get(first.lower()) or next(iter(get_close_matches(first.lower(), VERBS, n=1)), None)
    if verb is None:
        raise BadRequest(
            f"`{first}` is not something I know. Rent with `owner/repo@ref gpu=a100 hours=4`, or ask for "
            f"{', '.join(VERBS)}.",
            fix="help",
        )
    fix = line.edited({0: verb})
    raise BadRequest(f"`{first}` is not something I know; did you mean `{verb}`?", fix=fix)


def _verb(verb: str, line: Line, context: _Context) -> Command:
    if line.tail is not None and verb != "rerun":
        raise BadRequest(f"`{verb}` takes no command. What follows ` -- ` belongs to `owner/repo@ref …`.")
    words = list(line.words)
    if verb == "help":
        return Help(topic=_topic(words))
    if verb == "gpus":
        return _gpus(words)
    if verb == "estimate":
        return parse_estimate(line)
    if verb == "list":
        return _list(words)
    job, rest = _job(verb, words, context)
    if verb == "extend":
        return Extend(job=job, minutes=_minutes(job, rest, context))
    if verb == "logs":
        return _logs(job, rest, context)
    if verb == "rerun":
        return _rerun(job, words, rest, line.tail)
    _no_more(verb, rest, joined([verb, *(word.raw for word in words[: len(words) - len(rest)])], None))
    if verb == "status":
        return Status(job=job)
    if verb == "stop":
        return Stop(job=job)
    if verb == "progress":
        return Progress(job=job)
    return Checkpoints(job=job)


def _topic(words: list[Word]) -> str | None:
    if not words:
        return None
    topic = words[0].text.lower().strip("=/").removesuffix(".")
    _no_more("help", words[1:], f"help {topic}")
    if topic in TOPICS:
        return topic
    near = _MEANT.get(topic) or next(iter(get_close_matches(topic, TOPICS, n=1)), None)
    hint = f"did you mean `{near}`?" if near else f"there is help on {', '.join(TOPICS)}."
    raise BadRequest(f"There is no help on `{words[0].text}`; {hint}", fix=f"help {near}" if near else "help")


def _gpus(words: list[Word]) -> Command:
    name, spot = None, False
    for word in words:
        text = word.text.lower()
        if text in ("spot", "spot=yes", "spot=spot"):
            spot = True
            continue
        if name is not None:
            raise BadRequest(f"`{word.text}`: one GPU at a time, like `gpus {name} spot`.", fix=f"gpus {name}")
        try:
            gpu = parse_gpu(text.removeprefix("gpu="))
        except BadSpec as error:
            raise BadRequest(str(error), fix="gpus") from error
        name = str(gpu).partition(":")[0]
    return Gpus(name=name, spot=spot)


def _list(words: list[Word]) -> Command:
    _no_more("list", words[1:], "list all")
    scope = words[0].text.lower() if words else "mine"
    if scope not in ("mine", "all"):
        raise BadRequest(f"`{words[0].text}`: list is either `list mine` or `list all`.", fix="list all")
    return List(mine=scope == "mine")


def _job(verb: str, words: list[Word], context: _Context) -> tuple[str, list[Word]]:
    """Return the job that is meant and the words after it."""
    name = words[0].text.strip("`#").lower() if words else ""
    if context.job is not None and (not words or not _names_a_job(verb, name, words, context.job)):
        return context.job, words
    if not words or name == _BEHIND.get(verb):
        raise BadRequest(f"Which job? Write its name: `{verb} k3v9x2m`. `list` shows the names.", fix="list mine")
    if not _JOB.fullmatch(name):
        raise BadRequest(f"`{words[0].text}` is not a job's name. `list` shows the names.", fix="list mine")
    return name, words[1:]


def _names_a_job(verb: str, name: str, words: list[Word], implied: str) -> bool:
    """Say whether, in a job's thread, the first word names a job rather than what the verb is about."""
    if name == implied:
        return True
    if verb == "extend":
        return len(words) > 1
    if verb == "logs" or (verb == "rerun" and name == RESUME):
        return False
    return _JOB.fullmatch(name) is not None and "=" not in name


def _minutes(job: str, rest: list[Word], context: _Context) -> float:
    named = "" if context.job == job else f"{job} "
    if not rest:
        raise BadRequest(f"By how long? Write it: `extend {named}1h`.", fix=f"extend {named}1h")
    said = "".join(word.text for word in rest)
    try:
        minutes = parse_minutes(said.removeprefix("hours=").removeprefix("+"))
    except BadSpec as error:
        raise BadRequest(str(error), fix=f"extend {named}1h") from error
    if len(rest) > 1:
        raise BadRequest(f"Write the time as one word: `{said}`.", fix=f"extend {named}{said}")
    return minutes


def _logs(job: str, rest: list[Word], context: _Context) -> Logs:
    said, node = list(rest), None
    # Before the words to look for, or behind them; between them and in quotes it is one of them.
    at = next((at for at in (0, -1) if said and said[at].raw.lower().startswith(NODE)), None)
    if at is not None:
        word = said.pop(at)
        number = word.text.lower().removeprefix(NODE)
        node = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0
        named = "" if context.job == job else f"{job} "
        if node == 0:
            fix = f"logs {named}{NODE}2"
            raise BadRequest(f"`{word.text}`: machines are counted from 1, like `{NODE}2`.", fix=fix)
        if _is_follow(said) and node != 1:
            fix = f"logs {named}{NODE}{node}"
            raise BadRequest("Only the first machine's output is followed in the thread.", fix=fix)
    follow = _is_follow(said)
    grep = " ".join(word.text for word in said)
    return Logs(job=job, grep=None if follow else grep or None, node=node, follow=follow)


def _is_follow(said: list[Word]) -> bool:
    """Return whether the word is the verb's own; in quotes it is one to look for."""
    return [word.raw.lower() for word in said] == [FOLLOW]


def _rerun(job: str, words: list[Word], rest: list[Word], tail: str | None) -> Rerun:
    changes = [word for word in rest if word.text.lower() != RESUME]
    resume = len(changes) < len(rest)
    bare = [word for word in changes if "=" not in word.text]
    meant = next((word for word in bare if get_close_matches(word.text.lower(), [RESUME], cutoff=0.8)), None)
    if meant is not None:
        fix = joined(["rerun", *(RESUME if word is meant else word.raw for word in words)], tail)
        raise BadRequest(f"`{meant.text}` is not `key=value`; did you mean `{RESUME}`?", fix=fix)
    named = [word.raw for word in words[: len(words) - len(rest)]]
    head = joined(["rerun", *named, *([RESUME] if resume else [])], None)
    try:
        overrides = parse_overrides(Line(words=changes, tail=tail))
    except BadRequest as error:
        raise BadRequest(str(error), fix=None if error.fix is None else f"{head} {error.fix}".strip()) from error
    return Rerun(job=job, overrides=overrides, resume=resume)


def _no_more(verb: str, rest: list[Word], fix: str) -> None:
    if rest:
        raise BadRequest(f"`{verb}` takes nothing more than that; `{rest[0].text}` is too much.", fix=fix)
