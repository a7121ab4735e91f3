"""Going on from a checkpoint in a script that knows nothing of us: by the flag that its trainer has for it.

The files lie where the script left them. Many scripts need no more; most need a word in their command. The task
file's word goes first (`Again`); else the script's source is read, never run, for a trainer whose flag is known or
for an option that it declares itself. A guess that is not clear is not made: the log says so, and the variables
`HOURGLASS_RESUME…` are there in any case.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer import wire
from trainer.fetch import Restored
from trainer.options import options
from trainer.wire import AgentOrder

_LONGEST = 1_000_000  # characters of a script that are read
_VARIABLE = re.compile(r"\$(?:\{(HOURGLASS_RESUME\w*)\}|(HOURGLASS_RESUME\w*))")
_OURS = re.compile(r"HOURGLASS_RESUME|hourglass\.resume\b")


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is run, and what is said of it in the log."""

    commands: Sequence[str]
    argv: Sequence[str]
    said: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """A command's words and the source of the script that it runs; empty where it runs none of the repository's."""

    words: Sequence[str]
    source: str


@dataclass(frozen=True, kw_only=True)
class Simple:
    """One command of a shell's line; `end` is where one more word of it could stand."""

    words: Sequence[str]
    end: int


def variables(restored: Restored) -> dict[str, str]:
    """Return what the command's environment says of the checkpoint."""
    told = {wire.ENV_RESUME: str(restored.folder)}
    if restored.file is not None:
        told[wire.ENV_RESUME_FILE] = str(restored.file)
    if restored.step is not None:
        told[wire.ENV_RESUME_STEP] = str(restored.step)
    return told


def reached(restored: Restored) -> str:
    """Return from where it goes on, in words for people."""
    return f"resumed from {restored.name}" if restored.step is None else f"resumed from step {restored.step}"


def start(order: AgentOrder, restored: Restored, folder: Path) -> Start:
    """Return what to run in `folder`, where the commit lies, so that it goes on from the checkpoint."""
    said, again = reached(restored), order.again
    if again.commands or again.argv:
        told = variables(restored)
        argv = [_VARIABLE.sub(lambda name: told.get(name[1] or name[2], ""), word) for word in again.argv]
        return Start(commands=again.commands, argv=argv, said=f"{said}, as the task file says.")
    plain = Start(commands=order.commands, argv=order.argv, said=f"{said}; its files are in place.")
    scripts = list(_scripts(order, folder))
    asks = (*order.commands, *order.argv, *(script.source for *_, script in scripts))
    if not again.known or any(_OURS.search(text) for text in asks):
        return plain
    found = [(line, end, *taken) for line, end, script in scripts if (taken := _flags(script, restored))]
    if len(found) != 1:
        why = "Several commands could take them" if found else "Where the script does not look for them itself"
        return Start(
            commands=order.commands,
            argv=order.argv,
            said=f"{said}; its files are in place. {why}: `resume:` in the task file adds words.",
        )
    ((line, end, trainer, flags),) = found
    told_of = f"{said}; added {shlex.join(flags)} ({trainer})."
    if order.argv:
        return Start(commands=(), argv=[*order.argv, *flags], said=told_of)
    commands = list(order.commands)
    commands[line] = f"{commands[line][:end]} {shlex.join(flags)}{commands[line][end:]}"
    return Start(commands=commands, argv=(), said=told_of)


def _flags(script: Script, restored: Restored) -> tuple[str, Sequence[str]] | None:
    """Return the trainer and the words by which it goes on; None where none is known."""
    known = ((trainer, flags(script, restored)) for trainer, flags in KNOWN.items())
    return next(((trainer, words) for trainer, words in known if words), None)


def _scripts(order: AgentOrder, folder: Path) -> Iterator[tuple[int, int, Script]]:
    """Yield each command, with its line and the place in it where a further word could stand."""
    at = folder
    lines = [[Simple(words=order.argv, end=0)]] if order.argv else [simple_commands(line) for line in order.commands]
    for number, line in enumerate(lines):
        for simple in line:
            if simple.words[:1] == ["cd"] and len(simple.words) == 2:
                at = at / simple.words[1]
                continue
            yield number, simple.end, Script(words=simple.words, source=_source(simple.words, at, folder))


def _source(words: Sequence[str], at: Path, folder: Path) -> str:
    for index, word in enumerate(words):
        if index and words[index - 1] == "-m":
            module = Path(*word.split(".")) if re.fullmatch(r"\w+(?:\.\w+)*", word) else Path()
            places = [module.with_suffix(".py"), module / "__main__.py"] if module.name else []
        else:
            places = [Path(word)] if word.endswith(".py") else []
        for place in places:
            found = (at / place).resolve()
            if found.is_relative_to(folder.resolve()) and found.is_file():
                with found.open(errors="replace") as file:
                    return file.read(_LONGEST)
    return ""


# ---------------------------------------------------------------- the trainers that are known


def _nanogpt(script: Script, restored: Restored) -> Sequence[str]:
    """Its configurator takes each of its globals; it reads `ckpt.pt` in its own folder."""
    if "configurator.py" not in script.source or not re.search(r"^init_from\s*=", script.source, re.MULTILINE):
        return ()
    return ["--init_from=resume"] if restored.file is not None and restored.file.name == "ckpt.pt" else ()


def _transformers(script: Script, restored: Restored) -> Sequence[str]:
    """`TrainingArguments` has the option; the examples hand it to `train`, which wants the folder."""
    if "HfArgumentParser" not in script.source or "resume_from_checkpoint" not in script.source:
        return ()
    if not (restored.folder / "trainer_state.json").is_file():
        return ()
    return [f"--resume_from_checkpoint={restored.folder}"]


def _lightning_cli(script: Script, restored: Restored) -> Sequence[str]:
    """`fit` of its command line takes the file."""
    if "LightningCLI(" not in script.source or "fit" not in script.words or restored.file is None:
        return ()
    return [f"--ckpt_path={restored.file}"]


def _ultralytics(script: Script, restored: Restored) -> Sequence[str]:
    """Its command takes `name=value`, the last of each; it goes on in the folder that the file lies in."""
    if not script.words or Path(script.words[0]).name != "yolo" or "train" not in script.words:
        return ()
    return [f"model={restored.file}", "resume=True"] if restored.file is not None else ()


def _declared(script: Script, restored: Restored) -> Sequence[str]:
    """An option that the script declares, whose name and help say what it is for, and whose parser takes the words."""
    place = str(restored.file or restored.folder)
    for option in options(script.source):
        name = option.name.lstrip("-").replace("-", "_").lower()
        if name in ("resume_from_step", "resume_step") and restored.step is not None and option.takes_number:
            return [f"{option.name}={restored.step}"]
        named = name in ("resume_from_checkpoint", "resume_from", "resume_path", "resume_checkpoint", "resume_ckpt")
        if option.switch and (named or name in ("resume", "auto_resume", "continue_training")):
            return [option.name]
        helpful = re.search(r"checkpoint|ckpt|path", option.help, re.IGNORECASE)
        fits = re.search(r"\.fit\((?s:.{0,300}?)\bckpt_path\s*=", script.source) if name == "ckpt_path" else None
        if option.takes_path and (named or fits or (name == "resume" and helpful)):
            return [f"{option.name}={place}"]
    return ()


# In the order of certainty.
KNOWN: Mapping[str, Callable[[Script, Restored], Sequence[str]]] = {
    "nanoGPT": _nanogpt,
    "Transformers": _transformers,
    "LightningCLI": _lightning_cli,
    "Ultralytics": _ultralytics,
    "an option of the script": _declared,
}


# ---------------------------------------------------------------- a shell's lines


def simple_commands(line: str) -> list[Simple]:
    """Return the commands of a shell's line in order; none where it has parts that only a shell understands."""
    if "<<" in line or "$(" in line or "`" in line:
        return []
    pieces, begin, stop = [], 0, len(line)  # `stop`: where its words end before it does
    quote, skip, comment = "", False, False
    for at, letter in enumerate(f"{line}\n"):
        if skip or (comment and letter != "\n"):
            skip = False
        elif letter == "\\" and quote != "'":
            skip = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (at == 0 or line[at - 1].isspace()):
            comment, stop = True, min(stop, at)
        elif letter in "<>":
            stop = min(stop, at)
        elif letter in ";|&()\n" and not _of_redirect(line, at):
            pieces.append((begin, min(stop, at)))
            begin, stop, comment = at + 1, len(line), False
    return [] if quote else [simple for piece in pieces if (simple := _simple(line, *piece)) and simple.words]


def _of_redirect(line: str, at: int) -> bool:
    """Return whether this `&` belongs to `2>&1` or `&>`."""
    return line[at : at + 1] == "&" and (line[at - 1 : at] in ("<", ">") or line[at + 1 : at + 2] == ">")


def _simple(line: str, begin: int, end: int) -> Simple | None:
    if line[end : end + 1] in ("<", ">"):
        end = begin + len(re.sub(r"(?:(?<=\s)\d|&)$", "", line[begin:end]))
    piece = line[begin:end].replace("\\\n", "  ")  # as long as it was
    try:
        words = shlex.split(piece)
    except ValueError:
        return None
    return Simple(words=words, end=begin + len(piece.rstrip()))
