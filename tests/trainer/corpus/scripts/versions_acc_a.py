# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# accelerate 0.27: in the manner of transformers' run_clm_no_trainer.py (logger lines, one bar over all steps, perplexity each epoch)
from tf_common import *
import math, datasets
from tqdm.auto import tqdm
from accelerate import Accelerator
from accelerate.logging import get_logger
from torch.utils.data import DataLoader
from transformers import default_data_collator, get_scheduler

logger = get_logger(__name__)
acc = Accelerator(gradient_accumulation_steps=2, cpu=True)
logging.basicConfig(
    format="%(asctime)s - %(levelname)s - %(name)s - %(message)s", datefmt="%m/%d/%Y %H:%M:%S", level=logging.INFO
)
logger.info(acc.state, main_process_only=False)
set_seed(3)
m = GPT2LMHeadModel(GPT2Config(**gpt))
tr = DataLoader(lm(640, 1), shuffle=True, collate_fn=default_data_collator, batch_size=8)
ev = DataLoader(lm(80, 2), collate_fn=default_data_collator, batch_size=8)
o = torch.optim.AdamW(m.parameters(), lr=4e-3)
epochs = 8
per = math.ceil(len(tr) / 2)
total = epochs * per
s = get_scheduler("linear", o, 0, total)
m, o, tr, ev, s = acc.prepare(m, o, tr, ev, s)
logger.info("***** Running training *****")
logger.info(f"  Num examples = {640}")
logger.info(f"  Num Epochs = {epochs}")
logger.info(f"  Instantaneous batch size per device = 8")
logger.info(f"  Total train batch size (w. parallel, distributed & accumulation) = 16")
logger.info(f"  Gradient Accumulation steps = 2")
logger.info(f"  Total optimization steps = {total}")
bar = tqdm(range(total), disable=not acc.is_local_main_process)
done = 0
for epoch in range(epochs):
    m.train()
    tl = 0
    for b in tr:
        with acc.accumulate(m):
            l = m(**b).loss
            tl += l.detach().float()
            acc.backward(l)
            o.step()
            s.step()
            o.zero_grad()
        if acc.sync_gradients:
            bar.update(1)
            done += 1
    m.eval()
    ls = []
    for b in ev:
        with torch.no_grad():
            ls.append(acc.gather_for_metrics(m(**b).loss.repeat(8)))
    el = torch.mean(torch.cat(ls))
    logger.info(f"epoch {epoch}: perplexity: {math.exp(el)} eval_loss: {el} train_loss: {tl.item() / len(tr)}")
