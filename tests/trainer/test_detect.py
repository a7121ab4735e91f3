"""What progress is read out of which lines, and out of which none is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.detect import EVENT_FILE, FILE, Detection, Detector
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
        None,
        None,
        0.34,
        {"loss": 1.2659, "grad_norm": 1.22, "learning_rate": 8.2e-05},
    ),
    "{'loss': '1.266', 'grad_norm': '1.22', 'learning_rate': '8.237e-05', 'epoch': '0.34'}": (
        None,
        None,
        0.34,
        {"loss": 1.266, "grad_norm": 1.22, "learning_rate": 8.237e-05},
    ),
    "{'eval_loss': 0.51, 'eval_runtime': 2.1, 'eval_samples_per_second': 12.2, 'epoch': 1.0}": (
        None,
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
    "Train Epoch: 4 [9600/60000 (16%)]\tLoss: 0.385290": (189600, None, 3, {"loss": 0.38529}),
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
    "INFO:root:Validation loss: 0.5310": (None, None, None, {"val_loss": 0.531}),
    "Test set: Average loss: 0.0485, Accuracy: 9842/10000 (98%)": (None, None, None, {"test_loss": 0.0485}),
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


# Nobody's format in particular: how people write the same things, and what is read of it.
OTHER_HANDS: dict[str, tuple[int | None, dict[str, float]]] = {
    "loss is 0.35": (None, {"loss": 0.35}),
    "loss -> 0.35": (None, {"loss": 0.35}),
    "Loss (train): 0.35": (None, {"train_loss": 0.35}),
    "MSE(val): 0.3": (None, {"val_mse": 0.3}),
    '{"epoch": 3, "metrics": {"loss": 0.3}}': (3, {"loss": 0.3}),
    "step 3 OrderedDict([('loss', 0.3), ('acc', 0.9)])": (3, {"loss": 0.3, "acc": 0.9}),
    "step 3 {'loss': tensor(0.3000, device='cuda:0'), 'acc': 0.9}": (3, {"loss": 0.3, "acc": 0.9}),
    "{'loss': np.float32(0.3), 'step': 4}": (4, {"loss": 0.3}),
    "Episode: 30, Return: 12.0": (30, {"return": 12.0}),
    "Episode 30/100 | total reward: 12.0 | epsilon: 0.5": (30, {"total_reward": 12.0}),
    "Round 5/10: logloss 0.35": (5, {"logloss": 0.35}),
    "epoch 3 | ce 0.35 | bce: 0.2": (3, {"ce": 0.35, "bce": 0.2}),
    "epoch 3, objective = 0.35": (3, {"objective": 0.35}),
    "epoch 3 ndcg@10: 0.35, recall@20: 0.2, mrr: 0.3": (3, {"ndcg@10": 0.35, "recall@20": 0.2, "mrr": 0.3}),
    "Epoch: 0004 loss_train: 1.9 acc_train: 0.3 loss_val: 1.8": (
        4,
        {"loss_train": 1.9, "acc_train": 0.3, "loss_val": 1.8},
    ),
    "[D loss: 0.3, acc.: 50%] [G loss: 0.4]": (None, {"d_loss": 0.3, "acc": 50.0, "g_loss": 0.4}),
    "epoch 3 train: loss 0.35 | valid: loss 0.45": (3, {"train_loss": 0.35, "val_loss": 0.45}),
    "it 300 loss 0.35": (300, {"loss": 0.35}),
    "5/10 [=====>.....] loss 0.35": (5, {"loss": 0.35}),
    " 30%|###  | 3/10 [00:00<00:01, 5.0it/s, loss: 0.35]": (3, {"loss": 0.35}),
    " 30%|###  | 3/10 [00:00<00:01, 5.0it/s] loss=.35": (3, {"loss": 0.35}),
}


@pytest.mark.parametrize("line", OTHER_HANDS)
def test_what_other_hands_write_is_read_too(line: str) -> None:
    (found,) = fed(line)
    assert (found.step, dict(found.values)) == OTHER_HANDS[line]


@pytest.mark.parametrize("header", ["Epoch 4 of 10", "=== Epoch 4/10 ===", "Starting epoch 4", "INFO - [Epoch 4]"])
def test_a_line_that_names_an_epoch_alone_is_of_what_follows(header: str) -> None:
    assert [(one.step, dict(one.values)) for one in fed(header, "Training loss: 0.35")] == [(4, {"train_loss": 0.35})]


def test_a_table_of_commas_or_rules_is_read_by_its_header() -> None:
    for lines in (
        ("epoch,loss,val_loss", "1,0.35,0.45"),
        ("| epoch | loss | val_loss |", "|-------|------|----------|", "| 1 | 0.35 | 0.45 |"),
        ("│ Epoch │ Loss │ Val loss │", "│ 1 │ 0.35 │ 0.45 │"),
    ):
        assert [(one.step, dict(one.values)) for one in fed(*lines)] == [(1, {"loss": 0.35, "val_loss": 0.45})]


def test_the_steps_of_an_evaluation_are_not_the_runs() -> None:
    found = fed(
        "Epoch: 1/4 Step: 6/6 loss: 1.10",
        "Epoch: 1/4 Step: 1/6 val_loss: 1.09",
        "Epoch: 2/4 Step: 1/6 loss: 1.05",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (6, {"loss": 1.1}), (6, {"val_loss": 1.09}), (7, {"loss": 1.05}),
    ]  # fmt: skip


def test_what_a_bar_of_an_evaluation_shows_is_told_as_such() -> None:
    found = fed(
        "epoch 1: 100%|██| 5/5 [00:00<00:00,  7.08it/s, loss=0.698, metrics={'acc': 0.51}]",
        "valid:  50%|█ | 1/2 [00:00<00:00,  2.07it/s, loss=0.703, metrics={'acc': 0.5}]",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (5, {"loss": 0.698, "acc": 0.51}), (5, {"val_loss": 0.703, "val_acc": 0.5}),
    ]  # fmt: skip


def test_a_bar_that_shows_its_loss_keeps_it_against_what_is_said_once_an_epoch() -> None:
    bars = [f"Epoch 1/2: {n}%|█| {n}/100 [00:01<00:01,  9.00it/s, loss=0.{n}]" for n in range(90, 100)]
    found = fed(
        *bars, "epoch=1 step=100 metrics={'loss': 0.5}", "Epoch 2/2: 1%|█| 1/100 [00:01<00:01,  9.0it/s, loss=0.4]"
    )
    assert (found[-1].step, dict(found[-1].values)) == (101, {"loss": 0.4})


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


def fed(*lines: str) -> list[Detection]:
    detector = Detector()
    return [detection for line in lines if (detection := detector.feed(line))]


def test_a_line_without_a_step_gets_it_from_the_bar_before_it() -> None:
    found = fed(
        " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s]",
        "{'loss': 1.2659, 'learning_rate': 8.2e-05, 'epoch': 0.34}",
    )
    assert [(one.step, dict(one.values).get("loss")) for one in found] == [(60, None), (60, 1.2659)]


def test_the_bar_of_an_evaluation_does_not_take_the_runs_place() -> None:
    found = fed(
        " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s]",
        " 50%|█████     | 400/800 [00:01<00:01, 400.00it/s]",
        "{'eval_loss': 0.5, 'epoch': 0.4}",
    )
    assert [one.step for one in found] == [60, 60]


def test_a_bar_that_starts_anew_with_each_epoch_goes_on() -> None:
    found = fed(*(f" 50%|█| {n}/100 [00:01<00:01,  9.00it/s]" for n in (50, 100, 1, 100, 1)))
    assert [one.step for one in found] == [50, 100, 101, 200, 201]


def test_a_bar_over_epochs_counts_the_one_within_it() -> None:
    found = fed(
        "Epochs:  10%|█         | 1/10 [00:30<04:30, 30.00s/it]",
        " 50%|█████     | 50/100 [00:15<00:15,  3.33it/s, loss=0.4]",
    )
    assert [(one.step, one.total) for one in found] == [(150, 1000)]


def test_the_source_for_machines_is_believed_before_the_one_for_people() -> None:
    found = fed(
        "step 10: loss 2.0",
        '{"step": 10, "loss": 2.0001}',
        "step 20: loss 1.5",
        '{"step": 20, "loss": 1.5001}',
    )
    assert [one.values["loss"] for one in found] == [2.0, 2.0001, 1.5001]


def test_what_the_script_says_itself_silences_what_is_read() -> None:
    detector = Detector()
    assert detector.report(5, 10, {"loss": 1.0}).percent == 50.0
    assert detector.feed("step 6/10: loss 0.9") is None


def test_epochs_of_keras_are_put_together_with_their_headers() -> None:
    found = fed("Epoch 2/5", "100/391 ━━━━ 5s 13ms/step - accuracy: 0.8116 - loss: 0.5423")
    assert [(one.step, one.total) for one in found] == [(491, 1955)]


def test_epochs_counted_from_zero_and_from_one_both_start_at_the_beginning() -> None:
    zero = fed("Epoch 0/10, Step 5/100, Loss: 0.5", "Epoch 1/10, Step 5/100, Loss: 0.5")
    one = fed("Epoch 1/10, Step 5/100, Loss: 0.5", "Epoch 2/10, Step 5/100, Loss: 0.5")
    assert [found.step for found in zero] == [found.step for found in one] == [5, 105]


def test_the_trace_of_an_error_is_no_progress_and_what_follows_is() -> None:
    found = fed(
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in <module>',
        "    loss = 0.5",
        "ValueError: loss: 0.5",
        "step 3: loss 0.25",
    )
    assert [one.values["loss"] for one in found] == [0.25]


def test_a_block_of_lines_brings_the_values_of_its_first_lines_step() -> None:
    found = fed(
        "[epoch=2][batch=4/8]:",
        "\t Train time/batch: 11",
        "\t Train loss/train/total: 0.3499",
        "\t Train metrics/train/MulticlassAccuracy: 0.8750",
        "[Eval batch=4/4] Eval on eval data:",
        "\t Eval metrics/eval/MulticlassAccuracy: 0.8281",
        "step 3: loss 0.25",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (12, {}),
        (12, {"train_loss": 0.3499}),
        (12, {"train_multiclassaccuracy": 0.875}),
        (12, {"eval_multiclassaccuracy": 0.8281}),
        (3, {"loss": 0.25}),
    ]


def test_a_table_of_names_and_values_is_placed_by_the_step_within_it() -> None:
    found = fed(
        "---------------------------------",
        "| rollout/           |          |",
        "|    ep_rew_mean     | 22.5     |",
        "|    total_timesteps | 128      |",
        "| train/             |          |",
        "|    value_loss      | 112      |",
        "---------------------------------",
        "|    ep_rew_mean     | 30       |",
        "|    total_timesteps | 192      |",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (128, {"ep_rew": 22.5}),
        (128, {"value_loss": 112.0}),
        (192, {"ep_rew": 30.0}),
    ]


def test_a_count_that_outgrows_its_epoch_goes_on_over_them() -> None:
    found = fed(
        "Epoch[1] Iteration[10/10] Loss: 0.82",
        "Epoch[2] Iteration[15/10] Loss: 0.39",
        "Validation Results - Epoch: 2  Avg accuracy: 0.91 Avg loss: 0.41",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (10, {"loss": 0.82}),
        (15, {"loss": 0.39}),
        (15, {"val_accuracy": 0.91, "val_loss": 0.41}),
    ]


def test_a_row_is_read_by_the_header_above_it_and_a_table_that_counts_nothing_is_left_alone() -> None:
    found = fed(
        "  model  accuracy   loss",
        "      1      0.81   0.54",
        "  epoch  train_loss  valid_acc  dur",
        "  -----  ----------  ---------  ---",
        "      1      0.6931     0.5123  0.1",
        "      2      0.5931     nan     0.1",
    )
    assert [(one.step, one.epoch) for one in found] == [(1, 1.0), (2, 2.0)]
    assert dict(found[0].values) == {"train_loss": 0.6931, "val_acc": 0.5123}
    assert math.isnan(found[1].values["val_acc"])


def test_columns_of_two_words_and_a_number_sign_are_columns() -> None:
    found = fed(
        "      Iter       Train Loss   Remaining Time ",
        "         1           1.2987            0.17s",
        "E    #       LOSS TEXTCAT  CATS_SCORE  SCORE ",
        "---  ------  ------------  ----------  ------",
        " 12      50          0.68      100.00    1.00",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"train_loss": 1.2987}),
        (50, {"loss_textcat": 0.68, "cats_score": 100.0, "score": 1.0}),
    ]


def test_an_epoch_on_a_line_of_its_own_counts_where_nothing_else_does() -> None:
    found = fed("-- Epoch 3", "Norm: 90.71, NNZs: 6, Bias: 0.096465, T: 900, Avg. loss: 0.427908")
    assert [(one.step, dict(one.values)) for one in found] == [(3, {"loss": 0.427908})]


def test_the_bar_of_an_evaluation_does_not_count_between_lines_that_name_their_step() -> None:
    found = fed(
        "epoch 1 - iter 20/20 - loss 0.39040188 - lr: 0.100000",
        "100%|██████████| 1/1 [00:00<00:00, 210.45it/s]",
        "2026-11-24 01:42:59,228 DEV : loss 0.0911 - f1-score (micro avg)  1.0",
        "epoch 2 - iter 10/20 - loss 0.06456061 - lr: 0.100000",
    )
    assert [(one.step, dict(one.values).get("dev_loss")) for one in found] == [(20, None), (20, 0.0911), (30, None)]


def test_a_bar_from_before_the_training_gives_way_to_lines_that_name_their_step() -> None:
    found = fed("100%|██████████| 80/80 [00:00<00:00, 210.45it/s]", "step 3: loss 0.25")
    assert [one.step for one in found] == [80, 3]


def test_a_record_that_tells_its_epoch_alone_is_placed_by_it_where_the_bar_stands_behind() -> None:
    found = fed(
        "  4%|▍         | 2/48 [00:00<00:02, 15.91it/s]",
        "{'loss': 4.1636, 'epoch': 0.17}",
        "{'loss': 4.1662, 'epoch': 0.33}",
        "  8%|▊         | 4/48 [00:00<00:02, 15.91it/s]",
    )
    assert [one.step for one in found] == [2, 2, 4, 4]


def test_a_slow_bar_is_believed_where_the_epochs_are_no_whole_number() -> None:
    found = fed(
        " 40%|████      | 400/1000 [10:00<15:00,  1.50s/it]",
        "{'loss': 4.1636, 'epoch': 1.0}",
    )
    assert [one.step for one in found] == [400, 400]


def test_the_last_evaluations_bar_does_not_take_the_runs_place_after_its_end() -> None:
    found = fed(
        " 50%|█████     | 24/48 [00:30<00:30,  2.00it/s]",
        "  0%|          | 0/3 [00:00<?, ?it/s]",
        "100%|██████████| 48/48 [01:00<00:00,  2.00it/s]",
        "100%|██████████| 3/3 [00:00<00:00, 195.32it/s]",
        "{'eval_loss': 4.07, 'epoch': 4.0}",
    )
    assert [one.step for one in found] == [24, 48, 48]


def test_an_outer_bar_that_is_drawn_late_does_not_set_the_inner_one_back() -> None:
    found = fed(
        "Epoch:   0%|          | 0/2 [00:00<?, ?it/s]",
        "Iteration: 100%|██████████| 6/6 [00:00<00:00, 892.19it/s]",
        "Iteration:  17%|█▋        | 1/6 [00:00<00:00, 877.29it/s]",
    )
    assert [one.step for one in found] == [6, 7]


def test_what_a_failed_test_shows_is_no_progress_and_what_follows_the_tests_is() -> None:
    found = fed(
        "============================= test session starts ==============================",
        "loss = 2.5",
        "=================================== FAILURES ===================================",
        "loss = 1.5",
        "========================= 2 failed, 1 passed in 0.12s ==========================",
        "loss = 0.5",
    )
    assert [dict(one.values) for one in found] == [{"loss": 0.5}]


def test_a_file_tells_only_what_the_lines_have_not_told() -> None:
    detector = Detector()
    detector.feed("step 20: train_loss 1.5")
    assert detector.filed(FILE, 10, {"train_loss": 2.0, "val_loss": 2.5}) == {"val_loss": 2.5}
    assert detector.filed(FILE, 20, {"train_loss": 1.5}) == {}
    assert detector.filed(FILE, 30, {"train_loss": 1.0}) == {"train_loss": 1.0}
    assert detector.feed("step 40: train_loss 0.5") == Detection(step=40, moved=True)
    assert detector.filed(EVENT_FILE, 40, {"train_loss": 0.5}) == {}


@given(st.text(max_size=300))
def test_no_line_breaks_it(line: str) -> None:
    Detector().feed(line)


@given(
    st.lists(
        st.sampled_from(
            ["loss", "step", "epoch", "lr", ":", "=", " ", "/", "3", "0.5", "nan", "{", "}", "'", "[", "%|"]
        ),
        max_size=60,
    )
)
def test_no_line_made_of_its_own_words_breaks_it(words: list[str]) -> None:
    Detector().feed("".join(words))


def test_numbers_that_are_none_are_understood() -> None:
    (found,) = fed("step 3: loss inf, grad_norm nan")
    assert found.values["loss"] == math.inf
    assert math.isnan(found.values["grad_norm"])
