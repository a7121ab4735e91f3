"""The formats that are known: who prints them, how they are read, and lines as trainers really print them.

What takes more than one line is in `trainer.blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer import drawn, formats, generic, programs, yolo
from trainer.formats import Reading


@dataclass(frozen=True, kw_only=True)
class Format:
    """One row of the table: who prints it, how it is read, and lines as they are printed."""

    name: str
    # Every line of the format holds it, lower case; others are not given to `read`. None: a name of a measurement.
    hint: str | None
    read: Callable[[str], Reading | None]
    samples: Sequence[str]


# In the order of belief: what a program wrote for programs comes before what it wrote for people.
FORMATS = (
    Format(
        name="JSON lines",
        hint="{",
        read=formats.json_line,
        samples=(
            '{"step": 40, "loss": 2.31, "lr": 0.0003}',
            '{"epoch": 1, "update": 0.5, "num_updates": "400", "loss": "9.131", "ppl": "560.5"}',
        ),
    ),
    Format(
        name="HF Trainer",
        hint="{'",
        read=formats.python_dict_line,
        samples=(
            "{'loss': 1.2659, 'grad_norm': 1.22, 'learning_rate': 8.2e-05, 'epoch': 0.34}",
            "{'loss': '1.266', 'grad_norm': '1.22', 'learning_rate': '8.237e-05', 'epoch': '0.34'}",
            "epoch 2: {'accuracy': 0.8385416865348816}",  # Accelerate's examples
            "{'eval_loss': 0.51, 'eval_runtime': 2.1, 'eval_samples_per_second': 12.2, 'epoch': 1.0}",
        ),
    ),
    Format(
        name="YOLO",
        hint=" ",
        read=yolo.row,
        samples=(
            "      3/100      2.48G      1.155      2.895      1.242         34        640: 100%|█| 4/4 [00:01<00:00]",
            "        2/4         0G      5.592      3.218      3.413          4         64: 50% ━━━━━━────── 1/2"
            " 1.7it/s 0.2s",
            "                   all          8          8      0.981      0.875      0.912      0.641",
        ),
    ),
    Format(
        name="progress bar",
        hint="%|",
        read=drawn.bar_line,
        samples=(
            " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s, loss=2.31]",
            "Epoch 3:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, v_num=0, train_loss=0.412]",
            "Epoch 3/10:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, loss=0.412]",
            "Epoch [2/3]: [3/10]  30%|███       , loss=0.312 [00:00<00:01]",  # pytorch-ignite
            "2|13|Loss: 10.594198226928711:  30%|███       | 3/10 [00:00<00:00, 114.08it/s]",  # torchtune
            "train          Epoch   0:   12%|███▏      | 1/8 [00:00<00:00, 13.01ba/s, loss/train/total=0.7448]",
            "Steps:  10%|█         | 50/500 [01:15<11:15,  1.50s/it, lr=1e-5, step_loss=0.12]",
        ),
    ),
    Format(
        name="bar without an end",
        hint="[",
        read=drawn.open_bar_line,
        samples=(
            "121it [00:13,  9.10it/s, loss=0.5123]",
            "Epoch 2/3: 6batch [00:13,  1.10s/batch, loss=0.5123]",
            "Epoch 0: |          | 12/? [00:01<00:00, 9.10it/s, v_num=0, train_loss=0.5123]",  # Lightning's
        ),
    ),
    Format(
        name="rich's bar",
        hint="━",
        read=drawn.drawn_bar_line,
        samples=("Epoch 1/2  ━━━━━━━━━━━━━ 5/10 0:00:00 • 0:00:01 12.30it/s v_num: 0.000 train_loss: 0.512",),
    ),
    Format(
        name="bars of progressbar2 and alive-progress",
        hint="| ",
        read=drawn.drawn_bar_line,
        samples=(
            " 10% (1 of 10) |##              | Elapsed Time: 0:00:00 ETA:  0:00:01 loss: 0.51",
            "on 3: |████████████████████▌                   | 5/10 [50%] in 1.2s (8.33/s) loss=0.5",
        ),
    ),
    Format(
        name="epoch and batch",
        hint="[",
        read=formats.batched_line,
        samples=(
            "Train: 3 [ 150/1251 ( 12%)]  Loss: 5.12 (5.34)  LR: 5.000e-04  Data: 0.011 (0.020)",
            "Epoch: [3]  [  150/1251]  eta: 0:12:01  lr: 0.0005  loss: 5.12 (5.34)  acc1: 12.5 (10.1)",
            "Epoch: [3][ 150/1251]\tTime  0.3 ( 1.2)\tLoss 5.1200e+00 (6.9e+00)\tAcc@1   0.39 (  0.5)",
            "Train Epoch: 4 [9600/60000 (16%)]\tLoss: 0.385290",
            "2026/11/02 10:00:01 - mmengine - INFO - Epoch(train)  [4][ 50/391]  lr: 1.0e-02  eta: 0:01:02  loss: 2.1",
        ),
    ),
    Format(
        name="Keras",
        hint="loss:",
        read=formats.keras_line,
        samples=(
            "391/391 - 5s - 13ms/step - accuracy: 0.81 - loss: 0.54",
            "391/391 ━━━━━━━━━━━━━━━━━━━━ 5s 13ms/step - accuracy: 0.8116 - loss: 0.5423",
        ),
    ),
    Format(
        name="PyTorch tutorial",
        hint="loss",
        read=formats.corner_line,
        samples=("[2,  2000] loss: 2.173",),
    ),
    Format(
        name="boosting round",
        hint="]",
        read=formats.round_line,
        samples=(
            "[3]\ttrain's binary_logloss: 0.584316\ttrain's auc: 0.932434\tval's binary_logloss: 0.631876",
            "[0]\ttrain-logloss:0.54933\ttrain-auc:0.93615\tval-logloss:0.62086\tval-auc:0.73717",
        ),
    ),
    Format(
        name="CatBoost",
        hint="remaining:",
        read=formats.learnt_line,
        samples=("1:\tlearn: 0.6512801\ttest: 0.6714957\tbest: 0.6714957 (1)\ttotal: 61.7ms\tremaining: 1m 2s",),
    ),
    Format(
        name="fastai",
        hint="']",
        read=formats.listed_line,
        samples=("[1, 0.6609145998954773, 0.5231431722640991, 0.762499988079071, '00:00']",),
    ),
    Format(
        name="espnet and wenet",
        hint="batch",
        read=programs.speech_line,
        samples=(
            "[host] 2026-11-02 10:00:00,123 (trainer:762) INFO: 2epoch:train:21-40batch: iter_time=0.1, loss_ctc=140.1,"
            " acc=0.352, loss=100.5, train_time=1.234",
            "2026-11-02 10:00:00,123 DEBUG TRAIN Batch 1/200 loss 80.1 loss_att 60.1 loss_ctc 110.3 lr 0.0001 rank 0",
            "2026-11-02 10:00:00,123 DEBUG CV Batch 1/100 loss 80.2 loss_att 60.2 loss_ctc 110.2 history loss 81.2",
        ),
    ),
    Format(
        name="verl",
        hint="step:",
        read=programs.keyed_line,
        samples=("step:12 - actor/kl_loss:0.0016 - actor/lr:1e-06 - critic/score/mean:0.25 - timing_s/gen:1.2",),
    ),
    Format(
        name="COCO's evaluation",
        hint="average ",
        read=programs.coco_line,
        samples=(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.312",),
    ),
    Format(
        name="similarities of sentence-transformers",
        hint="pearson: ",
        read=programs.similarity_line,
        samples=("2026-11-02 10:00:00 - Cosine-Similarity :\tPearson: 0.5382\tSpearman: 0.4856",),
    ),
    Format(
        name="a line that names its step",
        hint=None,
        read=generic.stepped_line,
        samples=(
            "iter 100: loss 3.2173, time 135.20ms, mfu 41.23%",  # nanoGPT
            "step 250: train loss 2.4412, val loss 2.5310",  # nanoGPT's evaluation
            "step 20/400: loss 3.1234, 45.2 ms",
            "step: 10  loss:  7.23456  grad_norm: 1.23  memory: 10.12GiB(12.80%)  tps: 12,345  mfu: 39%",  # torchtitan
            "step 00120/21400 (0.56%) | loss: 4.81 | bf16_mfu: 48.12 | epoch: 1",  # nanochat
            "step:6200/6200 train_loss:3.2533 train_time:1341244ms step_avg:216.33ms",  # modded-nanogpt
            "[2026-11-02 10:00:00,123] [INFO] [logging.py:107:log_dist] step=10, skipped=0, lr=[0.0001],"
            " mom=[(0.9, 0.999)]",  # DeepSpeed
            " iteration      100/  500000 | consumed samples: 25600 | learning rate: 1.500E-05 | lm loss: 7.654321E+00"
            " | loss scale: 1.0 | grad norm: 1.234 |",  # Megatron
            "Epoch 2/10, Step 100/500, Loss: 0.5312",
            "step 7: loss nan",
        ),
    ),
    Format(
        name="a count without a name",
        hint=None,
        read=generic.counted_line,
        samples=(
            "[3/10] train loss: 0.35",
            "Train [3/10][20/100] loss 0.35",
            "20: loss 0.35",
        ),
    ),
    Format(
        name="anything that names a measurement",
        hint=None,
        read=generic.plain_line,
        samples=(
            "Epoch 3/10 train_loss=0.531 val_loss=0.612 acc: 0.81",
            "INFO:root:Validation loss: 0.5310",
            "Test set: Average loss: 0.0485, Accuracy: 9842/10000 (98%)",
        ),
    ),
    Format(
        name="Optuna",
        hint=" finished with value: ",
        read=formats.trial_line,
        samples=(
            "[I 2026-11-02 10:00:00,123] Trial 12 finished with value: 0.93 and parameters: {'x': 2.5, 'kind': 'a'}."
            " Best is trial 0 with value: 0.91.",
        ),
    ),
)
