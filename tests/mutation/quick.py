"""A pytest plugin for mutation runs: a property that fails is enough; its smallest example is nobody's business."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutation", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None
)
settings.load_profile("mutation")
