"""How a command goes on from a checkpoint: the flag of a trainer that is known, or the task file's own word."""

from __future__ import annotations

import argparse
import os
import pathlib
from pathlib import Path
from typing import Any

import pytest

from trainer.fetch import Restored
from trainer.resuming import reached, simple_commands, start, variables
from trainer.wire import Again, AgentOrder, CheckpointRule, GpuNeed

# As the trainers write them, shortened to what tells them apart.
NANOGPT = "init_from = 'scratch' # 'scratch' or 'resume' or 'gpt2*'\nexec(open('configurator.py').read())\n"
TRANSFORMERS = (
    "parser = HfArgumentParser((ModelArguments, DataTrainingArguments, TrainingArguments))\n"
    "if training_args.resume_from_checkpoint is not None:\n    checkpoint = training_args.resume_from_checkpoint\n"
)
ACCELERATE = (
    "parser.add_argument(\n    '--resume_from_checkpoint', type=str, default=None,\n"
    "    help='If the training should continue from a checkpoint folder.')\n"
)
LIGHTNING_CLI = "from lightning.pytorch.cli import LightningCLI\nLightningCLI(Net)\n"
LIGHTNING = "parser.add_argument('--ckpt_path')\ntrainer.fit(Net(), data,\n    ckpt_path=args.ckpt_path)\n"
TORCHVISION = 'parser.add_argument("--resume", default="", type=str, help="path of checkpoint")\n'
NANOCHAT = 'parser.add_argument("--resume-from-step", type=int, default=-1, help="resume (-1 = disable)")\n'
SWITCH = "parser.add_argument('--resume', action='store_true')\n"
LONG_SWITCH = (
    "ap.add_argument('--resume_from_checkpoint', action='store_true', default=False, help='from OUTPUT_DIR')\n"
)
WANDB = "parser.add_argument('--resume', help='id of the W&B run')\n"
FILES = {
    "nano.py": NANOGPT,
    "clm.py": TRANSFORMERS,
    "no_trainer.py": ACCELERATE,
    "cli.py": LIGHTNING_CLI,
    "lit.py": LIGHTNING,
    "vision.py": TORCHVISION,
    "chat.py": NANOCHAT,
    "switch.py": SWITCH,
    "long_switch.py": LONG_SWITCH,
    "wandb_id.py": WANDB,
    "ours.py": f"import hourglass\nhourglass.resume()\n{SWITCH}",
    "broken.py": f"{SWITCH}(",
    "deep/nano.py": NANOGPT,
    "package/clm.py": TRANSFORMERS,
}


def an_order(**changes: Any) -> AgentOrder:
    fields: dict[str, Any] = {
        "job": "J",
        "attempt": 2,
        "rank": 0,
        "nodes": 1,
        "source_key": "s",
        "source_sha256": "0",
        "commit": "c",
        "setup": (),
        "commands": (),
        "argv": (),
        "env": {},
        "gpu": GpuNeed(name="cpu", count=0, memory_gb=None, required=True),
        "checkpoints": CheckpointRule(path="out", upload_every=1.0, keep=2),
        "deadline": 0.0,
        "grace": 1.0,
        "resume_key": "k",
        "flush_every": 1.0,
        **changes,
    }
    return AgentOrder(**fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "out" / "checkpoint-400").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint-400" / "trainer_state.json").write_text("{}")
    return tmp_path


def one_file(folder: Path, name: str = "out/ckpt.pt") -> Restored:
    return Restored(name="step-000400", step=400, folder=(folder / name).parent, file=folder / name)


def a_folder(folder: Path) -> Restored:
    return Restored(name="step-000400", step=400, folder=folder / "out" / "checkpoint-400", file=None)


@pytest.mark.parametrize(
    ("command", "kind", "added"),
    [
        ("python nano.py config/small.py --batch_size=4", one_file, "--init_from=resume"),
        ("torchrun --standalone --nproc_per_node=8 nano.py --init_from=gpt2", one_file, "--init_from=resume"),
        ("python clm.py --output_dir out --do_train", a_folder, "--resume_from_checkpoint={out}/checkpoint-400"),
        ("accelerate launch -m package.clm --do_train", a_folder, "--resume_from_checkpoint={out}/checkpoint-400"),
        ("accelerate launch no_trainer.py", a_folder, "--resume_from_checkpoint={out}/checkpoint-400"),
        ("python cli.py fit --config c.yaml", one_file, "--ckpt_path={out}/ckpt.pt"),
        ("python lit.py", one_file, "--ckpt_path={out}/ckpt.pt"),
        ("python vision.py --model resnet18", one_file, "--resume={out}/ckpt.pt"),
        ("python chat.py --depth 4", one_file, "--resume-from-step=400"),
        ("python switch.py", one_file, "--resume"),
        ("python long_switch.py", one_file, "--resume_from_checkpoint"),
        ("yolo detect train data=coco8.yaml model=yolo11n.pt", one_file, "model={out}/ckpt.pt resume=True"),
    ],
)
def test_a_known_trainers_own_flag_is_added(folder: Path, command: str, kind: Any, added: str) -> None:
    words = added.format(out=folder / "out").split()
    typed = start(an_order(argv=command.split()), kind(folder), folder)
    assert typed.argv == [*command.split(), *words]
    written = start(an_order(commands=[f"{command} 2>&1 | tee log.txt"]), kind(folder), folder)
    assert written.commands == [f"{command} {' '.join(words)} 2>&1 | tee log.txt"]
    assert written.said.startswith(f"resumed from step 400; added {' '.join(words)} (")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python elsewhere.py", one_file),  # not of the repository
        ("python wandb_id.py", one_file),  # an option of the name for something else
        ("python broken.py", one_file),
        ("python nano.py", a_folder),  # a checkpoint that it did not write
        ("python clm.py", one_file),
        ("python cli.py test", one_file),
        ("python $SCRIPT", one_file),
        ("python vision.py --jobs $(nproc)", one_file),  # where a word could stand, only a shell knows
        ("python nano.py && python vision.py", one_file),  # whose it is cannot be told
        ("python 'nano.py", one_file),
        ("python ../nano.py", one_file),
        ("yolo val", one_file),
        ("", one_file),
    ],
)
def test_what_is_not_clear_is_left_alone_and_said(folder: Path, command: str, kind: Any) -> None:
    found = start(an_order(commands=[command]), kind(folder), folder)
    assert found.commands == [command]
    assert "`resume:` in the task file" in found.said


PLACE = "{out}/ckpt.pt"


@pytest.mark.parametrize(
    ("declared", "added"),
    [
        ('"--resume_from_checkpoint", type=int, default=0', ""),
        ('"--resume", type=int, default=0, help="number of the checkpoint to resume from"', ""),
        ('"--resume_from_checkpoint", type=str2bool, default=False', ""),
        ('"--resume_from", type=lambda text: text.split()[1]', ""),
        ('"--resume", choices=["auto", "none"], help="resume from checkpoint"', ""),
        ('"--resume_path", nargs=2', ""),
        ('"--resume_path", **more', ""),  # what may stand there: type=int
        ('"--resume_from", action=Own', ""),
        ('"--resume", action="store_false", help="do not resume from checkpoint"', ""),
        ('"--resume_step", action="store_true"', ""),
        ('"--resume_step", type=str2bool', ""),
        ('"--resume-from", action=argparse.BooleanOptionalAction', "--resume-from"),
        ('"-r", "--resume", action="store_true"', "--resume"),
        ('"--resume_step"', "--resume_step=400"),
        ('"--resume", nargs="?", const="", help="path of the checkpoint"', f"--resume={PLACE}"),
        ('"--resume_from", nargs=1', f"--resume_from={PLACE}"),
        ('"--resume_from_checkpoint", default=False', f"--resume_from_checkpoint={PLACE}"),
        ('"--resume_path", type=pathlib.Path, action="store"', f"--resume_path={PLACE}"),
        ('"--resume_path", type=none_or_str', f"--resume_path={PLACE}"),
        ('"--resume_path", type=os.path.expanduser', f"--resume_path={PLACE}"),
    ],
)
def test_what_is_added_is_what_the_scripts_own_parser_takes(folder: Path, declared: str, added: str) -> None:
    source = f"parser.add_argument({declared})\n"
    (folder / "own.py").write_text(source)
    typed = start(an_order(argv=["python", "own.py"]), one_file(folder), folder)
    words = list(typed.argv)[2:]
    assert words == added.format(out=folder / "out").split()
    parser = argparse.ArgumentParser()
    names = {
        "str2bool": lambda text: {"true": True, "false": False}[text],
        "none_or_str": str,
        "more": {"type": int},
        "Own": type("Own", (argparse.Action,), {"__call__": lambda *_: parser.error("not so")}),
    }
    exec(source, {"parser": parser, "argparse": argparse, "os": os, "pathlib": pathlib, **names})  # noqa: S102  the lines above
    parser.parse_args(words)  # ends the test where it would have ended the script


@pytest.mark.parametrize(
    ("declared", "added"),
    [
        ('"--resume-from", is_flag=True', "--resume-from"),
        ('"--resume-from", is_flag=False, flag_value="auto"', f"--resume-from={PLACE}"),
        ('"--resume-from", is_flag=FLAG', ""),
        ('"--resume-from", count=True', ""),
        ('"--resume-from", default=False', ""),  # click takes the type of what it is otherwise
        ('"--resume-from", default=0', ""),
        ('"--resume-from", type=click.Choice(["auto", "none"])', ""),
        ('"--resume-from", type=click.Path(exists=True), default=None', f"--resume-from={PLACE}"),
        ('"--resume-from", default=""', f"--resume-from={PLACE}"),
        ('"--resume-step", default=-1', "--resume-step=400"),
    ],
)
def test_clicks_options_are_read_as_click_reads_them(folder: Path, declared: str, added: str) -> None:
    (folder / "own.py").write_text(f"@click.option({declared})\ndef main(**given): ...\n")
    typed = start(an_order(argv=["python", "own.py"]), one_file(folder), folder)
    assert list(typed.argv)[2:] == added.format(out=folder / "out").split()


@pytest.mark.parametrize("command", ["python ours.py", "python vision.py --resume $HOURGLASS_RESUME_FILE"])
def test_a_script_that_asks_for_itself_is_helped_no_further(folder: Path, command: str) -> None:
    found = start(an_order(commands=[command]), one_file(folder), folder)
    assert (found.commands, found.said) == ([command], "resumed from step 400; its files are in place.")


def test_the_script_is_found_where_the_lines_before_it_went(folder: Path) -> None:
    lines = ["pip install -q .", "cd deep && python nano.py --x=1 || exit 3"]
    found = start(an_order(commands=lines), one_file(folder), folder)
    assert found.commands == [lines[0], "cd deep && python nano.py --x=1 --init_from=resume || exit 3"]


def test_the_task_files_word_goes_first(folder: Path) -> None:
    lines = start(
        an_order(commands=["python nano.py"], again=Again(commands=["sh go-on.sh"])), one_file(folder), folder
    )
    assert (lines.commands, lines.argv) == (["sh go-on.sh"], [])
    argv = ["python", "x.py", "--from=$HOURGLASS_RESUME_FILE", "${HOURGLASS_RESUME_STEP}", "$HOME"]
    typed = start(an_order(argv=["python", "x.py"], again=Again(argv=argv)), one_file(folder), folder)
    assert typed.argv == ["python", "x.py", f"--from={folder}/out/ckpt.pt", "400", "$HOME"]
    off = start(an_order(commands=["python nano.py"], again=Again(known=False)), one_file(folder), folder)
    assert off.commands == ["python nano.py"]


def test_what_the_command_is_told(folder: Path) -> None:
    assert variables(one_file(folder)) == {
        "HOURGLASS_RESUME": f"{folder}/out",
        "HOURGLASS_RESUME_FILE": f"{folder}/out/ckpt.pt",
        "HOURGLASS_RESUME_STEP": "400",
    }
    unnumbered = Restored(name="best", step=None, folder=folder / "out", file=None)
    assert variables(unnumbered) == {"HOURGLASS_RESUME": f"{folder}/out"}
    assert reached(unnumbered) == "resumed from best"


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("a b", "a b^"),
        ("a b  ", "a b^  "),
        ("a 'x;y' \"|\" \\; b; c", "a 'x;y' \"|\" \\; b^; c^"),
        ("a 2>&1 | b >log 2>err & c", "a^ 2>&1 | b^ >log 2>err & c^"),
        ("a &>log", "a^ &>log"),
        ("a1>log", "a1^>log"),
        ("a # b; c", "a^ # b; c"),
        ("a#b", "a#b^"),
        ("(cd x && a) || b", "(cd x^ && a^) || b^"),
        ("a \\\n  --b", "a \\\n  --b^"),
        ("a\nb", "a^\nb^"),
        ("X=1 a", "X=1 a^"),
        ("a 'b", "a 'b"),
        ("a $(b)", "a $(b)"),
        ("a <<X", "a <<X"),
        ("", ""),
    ],
)
def test_where_in_a_line_one_more_word_could_stand(line: str, marked: str) -> None:
    for simple in reversed(simple_commands(line)):
        line = f"{line[: simple.end]}^{line[simple.end :]}"
    assert line == marked
