# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Runs a script where torchvision's compiled operators do not load: its `nms`, in Python."""

import runpy
import sys

import torch

library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def nms(boxes, scores, threshold):
    order, kept = scores.argsort(descending=True), []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        inner = (
            torch.minimum(boxes[best, 2:], boxes[order, 2:]) - torch.maximum(boxes[best, :2], boxes[order, :2])
        ).clamp(0)
        shared = inner[:, 0] * inner[:, 1]
        order = order[shared / (areas[best] + areas[order] - shared) <= threshold]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)


library.impl("nms", nms, "CPU")
import torchvision  # noqa: E402  it looks for its operators when it is imported

torchvision.ops.boxes._assert_has_ops = lambda: None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
