"""A provider that is named and cannot be had stops the start; one that is not named is never there."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.clock import SystemClock
from jobs.errors import Misconfigured
from jobs.providers.registry import Parts, connect
from jobs.settings import load
from tests.support.builders import a_need, an_offer


def parts(tmp_path: Path, **environment: str) -> Parts:
    """Return what the composition root would hand over under this environment."""
    return Parts(
        settings=load({"HOURGLASS_STATE": str(tmp_path), **environment}),
        home="6f1f7d5c-0000-4000-8000-000000000001",
        clock=SystemClock(),
        archive=tmp_path / "trainer.pyz",
        practice_price=lambda need: an_offer(provider="practice"),
        catalogue=lambda name: (),
    )


def test_no_name_is_no_provider_and_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"HOURGLASS_PROVIDERS.*docker.*practice"):
        connect(parts(tmp_path))


def test_a_misspelt_name_is_quoted_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"'dokcer'.*did you mean 'docker'"):
        connect(parts(tmp_path, HOURGLASS_PROVIDERS="practice,dokcer"))


def test_the_named_ones_come_in_the_order_of_preference_and_practice_only_by_name(tmp_path: Path) -> None:
    assert list(connect(parts(tmp_path, HOURGLASS_PROVIDERS="docker,practice"))) == ["docker", "practice"]
    assert list(connect(parts(tmp_path, HOURGLASS_PROVIDERS="docker"))) == ["docker"]


def test_the_engines_gpus_and_rate_become_its_offers(tmp_path: Path) -> None:
    environment = {
        "HOURGLASS_PROVIDERS": "docker",
        "HOURGLASS_DOCKER_GPUS": "a100-80gb:2",
        "HOURGLASS_DOCKER_RATE": "0.50",
        "HOURGLASS_DOCKER_HOST": "tcp://127.0.0.1:1",  # nobody there: a price needs no engine, nor does the start
    }
    docker = connect(parts(tmp_path, **environment))["docker"]
    offer = docker.offers(a_need(gpu="a100", memory_gb=80, count=2))[0]
    assert (offer.micros_per_hour, offer.gpus, offer.memory_gb, offer.fixed_price) == (1_000_000, 2, 80, True)
    assert docker.offers(a_need(gpu="a100", count=3)) == []
    assert [one.micros_per_hour for one in docker.offers(a_need(gpu="cpu", count=0))] == [500_000]


@pytest.mark.parametrize(
    ("variable", "value"), [("HOURGLASS_DOCKER_GPUS", "z900:2"), ("HOURGLASS_DOCKER_RATE", "cheap")]
)
def test_a_setting_that_cannot_be_read_stops_the_start_and_is_quoted(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=f"'docker'.*{value.partition(':')[0]}"):
        connect(parts(tmp_path, HOURGLASS_PROVIDERS="docker", **{variable: value}))


_PACKAGE = """
from jobs.providers.practice import Practice
import dataclasses

class Tent(Practice):
    traits = dataclasses.replace(Practice.traits, name="tent")

def build(parts):
    return Tent(folder=parts.settings.state, home=parts.home, clock=parts.clock, price=parts.practice_price,
                archive=parts.archive)
"""

_CONNECT = """
import sys
from pathlib import Path
from jobs.errors import Misconfigured
from jobs.providers.registry import connect
from tests.unit.test_registry import parts
try:
    print(*connect(parts(Path(sys.argv[1]), HOURGLASS_PROVIDERS=sys.argv[2])))
except Misconfigured as error:
    print("refused:", error)
"""


def connected(folder: Path, *, names: str, entries: str, module: str = _PACKAGE) -> str:
    """Return what a process says that has another package's entry points on its path."""
    (folder / "tents.py").write_text(module)
    info = folder / "tents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tents\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hourglass.providers]\n{entries}\n")
    asked = subprocess.run(
        [sys.executable, "-c", _CONNECT, str(folder), names],
        env={"PYTHONPATH": f"{Path.cwd()}:{folder}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.strip()


def test_another_packages_provider_is_found_by_its_entry_point(tmp_path: Path) -> None:
    assert connected(tmp_path, names="tent,docker", entries="tent = tents:build") == "tent docker"


def test_a_named_package_that_cannot_be_imported_stops_the_start(tmp_path: Path) -> None:
    said = connected(tmp_path, names="tent", entries="tent = tents:build", module="import no_such_sdk")
    assert said == "refused: HOURGLASS_PROVIDERS names 'tent', which cannot be built: " + (
        "ModuleNotFoundError: No module named 'no_such_sdk'"
    )


def test_a_broken_package_that_nobody_named_is_in_nobodys_way(tmp_path: Path) -> None:
    assert connected(tmp_path, names="docker", entries="tent = tents:build", module="1/0") == "docker"


def test_a_package_may_not_take_anothers_name(tmp_path: Path) -> None:
    said = connected(tmp_path, names="docker", entries="docker = tents:build")
    assert said.startswith("refused:") and "'docker'" in said


def test_a_provider_answers_to_the_name_it_was_configured_by(tmp_path: Path) -> None:
    said = connected(tmp_path, names="camp", entries="camp = tents:build")
    assert said == "refused: The provider 'camp' calls itself 'tent'; the names must agree."


def test_the_price_of_practice_is_the_one_handed_over(tmp_path: Path) -> None:
    built = parts(tmp_path, HOURGLASS_PROVIDERS="practice")
    assert list(connect(built)["practice"].offers(a_need())) == [an_offer(provider="practice")]
    unpriced = dataclasses.replace(built, practice_price=lambda need: None)
    assert list(connect(unpriced)["practice"].offers(a_need())) == []
