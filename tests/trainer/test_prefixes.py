"""What the code's loggers put before a message: known by their format, where nothing else would know it."""

from __future__ import annotations

import pytest

from tests.trainer.reading import told
from trainer.headings import Prefixes
from trainer.printed import Printed


@pytest.mark.parametrize(
    ("form", "line", "message"),
    [
        ("%(relativeCreated) 9d %(message)s", "     4485     0\t34365.2", "    0\t34365.2"),  # pyro's examples
        (
            "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
            "2026-11-02 10:00:00,123 (a:7) INFO: x",
            "x",
        ),
        ("%(asctime)s %(name)s~%(levelname)s: %(message)s", "2026-11-02 10:00:00 pkg.train~INFO: 5 0.5", "5 0.5"),
        ("%(levelname)s %(filename)s(%(lineno)d): %(message)s", "INFO train.py(12): 5 0.5", "5 0.5"),
        ("[%(filename)s:%(lineno)s - %(funcName)20s() ] %(message)s", "[a.py:12 -                 main() ] 5", "5"),
        (r"\033[1m%(asctime)s\033[0m | PID:%(process)d | %(message)s", "2026-11-02 10:00:00,123 | PID:77 | 5", "5"),
        (
            "Training: %(asctime)s-%(message)s",
            "Training: 2026-11-30 16:33:50,123-Speed 3.1",
            "Speed 3.1",
        ),  # insightface
        (
            "[%(levelname)s:%(process)d %(asctime)s] '\n    '%(message)s",
            "[INFO:9 2026-11-02 10:00:00,123] x",
            "x",
        ),  # torchbeast
        ("rank 0> %(message)s", "rank 0> 5 0.5", "5 0.5"),
        ("%(name)s-%(lineno)d: %(message)s", "my-own-12: 5 0.5", "5 0.5"),
        ("%(name)s.%(module)s.%(funcName)s:%(lineno)d: %(message)s", "pkg.train.train.<module>:12: 5 0.5", "5 0.5"),
        ("%(levelname)s%(lineno)d: %(message)s", "INFO12: 5 0.5", "5 0.5"),
        (r"%(name)s:T+%(relativeCreated)d\t%(message)s", "train:T+77\t5 0.5", "5 0.5"),
    ],
)
def test_a_prefix_is_taken_off(form: str, line: str, message: str) -> None:
    assert Prefixes([f'logging.basicConfig(format="{form}")']).without(line) == message
    assert Prefixes([f"logging.Formatter('{form}', datefmt='x')"]).without(message) == message


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%(message)s", "5 0.5"),
        ("%(process)d %(message)s", "5 0.5"),  # what it puts there may be a count
        ("%(name)s %(message)s", "Epoch 5 loss 0.5"),
        ("%(relativeCreated) 9d %(message)s", "5 0.5"),  # printed, and not logged
        ("%(relativeCreated) 9d %(message)s", "12345 0.5"),
        ("%(asctime)s %(levelname)s: %(message)s", "2026-11-02 10:00:00,123 INFO: 5 0.5"),  # known without the code
        ("%(asctime)s %(name)s %(levelname)s: %(message)s", "2026-11-02 10:00:00 pkg.train INFO: 5 0.5"),  # so is this
    ],
)
def test_another_line_is_left_alone(form: str, line: str) -> None:
    assert Prefixes([f'logging.basicConfig(format="{form}")']).without(line) == line


@pytest.mark.parametrize("between", [*"./-<", "", " "])
@pytest.mark.parametrize("unit", ["a.", "a-", "a/", "a<", "a", "a ", " ", "1", "1:11 ", "2026-1-1 "])
def test_a_line_made_of_what_fields_are_made_of_is_looked_at_once(between: str, unit: str) -> None:
    """With each field tried against each length of those before it, this would not end."""
    named = between.join(f"%({name})s" for name in ("name", "module", "funcName", "threadName", "name", "module"))
    for form in (f"{named}:%(lineno)d: %(message)s", named.replace(")s", ")20s") + ":%(lineno)9d: %(message)s"):
        line = unit * 2_000
        assert Prefixes([f'logging.basicConfig(format="{form}")']).without(line) == line


def test_a_width_that_no_prefix_has_is_none() -> None:
    form = 'logging.basicConfig(format="%(relativeCreated)9999999999d:%(name)s: %(message)s")'
    assert Prefixes([form]).without("12:a: 5") == "12:a: 5"


def test_a_count_behind_the_time_since_the_start_is_the_runs() -> None:
    code = (
        'logging.basicConfig(format="%(relativeCreated) 9d %(message)s", level=logging.INFO)\n'
        'for step in range(steps):\n    logging.info("{: >5d}\\t{}".format(step, loss))'
    )
    lines = ("     4485     0\t34365.265625", "     4770    10\t35305.55859375")
    found = told(lines, Printed([code]))
    assert [(one.step, dict(one.values)) for one in found if one] == [
        (0, {"loss": 34365.265625}),
        (10, {"loss": 35305.55859375}),
    ]
