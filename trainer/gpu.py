"""Is the GPU that was paid for there? NVML is asked first, `nvidia-smi` else, torch beside the run.

Asking the driver takes milliseconds and needs nothing of the image; importing torch takes seconds, so its view
is told later and never decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.spinning import Load
from trainer.wire import GpuNeed

_MIB = 1024 * 1024
_PATIENCE = 20.0  # seconds; a driver that hangs is a GPU that is not there
_TORCH_PATIENCE = 180.0  # a cold import from a network disk
_ROUNDING = 0.9  # a "24 GB" card tells 22.5 GiB
_NAME_BYTES = 96  # NVML's own size for names and versions

_TORCH_VERSION = "from importlib.metadata import version; print('{\"torch\": \"' + version('torch') + '\"}')"
_TORCH_VIEW = """
import json, torch
there = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda or "", "available": there,
    "count": torch.cuda.device_count() if there else 0,
}))
"""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device, as the driver names it."""

    name: str
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What the driver sees."""

    gpus: Sequence[Gpu]
    driver: str
    cuda: str = ""  # the newest CUDA that the driver can run, "12.8"

    def data(self, *, torch: str = "", cuda: str | None = None) -> dict[str, Any]:
        """Return the GPU event's data."""
        return {
            "name": self.gpus[0].name if self.gpus else "",
            "count": len(self.gpus),
            "memory_gb": round(self.gpus[0].memory_mib / 1024, 1) if self.gpus else 0.0,
            "driver": self.driver,
            "torch": torch,
            "cuda": self.cuda if cuda is None else cuda,
        }


def missing(need: GpuNeed, inventory: Inventory | None) -> str | None:
    """Return what of `need` is not there, as a sentence, or None when all of it is."""
    if need.name == "cpu":
        return None
    wanted = f"{need.count} × {need.name}" + (f" with {need.memory_gb} GB" if need.memory_gb else "")
    if inventory is None or not inventory.gpus:
        return f"{wanted} was asked for; the driver shows no GPU here."
    fitting = [
        gpu
        for gpu in inventory.gpus
        if is_called(need.name, gpu.name) and gpu.memory_mib >= (need.memory_gb or 0) * 1024 * _ROUNDING
    ]
    if len(fitting) >= need.count:
        return None
    seen = ", ".join(f"{gpu.name} ({gpu.memory_mib / 1024:.0f} GB)" for gpu in inventory.gpus)
    return f"{wanted} was asked for; the driver shows {seen}."


def is_called(name: str, device: str) -> bool:
    """Return whether the catalogue's `name` is what the driver calls `device`: "a100" is, "a10" is not."""
    wanted = "".join(_words(name))
    words = _words(device)
    return any(
        "".join(words[start:end]) == wanted for start in range(len(words)) for end in range(start + 1, len(words) + 1)
    )


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


def look() -> Inventory | None:
    """Return what the driver sees, or None where there is no driver or it does not answer in time."""
    return _in_time(_nvml) or _nvidia_smi()


def utilization() -> Sequence[int] | None:
    """Return how busy each GPU was of late, in percent; None where the driver does not say it of all of them."""
    found = _nvml_loads()
    if found is not None:
        return [load.busy for load in found]
    if shutil.which("nvidia-smi") is None:
        return None
    answer = _ask_smi("utilization.gpu")
    cells = [line.strip() for line in (answer or "").splitlines()]
    return [int(cell) for cell in cells] if cells and all(cell.isdecimal() for cell in cells) else None


def loads() -> Sequence[Load] | None:
    """Return what each GPU did of late; None where the driver does not say it of all of them."""
    found = _nvml_loads()
    if found is not None or shutil.which("nvidia-smi") is None:
        return found
    return parse_loads(_ask_smi("utilization.gpu,utilization.memory,power.draw,enforced.power.limit") or "")


def parse_loads(text: str) -> list[Load] | None:
    """Return the loads in `nvidia-smi`'s answer; None where it does not tell them of each GPU."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    if not rows or not all(len(row) == 4 and row[0].isdecimal() and row[1].isdecimal() for row in rows):
        return None
    return [Load(busy=int(row[0]), memory=int(row[1]), power=_share(*map(_watts, row[2:]))) for row in rows]


def _watts(cell: str) -> float:
    return float(cell) if re.fullmatch(r"\d+(?:\.\d+)?", cell) else 0.0


def _share(power: float, limit: float) -> float | None:
    return power / limit if power > 0 and limit > 0 else None


def _nvml_loads() -> list[Load] | None:
    with _driver() as (nvml, count):
        found = [_nvml_load(nvml, index) for index in range(count)]
        return [load for load in found if load] if found and all(found) else None


def _nvml_load(nvml: Any, index: int) -> Load | None:
    handle, rates = ctypes.c_void_p(), _Utilization()
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
        return None
    if nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) != 0:
        return None
    power, limit = ctypes.c_uint(0), ctypes.c_uint(0)  # milliwatts
    tells = nvml.nvmlDeviceGetPowerUsage(handle, ctypes.byref(power)) == 0
    tells = tells and nvml.nvmlDeviceGetEnforcedPowerLimit(handle, ctypes.byref(limit)) == 0
    return Load(busy=rates.gpu, memory=rates.memory, power=_share(power.value, limit.value) if tells else None)


def _in_time(question: Callable[[], Inventory | None]) -> Inventory | None:
    answers: list[Inventory | None] = []
    thread = threading.Thread(target=lambda: answers.append(question()), name="nvml", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answers[0] if answers else None


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@contextlib.contextmanager
def _driver() -> Iterator[tuple[Any, int]]:
    """Open the driver's own library, spoken to by the names of its C interface; with how many GPUs it shows."""
    nvml, count = None, ctypes.c_uint(0)
    with contextlib.suppress(OSError):  # there is no driver here
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    if nvml is None or nvml.nvmlInit_v2() != 0:
        yield None, 0
        return
    try:
        there = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
        yield nvml, count.value if there else 0
    finally:
        nvml.nvmlShutdown()


def _nvml() -> Inventory | None:
    with _driver() as (nvml, count):
        gpus = [gpu for index in range(count) if (gpu := _nvml_device(nvml, index))]
        if nvml is None or not gpus:
            return None
        version = ctypes.c_int(0)
        cuda = ""
        if nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version)) == 0:
            cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return Inventory(gpus=gpus, driver=_nvml_text(nvml.nvmlSystemGetDriverVersion), cuda=cuda)


def _nvml_device(nvml: ctypes.CDLL, index: int) -> Gpu | None:
    handle = ctypes.c_void_p()
    memory = _Memory()
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
        return None
    if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
        return None
    name = _nvml_text(lambda text, size: nvml.nvmlDeviceGetName(handle, text, size))
    return Gpu(name=name, memory_mib=memory.total // _MIB)


def _nvml_text(ask: Callable[[Any, Any], int]) -> str:
    text = ctypes.create_string_buffer(_NAME_BYTES)
    return text.value.decode(errors="replace") if ask(text, ctypes.c_uint(_NAME_BYTES)) == 0 else ""


def _nvidia_smi() -> Inventory | None:
    if shutil.which("nvidia-smi") is None:
        return None
    answer = _ask_smi("name,memory.total,driver_version")
    return None if answer is None else parse_smi(answer)


def _ask_smi(fields: str) -> str | None:
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None


def parse_smi(text: str) -> Inventory | None:
    """Return the inventory in `nvidia-smi`'s answer, or None when it tells of no GPU."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    whole = [row for row in rows if len(row) == 3 and row[1].isdecimal()]
    if not whole:
        return None
    return Inventory(gpus=tuple(Gpu(name=row[0], memory_mib=int(row[1])) for row in whole), driver=whole[0][2])


def torch_view(env: Mapping[str, str], *, full: bool) -> Mapping[str, Any]:
    """Return what the image's torch says of itself; empty when there is none or it does not answer.

    `full` imports it and asks for CUDA; else only its version is read, which costs nothing worth counting.
    """
    path = env.get("PATH")
    python = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if python is None:
        return {}
    script = _TORCH_VIEW if full else _TORCH_VERSION
    try:
        answer = subprocess.run(
            [python, "-c", script],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=_TORCH_PATIENCE,
            check=False,
        )
        view = json.loads(answer.stdout.strip().rpartition("\n")[2])
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return view if isinstance(view, dict) else {}
