"""Will it fit: the question asked in a real workspace, of a name and of commits in real repositories."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bot.commits import FewAtOnce
from bot.estimate import places
from bot.manifest import COMPLETIONS
from bot.parse import VERBS
from jobs.errors import BadSource
from jobs.offers import PriceRow
from jobs.values import DOLLAR, Source
from tests.face.stage import Stage, shown
from tests.spec.repositories import Host
from tests.support.builders import a_source, an_offer
from trainer.architectures import named
from trainer.memory import Method, Precision, Recipe

SCRIPT = "n_layer = 24\nn_head = 16\nn_embd = 1024\nbatch_size = 8\nvocab_size = 50257\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    home = tmp_path / "author"
    home.mkdir()
    return Host(root=tmp_path / "host", home=home)


def answered(stage: Stage, line: str, person: str = "ada") -> str:
    """Return what somebody is told, text and blocks, after typing a line."""
    before = len(stage.people.ephemerals(person, stage.vision))
    stage.people.type(person, "#vision", line)
    told = stage.people.wait_for(lambda: stage.people.ephemerals(person, stage.vision)[before:])[-1]
    return f"{told['text']}\n{shown(told)}"


def test_it_is_offered_while_one_types_and_explained(open_stage: Stage) -> None:
    assert set(VERBS) <= set(COMPLETIONS["/train"])
    assert "`/train estimate 7b lora gpu=a10g`" in answered(open_stage, "/train help")
    assert "`seq=`" in answered(open_stage, "/train help estimate")


def test_a_name_is_answered_with_what_helps_and_where_it_fits(open_stage: Stage) -> None:
    told = answered(open_stage, "/train estimate 7b lora gpu=a10g seq=2048 batch=4")
    assert "`llama-2-7b` *does not fit* on 1 × A10G 24 GB" in told
    assert "• micro-batch 1, and as much more accumulation:" in told
    assert "• activation checkpointing:" in told
    assert "which fits" in told
    assert "1 × a100 80G" in told
    assert "$0.87  vast" in told
    assert "Nobody said `precision=`, `optim=`" in told


def test_what_fits_is_said_with_what_is_to_spare(open_stage: Stage) -> None:
    told = answered(open_stage, "/train estimate gpt2 batch=4 gpu=a10g")
    assert "`gpt2` *fits* on 1 × A10G 24 GB: it needs" in told
    assert "A micro-batch of 16 fits, too." in told


def test_a_commit_is_read_and_what_was_taken_from_where_is_told(open_stage: Stage, host: Host) -> None:
    files = {
        "train.py": SCRIPT,
        ".hourglass.yml": "commands: [python train.py --batch_size=32]\nresources: {gpu: L4}\n",
    }
    sha = host.repository("acme/gpt").commit(files)
    told = answered(open_stage, "/train estimate acme/gpt@main")
    assert "`24×1024` *does not fit* on 1 × L4 24 GB" in told
    assert "355 M parameters" in told
    assert f"Read at `acme/gpt@{sha[:7]}`" in told
    assert "`n_layer 24` (`train.py`)" in told
    assert "`--batch_size 32` (`commands`)" in told
    assert "micro-batch 32 × 1,024 tokens" in told
    assert "micro-batch 2 × 1,024 tokens" in answered(open_stage, "/train estimate acme/gpt@main batch=2")


def test_where_a_commit_says_nothing_the_line_to_type_is_offered(open_stage: Stage, host: Host) -> None:
    host.repository("acme/vit").commit(
        {"train.py": "print('hello')\n", ".hourglass.yml": "commands: [python train.py]"}
    )
    told = answered(open_stage, "/train estimate acme/vit@main gpu=l4")
    assert "Nothing in `acme/vit@main` says how large its model is" in told
    assert "```/train estimate acme/vit@main 7b gpu=l4```" in told
    assert "*does not fit*" in answered(open_stage, "/train estimate acme/vit@main 7b gpu=l4")


def test_a_mixture_of_experts_is_refused_by_its_reason(open_stage: Stage, host: Host) -> None:
    host.repository("acme/moe").commit({"config.json": '{"hidden_size": 8, "num_experts": 4}'})
    assert "mixture of experts" in answered(open_stage, "/train estimate acme/moe@main")


def test_a_guest_is_not_told_what_a_repository_holds(open_stage: Stage, host: Host) -> None:
    host.repository("acme/gpt").commit({"train.py": SCRIPT, ".hourglass.yml": "commands: [python train.py]\n"})
    assert "Guests" in answered(open_stage, "/train estimate acme/gpt@main", "gus")


def test_of_each_gpu_the_cheapest_is_shown_and_the_cheapest_that_can_be_rented_here() -> None:
    def row(gpu: str, memory_gb: int, gpus: int, dollars: int, *, here: bool) -> PriceRow:
        offer = an_offer(gpu=gpu, memory_gb=memory_gb, gpus=gpus, micros_per_hour=dollars * DOLLAR)
        return PriceRow(offer=offer, micros_per_gpu=0, configured=here, source="")

    rows = [
        row("l4", 24, 1, 1, here=True),
        row("a100", 80, 1, 2, here=False),
        row("a100", 80, 1, 3, here=False),
        row("a100", 80, 2, 4, here=True),
        row("a100", 80, 8, 5, here=True),
        row("l4", 24, 8, 6, here=False),
    ]
    found = places(named("7b"), Recipe(method=Method.LORA, precision=Precision.BF16, sequence=2048), rows)
    shown_rows = [(one.row.offer.micros_per_hour // DOLLAR, one.sharded) for one in found]
    assert shown_rows == [(2, False), (4, False), (6, True)]


def spoken(stage: Stage) -> bool:
    """Return whether the newest thread has been answered, once what is owed was posted."""
    stage.tell()
    return bool(stage.texts())


class Slow:
    """A git host that answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.let = threading.Event(), threading.Event()

    def resolve(self, repo: str, ref: str) -> Source:
        """Wait, then answer."""
        self.asked.set()
        assert self.let.wait(20)
        return a_source(task_file="commands: [python train.py --model gpt2]\n")

    def read(self, source: Source, paths: Sequence[str]) -> Mapping[str, str]:
        """Hold nothing."""
        return {}


def test_a_slow_git_host_keeps_no_delivery_waiting(tmp_path: Path) -> None:
    slow = Slow()
    stage = Stage(tmp_path, commits=slow)
    try:
        stage.open()
        assert stage.people.type("ada", "#vision", "/train estimate acme/vit@main").ok
        slow.asked.wait(10)
        stage.people.type("ada", "#vision", "@hourglass estimate acme/vit@main")
        stage.people.wait_for(lambda: all(one.acknowledged for one in stage.people.deliveries()))
        slow.let.set()
        stage.people.wait_for(lambda: stage.people.ephemerals("ada", stage.vision))
        stage.until(lambda: spoken(stage))
        assert "`gpt2` needs" in stage.texts()[-1]
    finally:
        slow.let.set()
        stage.close()


def test_only_a_few_commits_are_read_at_once() -> None:
    slow = Slow()
    commits = FewAtOnce(slow, most=1)
    first = threading.Thread(target=commits.resolve, args=("acme/vit", "main"))
    first.start()
    slow.asked.wait(10)
    with pytest.raises(BadSource, match="Ask about `acme/gpt` again"):
        commits.resolve("acme/gpt", "main")
    slow.let.set()
    first.join()
    assert commits.resolve("acme/gpt", "main").repo == "acme/vit"
