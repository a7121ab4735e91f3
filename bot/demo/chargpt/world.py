"""The processes of a run and the GPU under each: who talks to whom, over what, and what the chip can do."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel

# Dense bf16 TFLOP/s of a GPU whose name contains this, from NVIDIA's data sheets (fp16 on V100 and T4).
PEAKS = {"B200": 2250, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "L40S": 362}
PEAKS |= {"L40": 181, "L4": 121, "A10G": 70, "A10": 125, "A6000": 155, "4090": 165, "3090": 71, "V100": 125, "T4": 65}


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run, one for each GPU, as torchrun numbers them; without it there is one."""

    rank: int = 0
    size: int = 1
    device: torch.device

    @classmethod
    def join(cls) -> World:
        """Take this process's place: NCCL between GPUs, gloo between hosts and where there is no GPU."""
        rank, size, local = (int(os.environ.get(*pair)) for pair in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
            torch.set_float32_matmul_precision("high")  # TF32 for what stays in float32
        if size > 1:
            # Ten minutes: one rank may compile for several while the others wait; what takes longer has died.
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(minutes=10))
        return cls(rank=rank, size=size, device=torch.device("cuda", local) if cuda else torch.device("cpu"))

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether some rank raises it; the hosts talk, and no GPU waits."""
        votes = torch.tensor(flags, dtype=torch.int32)
        if self.size > 1:
            dist.all_reduce(votes, dist.ReduceOp.MAX)
        return [bool(vote) for vote in votes.tolist()]

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of all ranks' values, added up where they lie."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    @property
    def name(self) -> str:
        """What the device is called."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"

    def peak_flops(self) -> float:
        """Return the FLOP/s that the data sheet promises for dense bf16; 0.0 where none is known."""
        return next((1e12 * peak for part, peak in PEAKS.items() if part in self.name), 0.0)

    def attention(self) -> AbstractContextManager[None]:
        """Prefer cuDNN's attention from Hopper on: it is written for that chip, and the others are not."""
        if self.device.type != "cuda" or torch.cuda.get_device_capability(self.device) < (9, 0):
            return nullcontext()
        first = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]
        return sdpa_kernel([*first, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH], set_priority=True)
