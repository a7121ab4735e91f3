# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 4.49: Seq2SeqTrainer with generation metrics, label smoothing, bars
from tf_common import *

set_seed(4)
cfg = BartConfig(
    vocab_size=100,
    d_model=32,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    max_position_embeddings=32,
    pad_token_id=0,
    bos_token_id=5,
    eos_token_id=6,
    decoder_start_token_id=6,
    forced_eos_token_id=None,
)


def ds(n, s):
    return D([dict(input_ids=x, attention_mask=[1] * len(x), labels=x[:6] + [6]) for x in chain(n, 8, s)])


def m(p):
    y, l = p
    y = np.where(y != -100, y, 0)
    l = np.where(l != -100, l, 0)
    n = min(y.shape[1] - 1, l.shape[1])
    eq = y[:, 1 : n + 1] == l[:, :n]
    return {
        "token_acc": round(100 * eq.mean(), 4),
        "exact_match": round(100 * eq.all(1).mean(), 4),
        "gen_len": float((y != 0).sum(1).mean()),
    }


model = BartForConditionalGeneration(cfg)


def coll(b):
    b = {k: torch.tensor([r[k] for r in b]) for k in b[0]}
    b["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(b["labels"])
    return b


a = Seq2SeqTrainingArguments(
    "out",
    eval_strategy="epoch",
    logging_steps=20,
    num_train_epochs=5,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=32,
    predict_with_generate=True,
    generation_max_length=10,
    label_smoothing_factor=0.1,
    learning_rate=5e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
)
t = Seq2SeqTrainer(model, a, data_collator=coll, train_dataset=ds(640, 1), eval_dataset=ds(64, 2), compute_metrics=m)
t.train()
r = t.predict(ds(64, 3), metric_key_prefix="predict")
t.log_metrics("predict", r.metrics)
