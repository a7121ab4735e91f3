"""Whether what was paid for is there, by the names that drivers give."""

from __future__ import annotations

import pytest

from trainer.gpu import Gpu, Inventory, is_called, missing, parse_smi
from trainer.wire import GpuNeed


@pytest.mark.parametrize(
    ("name", "device", "same"),
    [
        ("a100", "NVIDIA A100-SXM4-80GB", True),
        ("a100", "NVIDIA A100 80GB PCIe", True),
        ("a10", "NVIDIA A100-SXM4-80GB", False),
        ("a10", "NVIDIA A10", True),
        ("a10", "NVIDIA A10G", False),
        ("a10g", "NVIDIA A10G", True),
        ("h100", "NVIDIA H100 80GB HBM3", True),
        ("h100", "NVIDIA H200", False),
        ("l4", "NVIDIA L4", True),
        ("l4", "NVIDIA L40S", False),
        ("l40", "NVIDIA L40S", False),
        ("l40s", "NVIDIA L40S", True),
        ("t4", "Tesla T4", True),
        ("v100", "Tesla V100-SXM2-16GB", True),
        ("rtx4090", "NVIDIA GeForce RTX 4090", True),
        ("rtx-4090", "NVIDIA GeForce RTX 4090", True),
        ("rtx4090", "NVIDIA GeForce RTX 4090 D", True),
        ("a6000", "NVIDIA RTX A6000", True),
        ("rtxa6000", "NVIDIA RTX A6000", True),
        ("rtx6000ada", "NVIDIA RTX 6000 Ada Generation", True),
        ("gh200", "NVIDIA GH200 480GB", True),
    ],
)
def test_a_catalogue_name_is_found_in_what_the_driver_says(name: str, device: str, same: bool) -> None:
    assert is_called(name, device) is same


def need(name: str = "a100", count: int = 1, memory_gb: int | None = 80) -> GpuNeed:
    return GpuNeed(name=name, count=count, memory_gb=memory_gb, required=True)


def seen(*gpus: tuple[str, int]) -> Inventory:
    return Inventory(gpus=[Gpu(name=name, memory_mib=mib) for name, mib in gpus], driver="550.54.15", cuda="12.4")


A100 = ("NVIDIA A100-SXM4-80GB", 81920)
A100_40 = ("NVIDIA A100-SXM4-40GB", 40960)


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (need(), seen(A100)),
        (need(count=2), seen(A100, A100)),
        (need(), seen(A100, A100)),
        (need(memory_gb=None), seen(A100_40)),
        (need("l4", memory_gb=24), seen(("NVIDIA L4", 23034))),
        (need("t4", memory_gb=16), seen(("Tesla T4", 15360))),
        (need("h200", memory_gb=141), seen(("NVIDIA H200", 143771))),
        (need("cpu", count=0, memory_gb=None), None),
    ],
)
def test_what_is_there_is_enough(wanted: GpuNeed, there: Inventory | None) -> None:
    assert missing(wanted, there) is None


@pytest.mark.parametrize(
    ("wanted", "there", "said"),
    [
        (need(), None, "1 × a100 with 80 GB was asked for; the driver shows no GPU here."),
        (need(), seen(), "1 × a100 with 80 GB was asked for; the driver shows no GPU here."),
        (
            need(),
            seen(A100_40),
            "1 × a100 with 80 GB was asked for; the driver shows NVIDIA A100-SXM4-40GB (40 GB).",
        ),
        (
            need(count=2, memory_gb=None),
            seen(A100, ("Tesla T4", 15360)),
            "2 × a100 was asked for; the driver shows NVIDIA A100-SXM4-80GB (80 GB), Tesla T4 (15 GB).",
        ),
    ],
)
def test_what_is_missing_is_said_beside_what_is_there(wanted: GpuNeed, there: Inventory | None, said: str) -> None:
    assert missing(wanted, there) == said


def test_the_answer_of_nvidia_smi_is_an_inventory() -> None:
    answer = "NVIDIA A100-SXM4-80GB, 81920, 550.54.15\nNVIDIA A100-SXM4-80GB, 81920, 550.54.15\n"
    inventory = parse_smi(answer)
    assert inventory is not None
    assert inventory.data() == {
        "name": "NVIDIA A100-SXM4-80GB",
        "count": 2,
        "memory_gb": 80.0,
        "driver": "550.54.15",
        "torch": "",
        "cuda": "",
    }
    assert parse_smi("No devices were found\n") is None
    assert parse_smi("") is None
