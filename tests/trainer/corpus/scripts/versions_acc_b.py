# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# accelerate 1.2: own loop, accelerator.print each 20 steps, dict of metrics each epoch as in the nlp_example, postfix in the bar, resumed state
from tf_common import *
import json
from tqdm.auto import tqdm
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from transformers import default_data_collator

acc = Accelerator(cpu=True, log_with=[], project_dir="proj")
set_seed(3)
m = BertForSequenceClassification(BertConfig(**bert, num_labels=3))
tr = DataLoader(cls(640, 1), shuffle=True, collate_fn=default_data_collator, batch_size=8)
ev = DataLoader(cls(160, 2), collate_fn=default_data_collator, batch_size=32)
o = torch.optim.AdamW(m.parameters(), lr=1e-3)
m, o, tr, ev = acc.prepare(m, o, tr, ev)
E = 6
for epoch in range(E):
    m.train()
    run = 0
    bar = tqdm(tr, desc=f"Epoch {epoch + 1}/{E}", disable=not acc.is_main_process, mininterval=0.3)
    for step, b in enumerate(bar):
        l = m(**b).loss
        acc.backward(l)
        acc.clip_grad_norm_(m.parameters(), 1.0)
        o.step()
        o.zero_grad()
        run = 0.9 * run + 0.1 * l.item() if run else l.item()
        bar.set_postfix(loss=f"{l.item():.4f}", avg=f"{run:.4f}", refresh=False)
        if step % 20 == 0:
            acc.print(
                f"Epoch [{epoch + 1}/{E}], Step [{step + 1}/{len(tr)}], Loss: {l.item():.4f}, LR: {o.param_groups[0]['lr']:.1e}"
            )
    m.eval()
    P = []
    Y = []
    for b in ev:
        with torch.no_grad():
            p = m(**b).logits.argmax(-1)
        p, y = acc.gather_for_metrics((p, b["labels"]))
        P += p.tolist()
        Y += y.tolist()
    from sklearn.metrics import f1_score, matthews_corrcoef

    acc.print(
        f"epoch {epoch}:",
        {
            "accuracy": float(np.mean(np.array(P) == np.array(Y))),
            "f1": f1_score(Y, P, average="macro"),
            "matthews_correlation": float(matthews_corrcoef(Y, P)),
        },
    )
