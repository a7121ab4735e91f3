"""Plots: what is chosen to be drawn, and real pictures out of the child process."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot import plots
from bot.catalogue import Catalogue
from bot.plots import Plot, PlotFailed
from bot.plotter import Plotter
from bot.views import alt
from jobs.model import MetricPoint
from tests.face import scenes
from tests.support.clock import START

pytestmark = pytest.mark.xdist_group("plots")  # one child draws for most of them


def curve(series: str, values: list[float | None], *, attempt: int = 1, first: int = 0) -> list[MetricPoint]:
    """Return a point every 10 steps and 10 seconds."""
    return [
        MetricPoint(
            job_id="k7m2pqx",
            attempt=attempt,
            series=series,
            step=first + 10 * n,
            value=value,
            odd="" if value is not None else "nan",
            at=START + timedelta(seconds=10 * n),
        )
        for n, value in enumerate(values)
    ]


def falling(count: int, start: float = 4.0) -> list[float | None]:
    """Return a loss that falls evenly to 1."""
    return [start - (start - 1) * n / (count - 1) for n in range(count)]


@pytest.fixture(scope="module")
def plotter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plotter]:
    """The real thing, with its child process."""
    plotter = Plotter(cache=tmp_path_factory.mktemp("matplotlib"))
    yield plotter
    plotter.close()


def the_plot(metrics: dict[str, list[MetricPoint]], **facts: Any) -> Plot:
    """Return the plot, which there is."""
    plot = plots.of(scenes.facts(**(dict(scenes.TRAINING) | facts)), metrics)
    assert plot is not None
    return plot


def test_the_training_loss_comes_first_then_validation_and_nothing_else() -> None:
    metrics = {
        "lr": curve("lr", falling(9)),
        "val_loss": curve("val_loss", falling(3)),
        "train_loss": curve("train_loss", falling(9)),
        "aux_loss": curve("aux_loss", falling(9)),
    }
    assert [series.name for series in the_plot(metrics).series] == ["train_loss", "val_loss"]


def test_a_loss_of_steps_comes_before_its_means_over_epochs() -> None:
    metrics = {name: curve(name, falling(9)) for name in ("epoch_g_loss", "g_loss", "val_loss")}
    assert [series.name for series in the_plot(metrics).series] == ["g_loss", "val_loss"]


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        (["value_loss", "policy_loss"], ["policy_loss"]),
        (["loss_te", "loss_tr"], ["loss_tr", "loss_te"]),
        (["latest_loss", "device_loss"], ["device_loss"]),
    ],
)
def test_a_name_that_only_looks_like_an_evaluations_is_a_trainings(names: list[str], drawn: list[str]) -> None:
    metrics = {name: curve(name, falling(9)) for name in names}
    assert [series.name for series in the_plot(metrics).series] == drawn


def test_without_a_loss_there_is_no_plot() -> None:
    facts = scenes.facts(**scenes.TRAINING)
    assert plots.of(facts, {"accuracy": curve("accuracy", falling(9))}) is None
    assert plots.of(facts, {"loss": curve("loss", [None, None])}) is None
    assert plots.of(facts, {}) is None


def test_what_was_not_finite_leaves_a_gap_and_a_mark() -> None:
    plot = the_plot({"loss": curve("loss", [4.0, 3.0, None, None])})
    assert list(plot.series[0].values) == [4.0, 3.0, None, None]
    assert [(mark.kind, mark.step, mark.label) for mark in plot.marks] == [("odd", 20, "NaN")]
    assert plots.last(plot.series[0]) == (10, 3.0)


def test_checkpoints_are_marked_and_the_newest_is_named() -> None:
    plot = the_plot({"loss": curve("loss", falling(9))}, checkpoints=(scenes.checkpoint(20), scenes.checkpoint(60)))
    assert [(mark.step, mark.label) for mark in plot.marks if mark.kind == "checkpoint"] == [
        (20, ""),
        (60, "checkpoint"),
    ]


def test_the_deadline_is_marked_only_where_it_comes_before_the_last_step() -> None:
    metrics = {"loss": curve("loss", falling(9))}  # a step a second, the last one at 80
    soon = the_plot(metrics, total=4000, deadline=START + timedelta(seconds=1080))
    assert [(mark.kind, round(mark.step)) for mark in soon.marks] == [("deadline", 1080)]
    late = the_plot(metrics, total=4000, deadline=START + timedelta(hours=4))
    assert late.marks == []


def test_a_later_attempt_redraws_the_steps_that_it_went_over_again() -> None:
    points = curve("loss", [4.0, 3.5, 3.0, 2.5]) + curve("loss", [2.9, 2.4], attempt=2, first=20)
    drawn = the_plot({"loss": points}).series[0]
    assert list(zip(drawn.steps, drawn.values, strict=True)) == [(0, 4.0), (10, 3.5), (20, 2.9), (30, 2.4)]


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    drawn = the_plot({"loss": curve("loss", falling(9001))}).series[0]
    assert len(drawn.steps) <= plots.POINTS + 1
    assert drawn.steps[-1] == 90_000


def test_alt_text_tells_the_course() -> None:
    plot = the_plot({"loss": curve("loss", [4.17, 1.5, 1.83]), "val_loss": curve("val_loss", [4.2, 4.3])}, total=4000)
    assert alt.describe(Catalogue.load(), plot) == (
        "Line chart of the loss of acme/vit@3f9c2ab. "
        "loss falls from 4.17 at step 0 to 1.83 at step 20; lowest 1.5 at step 10. "
        "val_loss goes from 4.2 at step 0 to 4.3 at step 10; lowest 4.2 at step 0. "
        "20 of 4,000 steps are done."
    )


def test_alt_text_of_a_curve_with_one_point_says_where_it_is() -> None:
    told = alt.describe(Catalogue.load(), the_plot({"loss": curve("loss", [4.17])}, total=4000))
    assert told == "Line chart of the loss of acme/vit@3f9c2ab. loss is 4.17 at step 0. 0 of 4,000 steps are done."


@pytest.mark.parametrize(
    "values",
    [
        falling(300),
        falling(5),
        [2.0],
        [1.0, 1.0, 1.0],
        [4000.0, 1.0, 0.001],
        [-1.0, 0.0, 1.0],
        [4.0, None, 3.0, None],
        [1e300, 1.0],
    ],
    ids=["many", "few", "one", "flat", "steep", "negative", "gaps", "huge"],
)
def test_every_curve_becomes_a_picture_of_full_size(plotter: Plotter, values: list[float | None]) -> None:
    plot = the_plot({"loss": curve("loss", values), "val_loss": curve("val_loss", values[:3])})
    png = plotter.draw(plot).result(timeout=60)
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1280, 720)


def test_equal_plots_are_equal_pictures(plotter: Plotter) -> None:
    plot = the_plot({"loss": curve("loss", falling(30))})
    assert plotter.draw(plot).result(timeout=60) == plotter.draw(plot).result(timeout=60)


def test_a_child_that_takes_too_long_is_ended_with_words(tmp_path: Path) -> None:
    plotter = Plotter(cache=tmp_path, seconds=0.01)
    with pytest.raises(PlotFailed, match=r"longer than 0\.01 s"):
        plotter.draw(the_plot({"loss": curve("loss", falling(9))})).result(timeout=60)
    plotter.close()


def broken() -> Plot:
    """Return a plot that cannot be drawn."""
    lopsided = plots.Curve(name="loss", steps=[1, 2], values=[1.0])
    return Plot(title="x", subtitle="", axis="step", total=None, series=[lopsided], marks=())


def children() -> set[int]:
    """Return the processes that draw for this one."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return {child.pid for child in alive if "bot.draw" in child.cmdline()}


def test_a_plot_that_fails_says_why_and_the_child_draws_the_next_one(plotter: Plotter) -> None:
    plot = the_plot({"loss": curve("loss", falling(9))})
    before = plotter.draw(plot).result(timeout=60), children()
    with pytest.raises(PlotFailed, match=r"could not be drawn: ValueError: zip\(\)"):
        plotter.draw(broken()).result(timeout=60)
    assert (plotter.draw(plot).result(timeout=60), children()) == before


def test_a_child_that_was_ended_is_replaced(plotter: Plotter) -> None:
    plot = the_plot({"loss": curve("loss", falling(9))})
    picture = plotter.draw(plot).result(timeout=60)
    for pid in children():
        psutil.Process(pid).kill()
    assert plotter.draw(plot).result(timeout=60) == picture


def test_a_child_that_cannot_begin_says_why(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")  # matplotlib reads its settings while it is loaded
    plotter = Plotter(cache=tmp_path)
    with pytest.raises(PlotFailed, match=r"could not be drawn: \w*Error"):
        plotter.draw(broken()).result(timeout=60)
    plotter.close()


def test_a_child_ends_when_nobody_asks_and_when_the_plotter_is_closed(tmp_path: Path) -> None:
    before, drawing = children(), list[set[int]]()
    plotters = [Plotter(cache=tmp_path, rest=0.1), Plotter(cache=tmp_path)]
    for plotter in plotters:
        plotter.draw(the_plot({"loss": curve("loss", falling(9))})).result(timeout=60)
        drawing.append(children() - before - set().union(*drawing))
    (resting,), (kept,) = drawing
    assert psutil.Process(resting).wait(30) == 0
    plotters[1].close()
    assert not psutil.pid_exists(kept)
    plotters[0].close()


def test_the_bot_itself_does_not_load_matplotlib() -> None:
    code = "import sys, bot.app, bot.notify, bot.web; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
