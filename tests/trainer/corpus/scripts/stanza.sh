python3 - <<'P'
import os, random
random.seed(1)
os.makedirs("/tmp/charlm", exist_ok=True)
w = ["das", "haus", "ist", "rot", "der", "berg", "geht", "nicht", "und", "wir", "sehen", "ihn", "auch", "morgen", "wieder"]
for n, k in (("train.txt", 4000), ("dev.txt", 400)):
    open(f"/tmp/charlm/{n}", "w").write(" ".join(random.choices(w, k=k)) + "\n")
P
python -u -P -m stanza.models.charlm --train_file /tmp/charlm/train.txt --eval_file /tmp/charlm/dev.txt --shorthand xx_made --direction forward --char_emb_dim 16 --char_hidden_dim 32 --batch_size 8 --bptt_size 20 --epochs 3 --report_steps 10 --eval_steps 40 --cutoff 1 --lr0 2 --save_dir /tmp/charlm/saved --cpu
