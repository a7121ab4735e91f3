"""The rows of Ultralytics, and evaluations as COCO and detectron2 print them: read by the headers above them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.reading import fed
from trainer.sources import Files

DETECTS = "      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size"
SEGMENTS = "      Epoch    GPU_mem   box_loss   seg_loss   cls_loss   dfl_loss  Instances       Size"
CLASSIFIES = "      Epoch    GPU_mem       loss  Instances       Size"
TRANSFORMS = "      Epoch    GPU_mem  giou_loss   cls_loss    l1_loss  Instances       Size"
JUDGES = "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95)"
BAR = "  25%|██▌       | 2/8 [00:01<00:03,  1.75it/s]"
SCORES = ("precision", "recall", "map50", "map50_95")
MASKS = tuple(f"mask_{name}" for name in SCORES)
CLASSES = ("top1_acc", "top5_acc")


def values(*lines: str) -> list[Mapping[str, float]]:
    return [detection.values for detection in fed(*lines)]


ALL = "                   all         12         24       0.98       0.87       0.91       0.64"


SEVENTH = "     Epoch   gpu_mem       box       obj       cls     total    labels  img_size"


COCO = " Average {} @[ IoU={:9} | area={:>6s} | maxDets={:>3} ] = {}"


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (DETECTS, "        1/6      2.48G      1.155      2.895      1.242         34        640:", "box cls dfl"),
        (SEGMENTS, "        1/6         0G     0.2001      8.355     0.4365     0.1181   14    64:", "box seg cls dfl"),
        (TRANSFORMS, "        1/6         0G     0.2001      8.355     0.4365         14         64:", "giou cls l1"),
        (CLASSIFIES, "       1/6         0G      1.146         16         64:", ""),
    ],
)
def test_yolos_rows_are_read_by_their_header_whatever_the_task(header: str, row: str, names: str) -> None:
    (found,) = fed(header, row + BAR)
    assert [*found.values] == ([f"{name}_loss" for name in names.split()] or ["loss"])
    assert [*found.values.values()] == [float(cell) for cell in row.split()[2 : 2 + len(found.values)]]
    assert (found.step, found.total, found.moved) == (1, 6, True)


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (f"{JUDGES}:", ALL, SCORES),
        (f"{JUDGES}     Mask(P     R   mAP50  mAP50-95):", f"{ALL}   0.9  0.8  0.7  0.6", (*SCORES, *MASKS)),
        ("               classes   top1_acc   top5_acc:", "                   all      0.333          1", CLASSES),
    ],
)
def test_yolos_evaluations_are_read_by_their_header_whatever_the_task(
    header: str, row: str, names: tuple[str, ...]
) -> None:
    *_, found = fed(header + BAR, row)
    assert [*found.values] == [*names]
    assert [*found.values.values()] == [float(cell) for cell in row.split()[-len(names) :]]


def test_a_row_with_other_columns_than_the_header_is_not_read() -> None:
    assert values(SEGMENTS, "        1/6         0G     0.2001      8.355         14         64:" + BAR) in ([], [{}])
    assert fed(f"{JUDGES}:", "                   all      0.333          1") == []


def test_yolos_file_has_the_names_of_the_lines_for_masks_poses_and_classes(tmp_path: Path) -> None:
    columns = (
        "epoch,train/seg_loss,metrics/mAP50(B),metrics/mAP50-95(M),metrics/recall(P),metrics/accuracy_top1,val/loss"
    )
    (tmp_path / "results.csv").write_text(f"{columns}\n1,1.0,0.1,0.2,0.3,0.4,0.5\n")
    ((_, rows),) = Files(tmp_path).look()
    assert {"seg_loss", "map50", "mask_map50_95", "pose_recall", "top1_acc", "val_loss"} == set(rows[0].values)


def test_the_rows_of_older_yolos_are_read_by_their_headers_too() -> None:
    (found,) = fed(SEVENTH, "       0/4        0G   0.06158  0.004595   0.02524   0.09142        37        96:" + BAR)
    assert found.values == {"box": 0.06158, "obj": 0.004595, "cls": 0.02524, "total": 0.09142}
    header = "               Class      Images      Labels           P           R      mAP@.5  mAP@.5:.95:" + BAR
    *_, found = fed(
        header, "                 all           8          17    0.000604      0.0333     8.5e-05     8.5e-06"
    )
    assert found.values == dict(zip(SCORES, (0.000604, 0.0333, 8.5e-05, 8.5e-06), strict=True))


@pytest.mark.parametrize(
    ("what", "iou", "area", "most", "name"),
    [
        ("Precision  (AP)", "0.50:0.95", "all", 100, "ap"),
        ("Precision  (AP)", "0.50", "all", 100, "ap50"),
        ("Precision  (AP)", "0.75", "all", 100, "ap75"),
        ("Precision  (AP)", "0.50:0.95", "small", 100, "ap_small"),
        ("Recall     (AR)", "0.50:0.95", "all", 10, "ar_10"),
        ("Recall     (AR)", "0.50:0.95", "large", 100, "ar_large"),
    ],
)
def test_each_line_of_a_coco_evaluation_is_a_series_of_its_own(
    what: str, iou: str, area: str, most: int, name: str
) -> None:
    assert values(COCO.format(what, iou, area, most, "0.312")) == [{name: 0.312}]
    assert values(COCO.format(what, iou, area, most, "-1.000")) == []  # nothing of that size was there


def test_detectron2s_line_of_numbers_has_its_names_in_the_line_before() -> None:
    before = "[11/02 13:32:32 d2.evaluation.testing]: copypaste: "
    names, numbers = "AP,AP50,APs", "41.9922,83.9844,8.3984"
    told = values(f"{before}Task: bbox", before + names, before + numbers)
    assert told == [{"eval_ap": 41.9922, "eval_ap50": 83.9844, "eval_aps": 8.3984}]
    assert all("eval_ap" not in one for one in values(before + names, before + "41.9,83.9"))  # of another length


def test_masks_and_boxes_of_an_evaluation_are_apart() -> None:
    line = COCO.format("Precision  (AP)", "0.50:0.95", "all", 100, "0.312")
    assert values("IoU metric: bbox", line, "IoU metric: segm", line) == [{"ap": 0.312}, {"segm_ap": 0.312}]
    names, numbers = "copypaste: AP,AP50", "copypaste: 10.1,20.2"
    assert values("copypaste: Task: segm", names, numbers) == [{"eval_segm_ap": 10.1, "eval_segm_ap50": 20.2}]


def test_a_header_with_a_bar_behind_it_measures_nothing() -> None:
    assert values("               classes   top1_acc   top5_acc: 100% ━━━━━━━━━━━━ 2/2 51.0it/s 0.0s") == []


def test_a_row_before_a_bar_is_read_to_its_last_column() -> None:
    header = "     Epoch        lr  iou_loss  dfl_loss  cls_loss"  # meituan/YOLOv6
    (found,) = fed(header, "       0/5     0.0025     1.347     1.417     1.949:  50%|█████     | 1/2 [00:01")
    assert (found.step, found.total) == (0, 5)
    assert dict(found.values) == {"lr": 0.0025, "iou_loss": 1.347, "dfl_loss": 1.417, "cls_loss": 1.949}
