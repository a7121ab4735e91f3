# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""YOLO from its own description, on random pictures."""

import pathlib

import numpy as np
from PIL import Image
from ultralytics import YOLO

rng = np.random.default_rng(0)
root = pathlib.Path("data").resolve()
for part in ("train", "val"):
    (root / "images" / part).mkdir(parents=True, exist_ok=True)
    (root / "labels" / part).mkdir(parents=True, exist_ok=True)
    for n in range(8):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(root / "images" / part / f"{n}.png")
        (root / "labels" / part / f"{n}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
(root / "data.yaml").write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: [thing]\n")
YOLO("yolov8n.yaml").train(
    data=str(root / "data.yaml"),
    epochs=4,
    imgsz=64,
    batch=4,
    device="cpu",
    workers=0,
    plots=False,
    amp=False,
    project="runs",
    name="train",
    exist_ok=True,
)
