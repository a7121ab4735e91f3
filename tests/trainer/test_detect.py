"""What progress is read out of the lines of the table of formats, and out of which lines none is."""

from __future__ import annotations

import math

import pytest

from trainer.detect import Detector
from trainer.known import FORMATS

# What each sample of the table says: step, total, epoch, values. Every sample is here, and nothing else.
SAID: dict[str, tuple[int | None, int | None, float | None, dict[str, float]]] = {
    '{"step": 40, "loss": 2.31, "lr": 0.0003}': (40, None, None, {"loss": 2.31, "lr": 0.0003}),
    '{"epoch": 1, "update": 0.5, "num_updates": "400", "loss": "9.131", "ppl": "560.5"}': (
        400,
        None,
        1,
        {"loss": 9.131, "ppl": 560.5},
    ),
    "{'loss': 1.2659, 'grad_norm': 1.22, 'learning_rate': 8.2e-05, 'epoch': 0.34}": (
        1,
        None,
        0.34,
        {"loss": 1.2659, "grad_norm": 1.22, "learning_rate": 8.2e-05},
    ),
    "{'loss': '1.266', 'grad_norm': '1.22', 'learning_rate': '8.237e-05', 'epoch': '0.34'}": (
        1,
        None,
        0.34,
        {"loss": 1.266, "grad_norm": 1.22, "learning_rate": 8.237e-05},
    ),
    "{'eval_loss': 0.51, 'eval_runtime': 2.1, 'eval_samples_per_second': 12.2, 'epoch': 1.0}": (
        1,
        None,
        1.0,
        {"eval_loss": 0.51},
    ),
    "      3/100      2.48G      1.155      2.895      1.242         34        640: 100%|█| 4/4 [00:01<00:00]": (
        3,
        100,
        3,
        {"box_loss": 1.155, "cls_loss": 2.895, "dfl_loss": 1.242},
    ),
    "        2/4         0G      5.592      3.218      3.413          4         64: 50% ━━━━━━────── 1/2"
    " 1.7it/s 0.2s": (
        2,
        4,
        2,
        {"box_loss": 5.592, "cls_loss": 3.218, "dfl_loss": 3.413},
    ),
    "                   all          8          8      0.981      0.875      0.912      0.641": (
        None,
        None,
        None,
        {"precision": 0.981, "recall": 0.875, "map50": 0.912, "map50_95": 0.641},
    ),
    "Epoch [2/3]: [3/10]  30%|███       , loss=0.312 [00:00<00:01]": (13, 30, 1, {"loss": 0.312}),
    "2|13|Loss: 10.594198226928711:  30%|███       | 3/10 [00:00<00:00, 114.08it/s]": (
        13,
        None,
        1,
        {"loss": 10.594198226928711},
    ),
    "train          Epoch   0:   12%|███▏      | 1/8 [00:00<00:00, 13.01ba/s, loss/train/total=0.7448]": (
        1,
        None,
        0,
        {"train_loss": 0.7448},
    ),
    "[3]\ttrain's binary_logloss: 0.584316\ttrain's auc: 0.932434\tval's binary_logloss: 0.631876": (
        3,
        None,
        None,
        {"train_binary_logloss": 0.584316, "train_auc": 0.932434, "val_binary_logloss": 0.631876},
    ),
    "1:\tlearn: 0.6512801\ttest: 0.6714957\tbest: 0.6714957 (1)\ttotal: 61.7ms\tremaining: 1m 2s": (
        1,
        None,
        None,
        {"learn": 0.6512801, "test": 0.6714957},
    ),
    "[1, 0.6609145998954773, 0.5231431722640991, 0.762499988079071, '00:00']": (
        1,
        None,
        1,
        {"train_loss": 0.6609145998954773, "val_loss": 0.5231431722640991},
    ),
    "epoch 2: {'accuracy': 0.8385416865348816}": (2, None, 2, {"accuracy": 0.8385416865348816}),
    "[0]\ttrain-logloss:0.54933\ttrain-auc:0.93615\tval-logloss:0.62086\tval-auc:0.73717": (
        0,
        None,
        None,
        {"train_logloss": 0.54933, "train_auc": 0.93615, "val_logloss": 0.62086, "val_auc": 0.73717},
    ),
    " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s, loss=2.31]": (60, 500, None, {"loss": 2.31}),
    "Epoch 3:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, v_num=0, train_loss=0.412]": (
        690,
        None,
        3,
        {"train_loss": 0.412},
    ),
    "Epoch 3/10:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, loss=0.412]": (490, 2000, 2, {"loss": 0.412}),
    "Steps:  10%|█         | 50/500 [01:15<11:15,  1.50s/it, lr=1e-5, step_loss=0.12]": (
        50,
        500,
        None,
        {"lr": 1e-5, "step_loss": 0.12},
    ),
    "Train: 3 [ 150/1251 ( 12%)]  Loss: 5.12 (5.34)  LR: 5.000e-04  Data: 0.011 (0.020)": (
        3903,
        None,
        3,
        {"loss": 5.12, "lr": 5e-4},
    ),
    "Epoch: [3]  [  150/1251]  eta: 0:12:01  lr: 0.0005  loss: 5.12 (5.34)  acc1: 12.5 (10.1)": (
        3903,
        None,
        3,
        {"lr": 0.0005, "loss": 5.12, "acc1": 12.5},
    ),
    "Epoch: [3][ 150/1251]\tTime  0.3 ( 1.2)\tLoss 5.1200e+00 (6.9e+00)\tAcc@1   0.39 (  0.5)": (
        3903,
        None,
        3,
        {"loss": 5.12, "acc@1": 0.39},
    ),
    "Train Epoch: 4 [9600/60000 (16%)]\tLoss: 0.385290": (189600, None, 4, {"loss": 0.38529}),
    "2026/11/02 10:00:01 - mmengine - INFO - Epoch(train)  [4][ 50/391]  lr: 1.0e-02  eta: 0:01:02  loss: 2.1": (
        1223,
        None,
        3,
        {"lr": 0.01, "loss": 2.1},
    ),
    "391/391 - 5s - 13ms/step - accuracy: 0.81 - loss: 0.54": (391, None, None, {"accuracy": 0.81, "loss": 0.54}),
    "391/391 ━━━━━━━━━━━━━━━━━━━━ 5s 13ms/step - accuracy: 0.8116 - loss: 0.5423": (
        391,
        None,
        None,
        {"accuracy": 0.8116, "loss": 0.5423},
    ),
    "[2,  2000] loss: 2.173": (2000, None, 1, {"loss": 2.173}),
    "iter 100: loss 3.2173, time 135.20ms, mfu 41.23%": (100, None, None, {"loss": 3.2173, "mfu": 41.23}),
    "step 250: train loss 2.4412, val loss 2.5310": (250, None, None, {"train_loss": 2.4412, "val_loss": 2.531}),
    "step 20/400: loss 3.1234, 45.2 ms": (20, 400, None, {"loss": 3.1234}),
    "step: 10  loss:  7.23456  grad_norm: 1.23  memory: 10.12GiB(12.80%)  tps: 12,345  mfu: 39%": (
        10,
        None,
        None,
        {"loss": 7.23456, "grad_norm": 1.23, "tps": 12345.0, "mfu": 39.0},
    ),
    "step 00120/21400 (0.56%) | loss: 4.81 | bf16_mfu: 48.12 | epoch: 1": (
        120,
        21400,
        1,
        {"loss": 4.81, "bf16_mfu": 48.12},
    ),
    "step:6200/6200 train_loss:3.2533 train_time:1341244ms step_avg:216.33ms": (
        6200,
        6200,
        None,
        {"train_loss": 3.2533},
    ),
    "[2026-11-02 10:00:00,123] [INFO] [logging.py:107:log_dist] step=10, skipped=0, lr=[0.0001], mom=[(0.9, 0.999)]": (
        10,
        None,
        None,
        {"lr": 0.0001},
    ),
    " iteration      100/  500000 | consumed samples: 25600 | learning rate: 1.500E-05 | lm loss: 7.654321E+00"
    " | loss scale: 1.0 | grad norm: 1.234 |": (
        100,
        500000,
        None,
        {"learning_rate": 1.5e-05, "lm_loss": 7.654321, "grad_norm": 1.234},
    ),
    "Epoch 2/10, Step 100/500, Loss: 0.5312": (600, 5000, 2, {"loss": 0.5312}),
    "step 7: loss nan": (7, None, None, {"loss": math.nan}),
    "[3/10] train loss: 0.35": (3, 10, None, {"train_loss": 0.35}),
    "Train [3/10][20/100] loss 0.35": (220, 1000, 3, {"loss": 0.35}),
    "20: loss 0.35": (20, None, None, {"loss": 0.35}),
    "Epoch 3/10 train_loss=0.531 val_loss=0.612 acc: 0.81": (
        3,
        10,
        3,
        {"train_loss": 0.531, "val_loss": 0.612, "acc": 0.81},
    ),
    "121it [00:13,  9.10it/s, loss=0.5123]": (121, None, None, {"loss": 0.5123}),
    "Epoch 2/3: 6batch [00:13,  1.10s/batch, loss=0.5123]": (6, None, 1, {"loss": 0.5123}),
    "Epoch 0: |          | 12/? [00:01<00:00, 9.10it/s, v_num=0, train_loss=0.5123]": (
        12,
        None,
        0,
        {"train_loss": 0.5123},
    ),
    "Epoch 1/2  ━━━━━━━━━━━━━ 5/10 0:00:00 • 0:00:01 12.30it/s v_num: 0.000 train_loss: 0.512": (
        5,
        20,
        1,
        {"train_loss": 0.512},
    ),
    " 10% (1 of 10) |##              | Elapsed Time: 0:00:00 ETA:  0:00:01 loss: 0.51": (1, 10, None, {"loss": 0.51}),
    "on 3: |████████████████████▌                   | 5/10 [50%] in 1.2s (8.33/s) loss=0.5": (
        5,
        10,
        None,
        {"loss": 0.5},
    ),
    "[I 2026-11-02 10:00:00,123] Trial 12 finished with value: 0.93 and parameters: {'x': 2.5, 'kind': 'a'}."
    " Best is trial 0 with value: 0.91.": (12, None, None, {"value": 0.93}),
    "2026-11-02 10:00:00 - Cosine-Similarity :\tPearson: 0.5382\tSpearman: 0.4856": (
        None,
        None,
        None,
        {"eval_cosine_similarity_pearson": 0.5382, "eval_cosine_similarity_spearman": 0.4856},
    ),
    "[host] 2026-11-02 10:00:00,123 (trainer:762) INFO: 2epoch:train:21-40batch: iter_time=0.1, loss_ctc=140.1,"
    " acc=0.352, loss=100.5, train_time=1.234": (40, None, 2.0, {"loss_ctc": 140.1, "acc": 0.352, "loss": 100.5}),
    "2026-11-02 10:00:00,123 DEBUG TRAIN Batch 1/200 loss 80.1 loss_att 60.1 loss_ctc 110.3 lr 0.0001 rank 0": (
        200,
        None,
        1.0,
        {"loss": 80.1, "loss_att": 60.1, "loss_ctc": 110.3, "lr": 0.0001},
    ),
    "2026-11-02 10:00:00,123 DEBUG CV Batch 1/100 loss 80.2 loss_att 60.2 loss_ctc 110.2 history loss 81.2": (
        None,
        None,
        None,
        {"val_loss": 80.2, "val_loss_att": 60.2, "val_loss_ctc": 110.2},
    ),
    "step:12 - actor/kl_loss:0.0016 - actor/lr:1e-06 - critic/score/mean:0.25 - timing_s/gen:1.2": (
        12,
        None,
        None,
        {"actor_kl_loss": 0.0016, "actor_lr": 1e-06, "critic_score": 0.25},
    ),
    " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.312": (
        None,
        None,
        None,
        {"ap": 0.312},
    ),
    "INFO:root:Validation loss: 0.5310": (None, None, None, {"val_loss": 0.531}),
    "Test set: Average loss: 0.0485, Accuracy: 9842/10000 (98%)": (
        None,
        None,
        None,
        {"test_loss": 0.0485, "test_accuracy": 98.0},
    ),
}
SAMPLES = [(row.name, sample) for row in FORMATS for sample in row.samples]


def test_every_sample_of_the_table_is_held_to_what_it_says() -> None:
    assert {sample for _, sample in SAMPLES} == set(SAID)


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_a_sample_is_read_by_its_own_row_and_says_what_it_says(name: str, sample: str) -> None:
    first = next(row.name for row in FORMATS if (row.hint or "") in sample.lower() and row.read(sample.strip()))
    assert first == name
    detection = Detector().feed(sample)
    assert detection is not None
    step, total, epoch, values = SAID[sample]
    if epoch is not None:
        assert detection.epoch == epoch
    assert (detection.step, detection.total) == (step, total)
    assert dict(detection.values) == pytest.approx(values, nan_ok=True)


# Lines that logs of rented machines are full of. None of them is a measurement.
NOISE = r"""
Collecting torch==2.13.0
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (887.9 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 887.9/887.9 MB 12.1 MB/s eta 0:00:00
Requirement already satisfied: numpy>=1.17 in /opt/conda/lib/python3.11/site-packages (from transformers) (2.1.3)
Successfully installed accelerate-1.2.1 datasets-3.2.0 scikit-learn-1.6.0
WARNING: Running pip as the 'root' user can result in broken permissions: step 3 of 4
Get:12 http://archive.ubuntu.com/ubuntu jammy/main amd64 libgl1 amd64 1.4.0-1 [110 kB]
Fetched 38.1 MB in 3s (12.5 MB/s)
Setting up libgl1:amd64 (1.4.0-1) ...
Cloning into 'nanoGPT'...
Receiving objects:  45% (450/1000), 1.20 MiB | 2.31 MiB/s
Resolving deltas: 100% (385/385), done.
Step 1/12 : FROM python:3.11
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|   0  NVIDIA A100-SXM4-80GB          On  |   00000000:00:04.0 Off |                    0 |
| N/A   34C    P0             62W /  400W |       4MiB /  81920MiB |      0%      Default |
Traceback (most recent call last):
  File "/workspace/train.py", line 120, in <module>
    loss = 0.5
  File "/workspace/model.py", line 33, in loss
    loss = 0.5 * nll + 1.0
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. loss: 3.2
UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`. loss=1.0
Namespace(batch_size=64, lr=0.001, weight_decay=0.0, label_smoothing=0.1)
TrainingArguments(learning_rate=5e-05, max_steps=500, logging_steps=10, warmup_steps=100)
learning_rate: 0.0003
  "hidden_act": "silu", "hidden_size": 4096, "rope_theta": 10000.0,
number of parameters: 123.59M
num decayed parameter tensors: 50, with 124,354,560 parameters
tokens per iteration will be: 491,520
compiling the model... (takes a ~minute)
Epoch 00003: val_loss improved from 0.53 to 0.51, saving model to best.h5
Best loss: 0.51 (epoch 3)
val_loss did not improve from 0.53210
{"level": "info", "ts": 1730541600.123, "msg": "started", "pid": 41, "step": 3}
{'use_cache': False, 'attention_dropout': 0.0, 'num_layers': 32}
Map: 100%|██████████| 10000/10000 [00:01<00:00, 9012.12 examples/s]
Downloading shards:  50%|█████     | 1/2 [00:30<00:30, 30.12s/it]
Loading checkpoint shards: 100%|██████████| 2/2 [00:03<00:00,  1.61s/it]
2026-11-02 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:182] This TensorFlow binary is optimized
wandb: Run `wandb offline` to turn off syncing. wandb: Tracking run with wandb version 0.19.1
[default1]:step 20/400: loss 3.1234, 45.2 ms
[rank3]:{'loss': 1.2659, 'epoch': 0.34}
W1102 10:00:00.123 140 torch/distributed/run.py:793] Setting OMP_NUM_THREADS environment variable for each process
loss of precision: 3 bits
loss_decimal_place = 4
the gawk port).  For instance, its log() function returns Inf
elapsed: 00:12:31, eta 1:20:01
http://localhost:6006/?loss=0.5&step=3#scalars
""".strip("\n").splitlines()


@pytest.mark.parametrize("line", NOISE)
def test_a_line_that_is_no_measurement_gives_none(line: str) -> None:
    detector = Detector()
    if line in ("    loss = 0.5", "    loss = 0.5 * nll + 1.0"):
        detector.feed('  File "/workspace/train.py", line 120, in <module>')
    assert detector.feed(line) is None


def test_a_whole_log_of_noise_gives_nothing() -> None:
    detector = Detector()
    assert [line for line in NOISE if detector.feed(line)] == []
