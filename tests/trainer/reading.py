"""A run's lines, read one after another."""

from __future__ import annotations

from trainer.detect import Detection, Detector


def fed(*lines: str) -> list[Detection]:
    """Return what the lines tell, in their order; those that tell nothing bring nothing."""
    detector = Detector()
    return [detection for line in lines if (detection := detector.feed(line))]
