"""Is the GPU that is paid for there? Looked at before anything is fetched; torch's own view comes when it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from trainer import gpu
from trainer.events import Reporter
from trainer.fetch import CannotStart
from trainer.wire import AgentOrder, EventKind, Reason


def inspect(order: AgentOrder, reporter: Reporter, env: Callable[[], Mapping[str, str]]) -> None:
    """Tell what GPU there is; raises `CannotStart` where it is not what the order needs.

    `env` makes the environment in which the team's Python is asked about its torch, from a thread of its own.
    """
    inventory = gpu.look() if order.gpu.name != "cpu" else None
    problem = gpu.missing(order.gpu, inventory)
    if inventory is not None:
        reporter.tell(EventKind.GPU, inventory.data())
    if problem and order.gpu.required:
        raise CannotStart(Reason.NO_GPU, problem)
    if order.gpu.name != "cpu":
        asked = (inventory, order, reporter, env)
        threading.Thread(target=_ask_torch, args=asked, name="torch", daemon=True).start()


def _ask_torch(
    inventory: gpu.Inventory | None, order: AgentOrder, reporter: Reporter, env: Callable[[], Mapping[str, str]]
) -> None:
    view = gpu.torch_view(env(), full=order.gpu.required)
    if not view:
        return
    seen = inventory or gpu.Inventory(gpus=(), driver="")
    cuda = view.get("cuda")
    reporter.tell(
        EventKind.GPU, seen.data(torch=str(view.get("torch", "")), cuda=cuda if isinstance(cuda, str) else None)
    )
    if order.gpu.required and view.get("available") is False:
        text = f"torch {view.get('torch')} does not see the GPU that the driver {seen.driver} shows."
        reporter.notice("torch_no_cuda", text)
