"""Will it fit? The memory of one training step on one GPU, part by part, before anything is rented. Pure.

A step is highest at one of four moments, and its peak is the largest of them:

    LOSS      every layer's saved tensors, and the loss over the whole vocabulary at once
    HEAD      the backward pass is at the last layer: nothing is freed yet, the head's gradient is there
    EMBEDDING the backward pass is at the first layer: nearly all is freed, all gradients are there
    STEP      the optimizer works: nothing is saved, all gradients and the optimizer's own temporaries are there

What each layer saves is counted tensor by tensor, as PyTorch's autograd keeps it when the model runs eagerly
(`torch.compile` needs less). The counting follows Korthikanti et al., "Reducing Activation Recomputation in Large
Transformer Models" (2022), section 4, with what has changed since: attention that never holds its scores (Dao et
al., 2022), gated feed-forward halves, RMSNorm, shared keys, no dropout. States by parameter: Rajbhandari et al.,
"ZeRO" (2020), section 3. LoRA: Hu et al. (2021); QLoRA's bits: Dettmers et al. (2023), section 3.

`tests/bench/memory_gpu.py` holds it against `torch.cuda.max_memory_allocated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trainer.architectures import Architecture, Norm

GIB: Final = 2**30
WORKSPACE: Final = 32 << 20  # that cuBLAS takes of the allocator on Hopper; a quarter of it elsewhere
CONTEXT: Final = 512 << 20  # of CUDA's own, outside of the allocator: 0.4 to 0.6 GiB on the GPUs here
NCCL: Final = 512 << 20  # its buffers, outside of the allocator, where several GPUs talk
SLACK: Final = 0.04  # of what the allocator gives out, lost between blocks
NF4_BYTES: Final = 0.5 + 1 / 64 + 4 / (64 * 256)  # 4 bits, a byte a block of 64, a float for 256 of those


class Method(StrEnum):
    """What is trained."""

    FULL = "full"
    LORA = "lora"  # adapters in fp32 beside every matrix of the layers, as PEFT makes them
    QLORA = "qlora"  # the same over matrices of 4 bits


class Precision(StrEnum):
    """What the weights are kept in, and what is computed in."""

    FP32 = "fp32"
    AMP = "amp"  # weights in fp32, computed in bf16 by autocast
    BF16 = "bf16"  # everything in bf16, the optimizer's states too
    MASTER = "master"  # weights and gradients in bf16, a copy in fp32 that the optimizer steps


class Optimizer(StrEnum):
    """Who steps."""

    ADAMW = "adamw"  # torch's default: one launch over all parameters, with a temporary as large as a state
    FUSED = "adamw-fused"
    ADAMW_8BIT = "adamw-8bit"  # bitsandbytes: a byte a state, a float for 256 of them
    SGD = "sgd"
    MOMENTUM = "sgd-momentum"


class Moment(StrEnum):
    """When memory is highest."""

    LOSS = "loss"
    HEAD = "head"
    EMBEDDING = "embedding"
    STEP = "step"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How it is trained."""

    method: Method = Method.FULL
    precision: Precision = Precision.AMP
    optimizer: Optimizer = Optimizer.ADAMW
    micro_batch: int = 1  # sequences, or images, a GPU takes at once
    sequence: int = 1024  # tokens; ignored for images
    accumulation: bool = False  # gradients of earlier micro-batches stay during the next
    checkpointing: bool = False  # each layer is computed again in the backward pass
    flash: bool = True  # attention that never holds its scores
    rank: int = 16  # of LoRA's adapters
    gpus: int = 1
    sharded: bool = False  # FSDP over the GPUs; otherwise each has everything, as DDP


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes on one GPU at the highest moment, by part."""

    moment: Moment
    weights: int
    master: int
    optimizer: int
    gradients: int
    activations: int
    logits: int  # the loss over the vocabulary
    temporary: int  # what an operation needs while it works
    context: int  # CUDA's own, outside of the allocator
    slack: int  # between the allocator's blocks
    trainable: int  # parameters, not bytes

    @property
    def allocated(self) -> int:
        """What `torch.cuda.max_memory_allocated` is expected to say."""
        return sum(self.parts.values()) - self.context - self.slack

    @property
    def total(self) -> int:
        """What the GPU has to have."""
        return sum(self.parts.values())

    @property
    def parts(self) -> Mapping[str, int]:
        """Every part by its name, in the order in which people think of them."""
        return MappingProxyType(
            {
                "weights": self.weights,
                "master copy": self.master,
                "optimizer": self.optimizer,
                "gradients": self.gradients,
                "activations": self.activations,
                "loss": self.logits,
                "temporary": self.temporary,
                "CUDA": self.context,
                "slack": self.slack,
            }
        )


def estimate(shape: Architecture, recipe: Recipe) -> Estimate:
    """Return what one step of `recipe` needs on one GPU, at its highest moment.

    Not covered: dropout's masks (a byte an element), optimizers that keep a copy for an average, data that waits on
    the GPU. A sequence longer than the shape's context is taken as it is.
    """
    model = _Model(shape, recipe)
    best = max(model.moments(), key=lambda parts: sum(parts[1].values()))
    moment, parts = best
    allocated = sum(parts.values())
    return Estimate(
        moment=moment,
        weights=parts["weights"],
        master=parts["master"],
        optimizer=parts["optimizer"],
        gradients=parts["gradients"],
        activations=parts["activations"],
        logits=parts["logits"],
        temporary=parts["temporary"],
        context=CONTEXT + (NCCL if recipe.gpus > 1 else 0),
        slack=round(SLACK * allocated),
        trainable=model.trainable,
    )


class _Model:
    """The sizes behind an estimate; all methods return bytes unless they say otherwise."""

    def __init__(self, shape: Architecture, recipe: Recipe) -> None:
        self.shape = shape
        self.recipe = recipe
        self.adapted = recipe.method is not Method.FULL
        self.shards = recipe.gpus if recipe.sharded else 1
        # FSDP casts weights itself, so that nothing is computed or kept in between in fp32.
        self.autocast = recipe.precision is Precision.AMP and not recipe.sharded
        packed = recipe.method is Method.QLORA
        self.stored = 4 if recipe.precision in (Precision.FP32, Precision.AMP) else 2  # bytes of a weight
        self.computed = 4 if recipe.precision is Precision.FP32 else 2  # bytes of a matrix product
        # Between the layers. A product with a matrix of 4 bits comes back in the width of what went in (bitsandbytes,
        # `Linear4bit`), and the embedding beside such matrices is fp32, so that all between products is.
        self.stream = 4 if recipe.precision is Precision.FP32 or self.autocast or packed else 2
        self.inner = 4 if packed else self.computed  # of what a product made
        self.places = shape.context if shape.patch else recipe.sequence  # tokens of one sequence
        self.tokens = recipe.micro_batch * self.places
        self.scored = recipe.micro_batch if shape.patch else self.tokens  # vectors that reach the head
        adapters = shape.layers * sum(recipe.rank * (inputs + outputs) for inputs, outputs in shape.matrices)
        self.trainable = adapters if self.adapted else shape.parameters
        self.kept = 4 if self.adapted else self.stored  # bytes of a trained weight

    def moments(self) -> list[tuple[Moment, dict[str, int]]]:
        """Return the parts at each moment."""
        shape, recipe = self.shape, self.recipe
        saved, gradients = self.all_saved(), self._sharded(self.trainable * self.kept)
        buckets = gradients if recipe.gpus > 1 and not recipe.sharded else 0  # DDP keeps a second copy
        during = gradients if recipe.accumulation else 0
        head = 0 if self.adapted else self._sharded(self._head_parameters() * self.kept)
        casts, head_cast = self._casts(), self._head_parameters() * 2 if self.autocast else 0
        layer, work = self.saved(), self.work()
        # The first norm reads the very tensor that the checkpoint kept, where it need not be made wider.
        shared = self.tokens * shape.width * self.stream if self.stream == 4 or shape.norm is Norm.LAYER else 0
        remade = layer - shared + self._layer_casts() if recipe.checkpointing else 0
        embedding = 0 if self.adapted else self._sharded(shape.embedding * self.kept)
        left = (0 if recipe.checkpointing else self._layer_casts()) + layer
        at = {
            Moment.LOSS: (during + buckets, saved, casts + head_cast, self._loss(), 0),
            Moment.HEAD: (max(during, head) + buckets, saved + remade, casts + head_cast, 0, work),
            Moment.EMBEDDING: (gradients + buckets, left, 0, 0, max(work, embedding)),
            Moment.STEP: (gradients + buckets, 0, 0, 0, self._stepping()),
        }
        fixed = {"weights": self.weights(), "master": self._master(), "optimizer": self._states()}
        return [
            (
                moment,
                fixed
                | {
                    "gradients": there,
                    "activations": kept + cast,
                    "logits": loss,
                    "temporary": busy + self._gathered(moment) + WORKSPACE,
                },
            )
            for moment, (there, kept, cast, loss, busy) in at.items()
        ]

    def weights(self) -> int:
        """All weights, this GPU's share of them."""
        shape = self.shape
        if self.recipe.method is Method.QLORA:
            linear = shape.layers * shape.layer_linear
            # What is not of 4 bits is made fp32 before training (PEFT, `prepare_model_for_kbit_training`).
            return self._sharded(round(linear * NF4_BYTES) + (shape.parameters - linear) * 4 + self.trainable * 4)
        return self._sharded(shape.parameters * self.stored + (self.trainable * 4 if self.adapted else 0))

    def all_saved(self) -> int:
        """What the forward pass leaves for the backward pass: of all layers, and around them."""
        shape, recipe = self.shape, self.recipe
        each = self.tokens * shape.width * self.stream if recipe.checkpointing else self.saved()
        last = round(self.tokens * shape.width * self._norm_kept()) + self.scored * shape.width * self.computed
        return shape.layers * each + last + self.tokens * 8  # ids and targets

    def saved(self) -> int:
        """What one layer leaves for its backward pass, counted a tensor at a time."""
        return round(self.tokens * (self._normed() + self._attended() + self._fed_forward()))

    def work(self) -> int:
        """What one layer's backward pass holds at most beyond what was saved.

        The feed-forward half comes first; what it had saved is gone before attention begins.
        """
        shape, width = self.shape, self.computed
        fed = (2 if shape.gated else 1) * shape.ffn * self.inner
        attended: float = (2 * shape.queries + 4 * shape.keys + shape.width) * width
        if not self.recipe.flash:
            scores = shape.heads * self.places * (4 + width)
            attended = max(attended, (shape.queries + shape.keys) * width + scores)
        attended -= self._fed_forward() + self._normed() / 2
        unpacked = 0
        if self.recipe.method is Method.QLORA:
            unpacked = max(inputs * outputs for inputs, outputs in shape.matrices) * 2
        return round(self.tokens * (shape.width * self.stream + max(fed, attended))) + unpacked

    def _norm_kept(self) -> float:
        """What a norm keeps for its own backward pass, a feature."""
        if self.shape.norm is Norm.LAYER:
            return self.stream + 8 / self.shape.width
        # As Hugging Face writes it: the stream in fp32, and what the norm's own weight is multiplied with.
        return 4 + 4 / self.shape.width + (0 if self.adapted else self.stream)

    def _normed(self) -> float:
        """Both norms' inputs and what the matrices read of their outputs, a token."""
        readers = (1 if self.shape.fused_qkv else 3, 2 if self.shape.gated else 1)
        # Where the stream is wider than a product, each reader makes its own narrow copy; else they share one.
        copies = sum(readers) if self.stream > self.computed else 2
        return self.shape.width * (2 * self._norm_kept() + copies * self.computed)

    def _attended(self) -> float:
        """Queries, keys, values, what attention made of them, a token."""
        shape, recipe = self.shape, self.recipe
        made = (2 * shape.queries + 2 * shape.keys) * self.computed
        if recipe.flash:
            return made + 4 * shape.heads  # the logarithm of each row's sum
        repeated = (shape.queries - shape.keys) * 2 * self.computed
        scores = 4 + (self.computed if self.computed < 4 else 0)  # the softmax is fp32, its product is not
        return made + repeated + shape.heads * self.places * scores

    def _fed_forward(self) -> float:
        """The inner width before and after its function, a token."""
        return self.shape.ffn * (self.inner * (3 if self.shape.gated else 1) + self.computed)

    def _loss(self) -> int:
        """The loss at its highest: the logarithms of all probabilities and two gradients of them, in fp32."""
        return self.scored * self.shape.vocab * 12

    def _casts(self) -> int:
        """Copies of all layers' matrices that autocast keeps until they have been used again."""
        return 0 if self.recipe.checkpointing else self.shape.layers * self._layer_casts()

    def _layer_casts(self) -> int:
        return self.shape.layer_linear * 2 if self.autocast else 0

    def _head_parameters(self) -> int:
        return self.shape.vocab * self.shape.width

    def _master(self) -> int:
        return self._sharded(self.trainable * 4) if self._has_master else 0

    @property
    def _has_master(self) -> bool:
        return self.recipe.precision is Precision.MASTER and not self.adapted

    def _states(self) -> int:
        width = 4 if self._has_master else self.kept
        each = {
            Optimizer.ADAMW: 2.0 * width,
            Optimizer.FUSED: 2.0 * width,
            Optimizer.ADAMW_8BIT: 2 * (1 + 4 / 256),
            Optimizer.SGD: 0.0,
            Optimizer.MOMENTUM: 1.0 * width,
        }[self.recipe.optimizer]
        return self._sharded(round(self.trainable * each))

    def _stepping(self) -> int:
        """The optimizer's temporaries: torch's default AdamW takes a root of a whole state at once."""
        width = 4 if self._has_master else self.kept
        master = self._sharded(self.trainable * 4) if self._has_master else 0  # the gradients in fp32
        return master + (self._sharded(self.trainable * width) if self.recipe.optimizer is Optimizer.ADAMW else 0)

    def _gathered(self, moment: Moment) -> int:
        """FSDP's whole layers: one at work, the next on its way, the head and the embedding; a layer's gradients."""
        if self.shards == 1 or moment is Moment.STEP:
            return 0
        ends = (self.shape.embedding + self.shape.head) * self.computed
        return ends + 3 * self.shape.layer_parameters * self.computed

    def _sharded(self, size: float) -> int:
        return -(-round(size) // self.shards)
