"""A run's lines, read one after another."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from trainer.detect import Detection, Detector
from trainer.printed import Printed
from trainer.statements import statements


def fed(*lines: str) -> list[Detection]:
    """Return what the lines tell, in their order; those that tell nothing bring nothing."""
    detector = Detector()
    return [detection for line in lines if (detection := detector.feed(line))]


def told(lines: Iterable[str], printed: Printed | None = None) -> list[Detection | None]:
    """Return what each line tells, by itself or by what came after it."""
    detector, found = Detector(printed=printed), list[Detection | None]()
    for line in lines:
        found.append(detection := detector.feed(line))
        for ago, earlier in detection.earlier if detection else ():
            before = found[-1 - ago]
            found[-1 - ago] = earlier._replace(values={**earlier.values, **(before.values if before else {})})
    return found


def texts(code: str) -> Sequence[str]:
    return [one.text for one in statements(textwrap.dedent(code))]


def read(code: str, *lines: str) -> Sequence[tuple[int | None, Mapping[str, float]]]:
    """Return the steps and values that lines tell beside their code."""
    found = told(lines, Printed([textwrap.dedent(code)]))
    return [(one.step, dict(one.values)) for one in found if one is not None]
