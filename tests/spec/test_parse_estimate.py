"""`estimate`, as people type it: what it asks for, what is wrong with it, and the line to copy instead."""

from __future__ import annotations

import pytest

from bot.parse import parse_mention, parse_train
from bot.verbs import Command, Estimate
from jobs.errors import BadRequest


def said(text: str) -> Command:
    return parse_train(text, delivery="d1", channel="C1", person="U1ADA")


def asked(text: str) -> Estimate:
    command = said(text)
    assert isinstance(command, Estimate)
    return command


def test_a_model_a_method_and_a_gpu() -> None:
    assert asked("estimate 7b lora gpu=A10G batch=4 seq=4k") == Estimate(
        model="llama-2-7b",
        repo="",
        ref="",
        gpu="a10g",
        settings={"method": "lora", "batch": "4", "seq": "4096"},
    )


def test_a_commit_and_what_it_does_not_say() -> None:
    found = asked("estimate acme/vit@3f9c2ab gpu=a100-80gb:8 fsdp optim=adamw-8bit ckpt no-flash")
    assert (found.repo, found.ref, found.model, found.gpu) == ("acme/vit", "3f9c2ab", None, "a100-80gb:8")
    assert found.settings == {"fsdp": "yes", "optim": "adamw-8bit", "checkpointing": "yes", "flash": "no"}


def test_sizes_instead_of_a_name() -> None:
    assert asked("estimate layers=24 width=1024 bf16").settings == {
        "layers": "24",
        "width": "1024",
        "precision": "bf16",
    }


def test_a_hubs_name_is_a_model_and_any_other_is_a_repository() -> None:
    assert asked("estimate meta-llama/Llama-2-7b-hf").model == "llama-2-7b"
    with pytest.raises(BadRequest, match="Which commit of `acme/vit`") as caught:
        said("estimate acme/vit")
    assert caught.value.fix == "/train estimate acme/vit@main"


def test_it_works_by_mention_too() -> None:
    command = parse_mention("<@U9> estimate gpt2", delivery="d", channel="C1", person="U1", job="k7m2pqx")
    assert isinstance(command, Estimate)
    assert command.model == "gpt2"


@pytest.mark.parametrize(
    ("typed", "quoted", "fix"),
    [
        ("estimate 7bb gpu=a10g", "`7bb`", "/train estimate 7b gpu=a10g"),
        ("estimate 7b loar", "`loar`", "/train estimate 7b lora"),
        ("estimate 7b 8b", "`8b`", "/train estimate 7b"),
        ("estimate 7b lora qlora", "`qlora`", "/train estimate 7b lora"),
        ("estimate 7b bacth=4", "`bacth`", "/train estimate 7b batch=4"),
        ("estimate 7b batch_size=4", "`batch_size`", "/train estimate 7b batch=4"),
        ("estimate 7b batch=many", "`batch=many`", "/train estimate 7b batch=1"),
        ("estimate 7b batch=0", "`batch=0`", "/train estimate 7b batch=1"),
        ("estimate 7b gpu=a1000", "`gpu=a1000`", "/train estimate 7b gpu=a100"),
        ("estimate 7b gpu=cpu", "`gpu=cpu`", "/train estimate 7b gpu=a10g"),
        ("estimate 7b optim=adam", "`optim=adam`", "/train estimate 7b optim=adamw"),
        ("estimate 7b a100", "`a100`", "/train estimate 7b gpu=a100"),
        ("estimate 7b fsdp=perhaps", "`fsdp=perhaps`", "/train estimate 7b fsdp=yes"),
        ("estimate a/b@main c/d@main", "`c/d@main`", "/train estimate a/b@main"),
        ("estimate gpu=a10g", "What is trained?", "/train estimate 7b lora gpu=a10g"),
        ("estimate", "What is trained?", "/train estimate 7b lora"),
        ("fits 7b", "`fits`", "/train estimate 7b"),
        ("estimat 7b", "`estimat`", "/train estimate 7b"),
    ],
)
def test_a_bad_word_is_quoted_and_the_corrected_line_is_offered(typed: str, quoted: str, fix: str) -> None:
    with pytest.raises(BadRequest) as caught:
        said(typed)
    assert quoted in str(caught.value)
    assert caught.value.fix == fix


def test_a_word_that_is_near_to_nothing_is_quoted_with_what_there_is() -> None:
    with pytest.raises(BadRequest, match=r"`zzzz` is not a model .*gpt2, gpt2-medium"):
        said("estimate zzzz")
    with pytest.raises(BadRequest, match=r"`zzzz` is not a key of `estimate`\. There are gpu, model"):
        said("estimate 7b zzzz=1")
