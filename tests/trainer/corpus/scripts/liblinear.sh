python3 - <<'P'
import random
random.seed(2)
with open("/tmp/ll.train", "w") as f:
    for _ in range(400):
        x = [random.gauss(0, 1) * 10 ** (i % 3) for i in range(40)]
        y = 1 if x[0] + x[3] + random.gauss(0, 1) > 0 else -1
        f.write(f"{y} " + " ".join(f"{i + 1}:{v:.4f}" for i, v in enumerate(x)) + "\n")
P
for s in 0 2; do liblinear-train -s $s -c 10 -e 0.00001 /tmp/ll.train /tmp/ll.model; done
