"""An image that needs a newer driver than the engine's machine has: refused before money is held, or told as it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from docker.errors import APIError

from bot.pinner import Pinner
from jobs.errors import BadImage, Rejected
from jobs.images import ImageResolver
from jobs.providers.docker import Docker, Gpus
from jobs.providers.docker_errors import translated
from tests.support.builders import a_need, a_spec
from tests.support.clock import FakeClock

NEW = "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"
# What the container runtime says, in the words of libnvidia-container.
SAID = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: error during container init: error running prestart hook #0: exit status 1, "
    "stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: requirement error: unsatisfied condition: "
    "cuda>=13.0, please update your driver to a newer version, or use an earlier cuda container: unknown"
)


def an_engine(cuda: str | None) -> Docker:
    def never() -> Any:
        raise AssertionError("What an engine offers is declared, not asked.")

    gpus = [Gpus(name="a100", memory_gb=80, count=1)]
    return Docker(home="h", clock=FakeClock(), archive=Path("t.pyz"), connect=never, gpus=gpus, cuda=cuda)


@pytest.mark.parametrize(
    ("cuda", "image", "refused"),
    [("12.8", NEW, True), ("13.0", NEW, False), (None, NEW, False), ("12.8", "sha256:" + "a" * 64, False)],
    ids=["older", "as-new", "not-declared", "an-id"],
)
def test_a_tag_that_asks_for_more_than_the_declared_driver_runs_is_refused(
    cuda: str | None, image: str, refused: bool
) -> None:
    (offer,) = an_engine(cuda).offers(a_need())
    engine = SimpleNamespace(traits=Docker.traits, pin=lambda image: "sha256:1")
    with httpx.Client() as client:
        pin = Pinner(providers=cast(Any, {"docker": engine}), images=ImageResolver(client), secrets={})
        if not refused:
            assert pin(a_spec(image=image), offer) == "sha256:1"
            return
        with pytest.raises(BadImage, match=r"needs CUDA 13\.0, and the driver of .* at docker runs CUDA 12\.8 at most"):
            pin(a_spec(image=image), offer)


def test_what_the_engines_runtime_says_of_its_driver_is_not_taken_for_a_missing_toolkit() -> None:
    with pytest.raises(Rejected, match=r"needs a newer driver .*\(cuda>=13\.0\)") as caught, translated("starting x"):
        raise APIError("500 Server Error", explanation=SAID)
    assert "toolkit" not in str(caught.value)
