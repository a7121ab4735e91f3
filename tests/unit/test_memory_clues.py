"""What a commit says of its model, and what is honestly not known."""

from __future__ import annotations

import json

import pytest

from bot.clues import Clue, Clues, gathered, wanted
from jobs.taskfile import TaskFile
from trainer.architectures import NAMED, UnknownShape
from trainer.configs import from_config

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
QWEN = LLAMA | {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
}  # fmt: skip
GPT = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
VIT = {"model_type": "vit", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
       "intermediate_size": 3072, "image_size": 224, "patch_size": 16}  # fmt: skip


def clues(*commands: str, env: dict[str, str] | None = None, **texts: str) -> Clues:
    """Return what these commands say, beside files that are named `train_py=…` and `config_json=…`."""
    return gathered(
        TaskFile(commands=commands, env=env), {name.replace("_", "."): text for name, text in texts.items()}
    )


@pytest.mark.parametrize(
    ("config", "name"), [(LLAMA, "llama-2-7b"), (QWEN, "qwen2.5-7b"), (GPT, "gpt2"), (VIT, "vit-b")]
)
def test_a_configuration_describes_the_published_shape(config: dict[str, object], name: str) -> None:
    described = from_config(json.dumps(config))
    assert described.shape.parameters == NAMED[name].parameters
    assert described.assumed == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "no table"),
        (json.dumps(LLAMA | {"num_local_experts": 8}), "mixture of experts"),
        (json.dumps(LLAMA | {"model_type": "t5"}), "`t5`, which is not estimated"),
        (json.dumps(LLAMA | {"hidden_size": None}), "no usable `hidden_size`"),
        (json.dumps(LLAMA | {"num_hidden_layers": -1}), "no usable `num_hidden_layers`"),
        (json.dumps(LLAMA | {"num_hidden_layers": True}), "no usable `num_hidden_layers`"),
        (json.dumps(LLAMA | {"vocab_size": 10**12}), "no usable `vocab_size`"),
        (json.dumps(LLAMA | {"num_attention_heads": 31}), "cannot be shared by 31 heads"),
        ("[" * 100_000, "is not JSON|nested too deeply"),
    ],
)
def test_what_is_no_such_model_is_refused_by_its_reason(text: str, said: str) -> None:
    with pytest.raises(UnknownShape, match=said):
        from_config(text)


def test_an_unknown_family_with_the_usual_names_is_read_and_that_is_said() -> None:
    described = from_config(json.dumps(LLAMA | {"model_type": "our`model<!channel>"}))
    assert described.assumed == ("`config.json` is a `ourmodelchannel`, read as if it were like Llama.",)


def test_the_configuration_and_the_scripts_of_the_commands_are_worth_reading() -> None:
    task = TaskFile(commands=("pip list", "torchrun --nproc 2 ./train.py config/a.py --lr 3", "python -m pkg.run -x"))
    assert wanted(task) == ("config.json", "train.py", "config/a.py", "pkg/run.py")
    assert wanted(TaskFile(commands=("python /etc/x.py ../y.txt",))) == ("config.json",)


def test_an_option_counts_more_than_a_default_and_each_is_told_with_its_place() -> None:
    script = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--width", "-w", type=int, default=128)
parser.add_argument("--batch-size", type=int, default=32)
"""
    found = clues("python train.py --layers=$DEPTH --batch-size 8", env={"DEPTH": "6"}, train_py=script)
    assert found.shape is not None
    assert (found.shape.layers, found.shape.width) == (6, 128)
    assert found.recipe == {"batch": "8"}
    assert Clue(value="6", spelling="--layers", place="commands") in found.found
    assert Clue(value="128", spelling="--width", place="train.py") in found.found
    assert "50257 tokens are assumed" in " ".join(found.assumed)


@pytest.mark.parametrize(
    "script",
    [
        "n_layer = 12\nn_head = 12\nn_embd = 768\nblock_size = 1024\nvocab_size = 50257\n",
        "class Config:\n    n_layer: int = 12\n    n_head: int = 12\n    n_embd: int = 768\n",
        "config = GPTConfig(n_layer=12, n_head=12, n_embd=768, vocab_size=50257)\n",
    ],
)
def test_a_script_that_sets_its_sizes_in_any_of_the_usual_ways_is_understood(script: str) -> None:
    found = clues("python train.py", train_py=script)
    assert found.shape is not None
    assert found.shape.parameters == NAMED["gpt2"].parameters


def test_a_models_name_on_the_hub_says_its_shape() -> None:
    found = clues(
        "python train.py --model_name_or_path meta-llama/Llama-2-7b-hf --bf16 --gradient_checkpointing True "
        "--use_lora --per_device_train_batch_size 4 --optim adamw_bnb_8bit --max_seq_length 2048"
    )
    assert found.shape is NAMED["llama-2-7b"]
    assert found.recipe == {
        "batch": "4", "seq": "2048", "optim": "adamw-8bit", "method": "lora", "checkpointing": "yes",
        "precision": "bf16",
    }  # fmt: skip


def test_the_configuration_says_the_shape_where_nothing_nearer_does() -> None:
    found = clues("python train.py --batch_size=2", config_json=json.dumps(LLAMA))
    assert found.shape is not None
    assert found.shape.parameters == NAMED["llama-2-7b"].parameters
    assert found.found[0] == Clue(value="llama", spelling="model_type", place="config.json")


@pytest.mark.parametrize("script", ["", "def broken(:", "n_layer = 'many'\nwidth = -3\n", "x = 1\n", "(" * 5000])
def test_where_nothing_says_it_nothing_is_claimed(script: str) -> None:
    found = clues("python train.py --epochs 3", train_py=script)
    assert (found.shape, found.found) == (None, [])


def test_a_switch_that_is_off_is_off() -> None:
    assert clues("python train.py --gradient_checkpointing=False").recipe == {}


def test_a_configuration_of_something_else_says_nothing() -> None:
    assert clues("python train.py", config_json='{"lr": 3}').shape is None
