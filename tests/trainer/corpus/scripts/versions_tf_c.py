# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 4.42: masked LM, bars, steps, first run to 60 steps, then resumed from the checkpoint to 150
from tf_common import *

set_seed(3)
tk = tok()
c = DataCollatorForLanguageModeling(tk, mlm_probability=0.15)
ds = lambda n, s: D([dict(input_ids=[2] + x + [3], attention_mask=[1] * 18) for x in chain(n, seed=s)])


def run(ms, **k):
    a = TrainingArguments(
        "out",
        eval_strategy="steps",
        eval_steps=30,
        logging_steps=10,
        max_steps=ms,
        per_device_train_batch_size=16,
        save_steps=30,
        learning_rate=5e-3,
        report_to="tensorboard",
        logging_dir="tb",
        use_cpu=True,
        warmup_ratio=0.1,
    )
    t = Trainer(
        BertForMaskedLM(BertConfig(**bert)), a, data_collator=c, train_dataset=ds(640, 1), eval_dataset=ds(96, 2)
    )
    t.train(**k)
    return t


_l = torch.load
torch.load = lambda *a, **k: _l(*a, **{**k, "weights_only": False})
run(60)
t = run(150, resume_from_checkpoint=True)
print(t.evaluate())
