"""Progress out of what an unmodified script prints.

One table says which formats there are and which is believed first; each row carries lines as trainers really print
them. The `Detector` remembers what single lines do not say: which step a line without one belongs to, which of
several progress bars is the run's own, and which source each series comes from, so that no point is counted twice.
Pure: the same lines give the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trainer import formats
from trainer.formats import Reading


@dataclass(frozen=True, kw_only=True)
class Format:
    """One row of the table: who prints it, how it is read, and lines as they are printed."""

    name: str
    hint: str  # every line of the format holds it, lower case; others are not given to `read`
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
            "{'eval_loss': 0.51, 'eval_runtime': 2.1, 'eval_samples_per_second': 12.2, 'epoch': 1.0}",
        ),
    ),
    Format(
        name="YOLO",
        hint="%|",
        read=formats.yolo_line,
        samples=(
            "      3/100      2.48G      1.155      2.895      1.242         34        640: 100%|█| 4/4 [00:01<00:00]",
        ),
    ),
    Format(
        name="progress bar",
        hint="%|",
        read=formats.bar_line,
        samples=(
            " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s, loss=2.31]",
            "Epoch 3:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, v_num=0, train_loss=0.412]",
            "Epoch 3/10:  45%|████▌     | 90/200 [00:12<00:15,  7.31it/s, loss=0.412]",
            "Steps:  10%|█         | 50/500 [01:15<11:15,  1.50s/it, lr=1e-5, step_loss=0.12]",
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
        name="a line that names its step",
        hint="",
        read=formats.stepped_line,
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
        name="anything that names a measurement",
        hint="",
        read=formats.plain_line,
        samples=(
            "Epoch 3/10 train_loss=0.531 val_loss=0.612 acc: 0.81",
            "INFO:root:Validation loss: 0.5310",
            "Test set: Average loss: 0.0485, Accuracy: 9842/10000 (98%)",
        ),
    ),
)
_API = -1  # what a script tells through `import hourglass` is believed before any row

_RANK = re.compile(r"^\[(?:default|rank|trainer)?(?P<rank>\d+)\]:\s?")
_EPOCH_HEADER = re.compile(r"^Epoch:? (\d+)/(\d+)$")
_TRACE = re.compile(r'^\s*File ".*", line \d+')
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Warning|Interrupt)\b")
# Bars of what surrounds a training. Their counts are not the run's.
_OTHER_BARS = re.compile(
    r"\b(?:map|download\w*|loading|fetch\w*|generat\w*|filter\w*|tokeniz\w*|resolv\w*|extract\w*|eval\w*|valid\w*"
    r"|sanity|test\w*|predict\w*|sampl\w*|cach\w*|convert\w*|saving|writing|prepar\w*|build\w*|running tokenizer)\b",
    re.IGNORECASE,
)
_EPOCH_BAR = re.compile(r"^(?:train\w* )?epochs?$", re.IGNORECASE)
_WIDEST, _WIDEST_RECORD = 1_000, 8_000  # characters; a longer line is data, not progress


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a line tells about the run; `values` may hold NaN and infinities."""

    step: int | None  # where the run stands, said by this line or by one before it
    moved: bool = False  # this line said it
    total: int | None = None
    epoch: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    percent: float | None = None
    eta: float | None = None  # seconds
    rate: float | None = None  # steps a second


class Detector:
    """Reads a run's lines one after another."""

    def __init__(self) -> None:
        self._sources: dict[str, int] = {}  # series -> row
        self._counter: int | None = None  # row that the step comes from
        self._step: int | None = None
        self._in_trace = False
        self._in_frame = False
        self._header: tuple[int, int] | None = None  # "Epoch 3/10" on a line of its own
        self._from_zero = False  # epochs are counted from 0
        self._bar: tuple[int, int] | None = None  # count and total of the run's own bar
        self._outer: tuple[int, int] | None = None  # of a bar over epochs
        self._last = 0  # of a count that may start anew
        self._base = 0

    def feed(self, line: str) -> Detection | None:
        """Return what `line` (one line, without colours) tells, or None when that is nothing."""
        text = line.strip()
        widest = _WIDEST_RECORD if text.startswith("{") else _WIDEST
        if not text or len(text) > widest or self._is_trace(line):
            return None
        if rank := _RANK.match(text):
            if int(rank["rank"]) != 0:
                return None
            text = text[rank.end() :]
        if header := _EPOCH_HEADER.match(text):
            self._header = int(header[1]), int(header[2])
            return None
        lower = text.lower()
        for row, kind in enumerate(FORMATS):
            if kind.hint in lower and (reading := kind.read(text)):
                return self._resolve(row, reading)
        return None

    def report(self, step: int, total: int | None, values: Mapping[str, float]) -> Detection:
        """Take what the script says by itself; its series and its steps win over whatever is read."""
        detection = self._resolve(_API, Reading(step=step, total=total, values=values))
        return detection or Detection(step=step, total=total)

    def _is_trace(self, line: str) -> bool:
        if line.startswith("Traceback (most recent call last)"):
            self._in_trace = True
            return True
        if self._in_trace and line[:1] not in (" ", "\t"):
            self._in_trace = False
            return True  # the exception itself, the trace's last line
        code, self._in_frame = self._in_frame, bool(_TRACE.match(line))  # a frame's next line is its source
        return self._in_trace or self._in_frame or code or bool(_EXCEPTION.match(line))

    def _resolve(self, row: int, reading: Reading) -> Detection | None:
        step, total = self._place(reading)
        moved = counts = step is not None and (self._counter is None or row <= self._counter)
        if counts:
            self._counter, self._step = row, step
        else:
            step, total = self._step, None
            if step is None and reading.epoch_counts and reading.epoch is not None and reading.epoch % 1 == 0:
                step, total, moved = int(reading.epoch), reading.epochs, True
        values = {name: value for name, value in reading.values.items() if self._is_source(row, name)}
        if not values and not counts:
            return None
        percent = 100.0 * step / total if total and step is not None else None
        rate, eta = (reading.rate, reading.eta) if counts else (None, None)
        if eta is None and rate and total and step is not None:
            eta = max(0, total - step) / rate
        return Detection(
            step=step, moved=moved, total=total, epoch=reading.epoch, values=values, percent=percent, eta=eta, rate=rate
        )

    def _is_source(self, row: int, name: str) -> bool:
        if self._sources.get(name, row) < row:
            return False
        self._sources[name] = row
        return True

    def _place(self, reading: Reading) -> tuple[int | None, int | None]:
        """Return the step and the total as counted from the start of the run."""
        if reading.bar is not None and not reading.within_epoch:
            return self._place_bar(reading.bar, reading)
        if reading.step is None or not reading.within_epoch:
            return reading.step, reading.total
        epoch, epochs = reading.epoch, reading.epochs
        if epoch is None and self._header:
            epoch, epochs = self._header[0] - 1, self._header[1]
        elif reading.bar is None and epoch is not None and reading.epochs is not None:
            self._from_zero = self._from_zero or epoch == 0
            epoch -= 0 if self._from_zero else 1
        if reading.total is None or epoch is None:
            return self._unwound(reading.step), None
        return int(epoch) * reading.total + reading.step, epochs * reading.total if epochs else None

    def _unwound(self, count: int) -> int:
        """Return a count that starts anew with each epoch as one that goes on."""
        if count < self._last:
            self._base += self._last
        self._last = count
        return self._base + count

    def _place_bar(self, name: str, reading: Reading) -> tuple[int | None, int | None]:
        count, total = reading.step, reading.total
        if count is None or total is None or _OTHER_BARS.search(name):
            return None, None
        if _EPOCH_BAR.match(name):
            self._outer = count, total
            return None, None
        if self._outer is not None:
            done, epochs = self._outer
            return min(done, epochs - 1) * total + count, epochs * total
        if self._bar is not None and total != self._bar[1] and self._bar[0] < self._bar[1]:
            return None, None  # a bar within the run's own
        if self._bar is not None and total != self._bar[1]:
            self._last = self._base = 0  # the one before was finished; this is the next part
        self._bar = count, total
        placed = self._unwound(count)
        return placed, total if self._base == 0 else None
