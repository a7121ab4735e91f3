"""The processes of a run, the GPU under each, and how a model and its state lie on them: whole, or in pieces."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

# Dense bf16 TFLOP/s of a GPU whose name contains this, from NVIDIA's data sheets (fp16 on V100 and T4).
PEAKS = {"B200": 2250, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "L40S": 362}
PEAKS |= {"L40": 181, "L4": 121, "A10G": 70, "A10": 125, "A6000": 155, "4090": 165, "3090": 71, "V100": 125, "T4": 65}


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run, one for each GPU, as torchrun numbers them; without it there is one."""

    rank: int = 0
    size: int = 1
    device: torch.device
    name: str = "CPU"  # what the device is called

    @classmethod
    def join(cls) -> "World":
        """Take this process's place: NCCL between GPUs, gloo between hosts and where there is no GPU."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        cuda = torch.cuda.is_available()
        if size > 1:
            # Ten minutes: one rank may compile for several while the others wait; what takes longer has died.
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(minutes=10))
        if not cuda:
            return cls(rank=rank, size=size, device=torch.device("cpu"))
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32 for what stays in float32
        return cls(rank=rank, size=size, device=device, name=torch.cuda.get_device_name(device))

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether some rank raises it; the hosts talk, and no GPU waits."""
        return [votes > 0 for votes in self.sum(torch.tensor(flags, dtype=torch.int32)).tolist()]

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of all ranks' values, added up where they lie."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, in the order of the ranks."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor as it is, or in host memory where ranks hold pieces of it; all ranks call this."""
        home = "cpu" if self.rank == 0 else self.device  # rank 0's host needs room for all of it
        return tensor.full_tensor().to(home) if isinstance(tensor, DTensor) else tensor

    def take(self, mine: dict[str, torch.Tensor], first: dict[str, torch.Tensor] | None) -> None:
        """Make tensors, or this rank's pieces of them, what rank 0 brings (the others: None); all ranks call this."""
        for name, tensor in mine.items():
            full = first[name].contiguous() if first else torch.empty(tensor.shape)
            full = full.to(tensor.device, tensor.dtype)
            if isinstance(tensor, DTensor):
                full = distribute_tensor(full, tensor.device_mesh, tensor.placements)
            elif self.size > 1:
                dist.broadcast(full, 0)
            tensor.copy_(full)

    def spread(self, model: nn.Module, parallel: str, low: torch.dtype | None, compile_mode: str) -> nn.Module:
        """Return a model as the ranks share it, with rank 0's weights; its own parameters keep their names."""
        if self.device.type == "cuda" and compile_mode:
            model.compile(dynamic=False, mode=compile_mode)  # a halved micro-batch anew, and as fast as the first
        if self.size > 1 and parallel == "fsdp":
            self.take(model.state_dict(), model.state_dict())  # as DDP does by itself
            policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32 if low else None)
            lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
            for block in [*(block for blocks in lists for block in blocks), model]:
                fully_shard(block, mp_policy=policy)
        elif self.size > 1:
            model = DistributedDataParallel(model, gradient_as_bucket_view=True)
            model.broadcast_buffers = False  # a forward pass that talks could not fail on one rank alone
        return model
