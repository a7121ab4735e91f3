"""A run's lines, read one after another."""

from __future__ import annotations

from collections.abc import Iterable

from trainer.detect import Detection, Detector
from trainer.printed import Printed


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
