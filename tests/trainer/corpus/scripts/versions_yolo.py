# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# ultralytics: tiny data of coloured squares; python yolo.py detect|segment|pose|classify key=value...
import sys, os, random, numpy as np, cv2, yaml

os.environ["YOLO_VERBOSE"] = "True"
os.environ["YOLO_CONFIG_DIR"] = os.path.abspath("cfg")
os.makedirs("cfg", exist_ok=True)
task = sys.argv[1]
kw = dict(a.split("=") for a in sys.argv[2:])
kw = {
    k: (
        v == "True"
        if v in ("True", "False")
        else float(v)
        if v.replace(".", "").isdigit() and "." in v
        else int(v)
        if v.lstrip("-").isdigit()
        else v
    )
    for k, v in kw.items()
}
r = random.Random(1)
np.random.seed(1)


def img(y):
    return (np.random.rand(64, 64, 3) * 60).astype("uint8"), [(40, 220, 60), (220, 60, 40), (60, 60, 230)][y]


if task == "classify":
    for sp, n in (("train", 40), ("val", 14)):
        for y, c in enumerate(("ant", "bee", "cat")):
            os.makedirs(f"data/{sp}/{c}", exist_ok=True)
            for i in range(n):
                m, col = img(y)
                cv2.circle(m, (r.randrange(15, 50), r.randrange(15, 50)), 10, col, -1)
                cv2.imwrite(f"data/{sp}/{c}/{i}.png", m)
    data = "data"
else:
    for sp, n in (("train", 32), ("val", 12)):
        os.makedirs(f"data/images/{sp}", exist_ok=True)
        os.makedirs(f"data/labels/{sp}", exist_ok=True)
        for i in range(n):
            m = np.zeros((64, 64, 3), "uint8")
            L = []
            for _ in range(2):
                y = r.randrange(1 if task == "pose" else 3)
                _, col = img(y)
                x0, y0 = r.randrange(2, 40), r.randrange(2, 40)
                w, h = r.randrange(12, 22), r.randrange(12, 22)
                cv2.rectangle(m, (x0, y0), (x0 + w, y0 + h), col, -1)
                X, Y, Wd, H = (x0 + w / 2) / 64, (y0 + h / 2) / 64, w / 64, h / 64
                if task == "segment":
                    L.append(
                        f"{y} {x0 / 64} {y0 / 64} {(x0 + w) / 64} {y0 / 64} {(x0 + w) / 64} {(y0 + h) / 64} {x0 / 64} {(y0 + h) / 64}"
                    )
                elif task == "pose":
                    L.append(f"{y} {X} {Y} {Wd} {H} {x0 / 64} {y0 / 64} 2 {(x0 + w) / 64} {(y0 + h) / 64} 2 {X} {Y} 2")
                else:
                    L.append(f"{y} {X} {Y} {Wd} {H}")
            cv2.imwrite(f"data/images/{sp}/{i}.png", m)
            open(f"data/labels/{sp}/{i}.txt", "w").write("\n".join(L))
    d = dict(
        path=os.path.abspath("data"),
        train="images/train",
        val="images/val",
        names={0: "person"} if task == "pose" else {0: "green", 1: "blue", 2: "red"},
    )
    if task == "pose":
        d["kpt_shape"] = [3, 3]
        d["flip_idx"] = [1, 0, 2]
    yaml.safe_dump(d, open("data.yaml", "w"))
    data = "data.yaml"
from ultralytics import YOLO

model = kw.pop("model")
m = YOLO(model)
m.train(data=data, imgsz=64, device="cpu", workers=0, plots=False, amp=False, **kw)
