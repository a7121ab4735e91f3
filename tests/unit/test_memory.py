"""Will it fit: shapes against what is published, sizes against what can be counted by hand, and what helps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.architectures import NAMED, UnknownShape, gpt2, llama, named
from trainer.memory import GIB, WORKSPACE, Method, Moment, Optimizer, Precision, Recipe, estimate
from trainer.remedies import Change, ladder, largest_batch, sharded

PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "tinyllama": 1_100_048_384,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-2-7b": 6_738_415_616,
    "llama-3.1-8b": 8_030_261_248,
    "llama-2-13b": 13_015_864_320,
    "codellama-34b": 33_743_970_304,
    "llama-3.1-70b": 70_553_706_496,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "vit-b": 86_567_656,
    "vit-l": 304_326_632,
}
SMALL = gpt2("small", layers=4, width=256, heads=4, vocab=1000)
SEVEN = named("7b")

recipes = st.builds(
    Recipe,
    method=st.sampled_from(Method),
    precision=st.sampled_from(Precision),
    optimizer=st.sampled_from(Optimizer),
    micro_batch=st.integers(1, 64),
    sequence=st.sampled_from([128, 1024, 4096]),
    accumulation=st.booleans(),
    checkpointing=st.booleans(),
    flash=st.booleans(),
    gpus=st.sampled_from([1, 2, 8]),
    sharded=st.booleans(),
)
shapes = st.sampled_from([SMALL, *NAMED.values()])


@pytest.mark.parametrize("name", NAMED)
def test_a_shape_has_as_many_parameters_as_were_published(name: str) -> None:
    assert NAMED[name].parameters == PUBLISHED[name]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("7b", "llama-2-7b"),
        ("124M", "gpt2"),
        ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3.1-8b"),
        ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("google/vit-base-patch16-224", "vit-b"),
    ],
)
def test_a_model_is_known_by_its_size_and_by_its_name_on_the_hub(word: str, name: str) -> None:
    assert named(word).name == name


def test_an_unknown_model_is_quoted_with_the_nearest() -> None:
    with pytest.raises(UnknownShape, match=r"`gtp2` is not a model .*did you mean `gpt2`"):
        named("gtp2")


# ---------------------------------------------------------------- sizes


def test_adam_in_fp32_keeps_sixteen_bytes_a_parameter_and_four_more_while_it_steps() -> None:
    found = estimate(SMALL, Recipe(precision=Precision.FP32, sequence=1))
    assert found.moment is Moment.STEP
    states = found.weights + found.gradients + found.optimizer
    assert states == 16 * SMALL.parameters
    assert found.temporary - WORKSPACE == 4 * SMALL.parameters
    fused = estimate(SMALL, Recipe(precision=Precision.FP32, sequence=1, optimizer=Optimizer.FUSED))
    assert fused.weights + fused.gradients + fused.optimizer == 16 * SMALL.parameters
    assert fused.allocated <= found.allocated - 3 * SMALL.parameters


def test_a_layer_of_gpt2_under_autocast_leaves_thirty_six_bytes_a_feature() -> None:
    """Two fp32 streams, their two bf16 copies, queries, keys, values, attention, and twice the fourfold width."""
    one = estimate(replace(SMALL, vocab=1), Recipe(micro_batch=64, optimizer=Optimizer.SGD))
    two = estimate(replace(SMALL, vocab=1, layers=5), Recipe(micro_batch=64, optimizer=Optimizer.SGD))
    tokens, width = 64 * 1024, SMALL.width
    by_hand = tokens * (36 * width + 4 * SMALL.heads + 2 * 8) + 2 * SMALL.layer_linear
    assert two.activations - one.activations == by_hand


def test_scores_that_are_held_grow_with_the_square_of_the_sequence() -> None:
    short, long = (
        estimate(SMALL, Recipe(sequence=tokens, flash=False)).activations
        - estimate(SMALL, Recipe(sequence=tokens)).activations
        for tokens in (2048, 8192)
    )
    # The softmax in fp32 and again in bf16, instead of a float a row.
    assert short == SMALL.layers * SMALL.heads * 2048 * (2048 * 6 - 4)
    assert 15.9 < long / short < 16.1


def test_the_loss_holds_three_floats_a_token_and_word() -> None:
    found = estimate(replace(SMALL, vocab=100_000), Recipe(micro_batch=8))
    assert (found.moment, found.logits) == (Moment.LOSS, 8 * 1024 * 100_000 * 12)


def test_lora_trains_two_narrow_matrices_beside_each_and_keeps_the_rest_in_bf16() -> None:
    found = estimate(SEVEN, Recipe(method=Method.LORA, precision=Precision.BF16, rank=16))
    adapters = 32 * 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert found.trainable == adapters == 39_976_960  # as PEFT prints it for all linear layers
    assert found.weights == 2 * SEVEN.parameters + 4 * adapters
    assert found.optimizer == 8 * adapters


def test_four_bits_a_weight_and_what_is_not_of_them_in_fp32() -> None:
    found = estimate(SEVEN, Recipe(method=Method.QLORA, precision=Precision.BF16))
    assert 4.2 < found.weights / GIB < 4.5


def test_eight_bits_a_state_and_a_float_for_256_of_them() -> None:
    found = estimate(SMALL, Recipe(optimizer=Optimizer.ADAMW_8BIT))
    assert found.optimizer == round(SMALL.parameters * 2 * (1 + 4 / 256))


def test_a_master_copy_is_fp32_beside_bf16_weights() -> None:
    found = estimate(SMALL, Recipe(precision=Precision.MASTER))
    assert (found.weights, found.master) == (2 * SMALL.parameters, 4 * SMALL.parameters)
    assert found.optimizer == 8 * SMALL.parameters


def test_fsdp_divides_what_stays_and_ddp_keeps_a_second_copy_of_the_gradients() -> None:
    alone = estimate(SEVEN, Recipe())
    spread = estimate(SEVEN, Recipe(gpus=8, sharded=True))
    beside = estimate(SEVEN, Recipe(gpus=8))
    assert spread.weights + spread.optimizer == (alone.weights + alone.optimizer) // 8
    assert beside.gradients == 2 * alone.gradients


def test_checkpointing_leaves_the_stream_of_each_layer_and_makes_one_layer_again() -> None:
    recipe = Recipe(method=Method.LORA, precision=Precision.BF16, micro_batch=4, sequence=4096)
    kept = estimate(SEVEN, recipe).activations
    less = estimate(SEVEN, replace(recipe, checkpointing=True)).activations
    streams = SEVEN.layers * 4 * 4096 * SEVEN.width * 2
    assert streams < less < streams + kept / SEVEN.layers + streams / SEVEN.layers * 3


@given(shape=shapes, recipe=recipes)
def test_nothing_is_negative_and_the_parts_are_the_whole(shape, recipe) -> None:  # type: ignore[no-untyped-def]
    found = estimate(shape, recipe)
    assert min(found.parts.values()) >= 0
    assert sum(found.parts.values()) == found.total == found.allocated + found.context + found.slack
    assert found.allocated > found.weights


@given(shape=shapes, recipe=recipes)
def test_more_at_once_never_needs_less(shape, recipe) -> None:  # type: ignore[no-untyped-def]
    base = estimate(shape, recipe).total
    assert estimate(shape, replace(recipe, micro_batch=recipe.micro_batch + 1)).total >= base
    assert estimate(shape, replace(recipe, sequence=recipe.sequence * 2)).total >= base
    assert estimate(replace(shape, layers=shape.layers + 1), recipe).total >= base
    assert estimate(shape, replace(recipe, accumulation=True)).total >= base


# ---------------------------------------------------------------- what helps


def test_the_ladder_begins_with_what_changes_nothing_but_time_and_ends_where_it_fits() -> None:
    steps = ladder(SEVEN, Recipe(method=Method.LORA, precision=Precision.BF16, sequence=2048, micro_batch=4), 22 * GIB)
    assert [one.change for one in steps] == [Change.MICRO_BATCH, Change.CHECKPOINTING]
    assert steps[0].recipe.micro_batch == 1
    assert steps[0].recipe.accumulation
    assert steps[-1].estimate.total <= 22 * GIB < steps[-2].estimate.total


def test_the_micro_batch_is_halved_no_further_than_it_has_to_be() -> None:
    recipe = Recipe(micro_batch=64, optimizer=Optimizer.FUSED)
    (step,) = ladder(named("gpt2"), recipe, 22 * GIB)
    assert step.recipe.micro_batch == 16
    assert estimate(named("gpt2"), replace(recipe, micro_batch=32, accumulation=True)).total > 22 * GIB


@given(shape=shapes, recipe=recipes, room=st.integers(1, 100))
def test_each_step_of_a_ladder_takes_something_off(shape, recipe, room: int) -> None:  # type: ignore[no-untyped-def]
    needed = [estimate(shape, recipe).total, *(one.estimate.total for one in ladder(shape, recipe, room * GIB))]
    assert needed == sorted(needed, reverse=True)
    assert len(set(needed)) == len(needed)
    assert all(size > room * GIB for size in needed[:-1])


def test_fsdp_is_offered_over_the_fewest_gpus_that_do() -> None:
    found = sharded(SEVEN, Recipe(sequence=2048), 79 * GIB)
    assert found is not None
    assert found.recipe.gpus == 2
    assert sharded(SEVEN, Recipe(sequence=2048, gpus=8), 79 * GIB).recipe.gpus == 8  # type: ignore[union-attr]
    assert sharded(named("70b"), Recipe(), 14 * GIB) is None


def test_the_largest_micro_batch_is_found_by_doubling() -> None:
    recipe = Recipe(optimizer=Optimizer.FUSED, micro_batch=2)
    assert largest_batch(named("gpt2"), recipe, 22 * GIB) == 16
    assert largest_batch(named("70b"), recipe, 22 * GIB) == 0


def test_llama_and_gpt2_differ_where_their_layers_do() -> None:
    wide = llama("wide", layers=2, width=256, heads=4, kv_heads=2, ffn=512, vocab=100, context=128)
    assert wide.keys == wide.queries // 2
    assert len(wide.matrices) == 7
