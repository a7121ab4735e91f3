# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 4.30: text classification as in run_glue, INFO logging, bars on, logging_first_step, evaluation each epoch, best model at the end
from tf_common import *

logging.basicConfig(
    format="%(asctime)s - %(levelname)s - %(name)s - %(message)s",
    datefmt="%m/%d/%Y %H:%M:%S",
    handlers=[logging.StreamHandler(sys.stdout)],
)
transformers.utils.logging.set_verbosity_info()
transformers.utils.logging.enable_default_handler()
transformers.utils.logging.enable_explicit_format()
set_seed(1)
a = TrainingArguments(
    "out",
    evaluation_strategy="epoch",
    save_strategy="epoch",
    logging_steps=10,
    logging_first_step=True,
    num_train_epochs=5,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=32,
    learning_rate=2e-3,
    load_best_model_at_end=True,
    metric_for_best_model="f1",
    report_to="none",
    no_cuda=True,
)
t = Trainer(
    BertForSequenceClassification(BertConfig(**bert, num_labels=3)),
    a,
    train_dataset=cls(480, 1),
    eval_dataset=cls(160, 2),
    compute_metrics=cm,
)
r = t.train()
t.log_metrics("train", r.metrics)
t.save_metrics("train", r.metrics)
m = t.evaluate()
t.log_metrics("eval", m)
p = t.predict(cls(160, 3))
t.log_metrics("test", p.metrics)
