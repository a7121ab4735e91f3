"""The estimate against PyTorch's own tensors, counted one by one on models of two layers."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure
from tests.support import torches
from trainer.architectures import gpt2, llama, vit
from trainer.memory import Method, Optimizer, Precision, Recipe

torches.require()
pytestmark = torches.ONE_WORKER

GPT = gpt2("gpt", layers=2, width=512, heads=8, vocab=2000)
LLAMA = llama("llama", layers=2, width=512, heads=8, kv_heads=2, ffn=1408, vocab=2000, context=1024)
IMAGES = vit("images", layers=2, width=384, heads=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "recipe"),
    [
        (GPT, Recipe(micro_batch=4, precision=Precision.FP32, flash=False)),
        (GPT, Recipe(micro_batch=4, optimizer=Optimizer.FUSED, checkpointing=True, accumulation=True)),
        (LLAMA, Recipe(micro_batch=4)),
        (LLAMA, Recipe(micro_batch=4, precision=Precision.BF16, optimizer=Optimizer.SGD)),
        (LLAMA, Recipe(micro_batch=4, method=Method.QLORA, precision=Precision.BF16, checkpointing=True)),
        (IMAGES, Recipe(micro_batch=32, optimizer=Optimizer.MOMENTUM)),
    ],
)
def test_the_estimate_is_within_a_tenth_of_what_is_counted(shape, recipe) -> None:  # type: ignore[no-untyped-def]
    from tests.bench.memory_counted import off

    assert abs(off(shape, recipe)) <= 10


def test_without_a_gpu_the_figure_says_so_and_names_the_command() -> None:
    from tests.bench import memory_gpu

    if memory_gpu.has_gpu():
        pytest.skip("there is a GPU here")
    unmeasured = memory_gpu.unmeasured()
    assert isinstance(unmeasured, Figure)
    assert unmeasured.value is None
    assert "python -m tests.bench.memory_gpu" in unmeasured.note
