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

from trainer import blocks, formats
from trainer.formats import Reading
from trainer.numbers import may_measure


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
        read=formats.yolo_line,
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
        read=formats.bar_line,
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
        hint="learn:",
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
        name="a line that names its step",
        hint=None,
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
        hint=None,
        read=formats.plain_line,
        samples=(
            "Epoch 3/10 train_loss=0.531 val_loss=0.612 acc: 0.81",
            "INFO:root:Validation loss: 0.5310",
            "Test set: Average loss: 0.0485, Accuracy: 9842/10000 (98%)",
        ),
    ),
)
# Belief: the lower, the earlier. A row's is its place in the table; the others stand between and before them.
_API = -1.0  # what a script tells through `import hourglass`
FILE, EVENT_FILE = 0.3, 0.6  # after the lines that are meant for programs, before those that are meant for people
_BLOCK = float(next(row for row, kind in enumerate(FORMATS) if kind.read is formats.stepped_line))
_DICT = float(next(row for row, kind in enumerate(FORMATS) if kind.read is formats.python_dict_line))
_FAST = 5.0  # steps a second from which a bar, redrawn ten times a second, may stand behind
_SNAP = 1.1  # how far the steps an epoch may lie above what was seen, to be taken as a whole number of epochs

_RANK = re.compile(r"^\[(?:default|rank|trainer)?(?P<rank>\d+)\]:\s?")
_EPOCH_HEADER = re.compile(r"^Epoch:? (\d+)/(\d+)$")
_TRACE = re.compile(r'^\s*File ".*", line \d+|^\S+:\d+: \w*Warning: ')
_REPORT = re.compile(r"^=+ (?P<title>.*\w.*) =+$")  # of a test run, which shows what failed in its own words
_REPORT_ENDS = re.compile(r" in [\d.]+s")
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
        self._sources: dict[str, float] = {}  # series -> belief
        self._reached: dict[str, int] = {}  # series -> the furthest step that was told
        self._counter: float | None = None  # belief of what the step comes from
        self._step: int | None = None
        self._in_trace = False
        self._in_frame = False
        self._in_report = False
        self._in_block = False
        self._in_pairs = False  # in a table of names and values, below its step
        self._above: dict[str, float] = {}  # the values above it
        self._columns: blocks.Columns | None = None
        self._header: tuple[int, int] | None = None  # "Epoch 3/10" on a line of its own
        self._from_zero = False  # epochs are counted from 0
        self._bar: tuple[int, int] | None = None  # count and total of the run's own bar
        self._fast = False  # it moves faster than it is drawn
        self._epoch_steps = 0.0  # steps an epoch has at least
        self._within: set[int] = set()  # totals of bars within the run's own: evaluations
        self._outer: tuple[int, int] | None = None  # of a bar over epochs, which may be drawn late
        self._inner = (0, 0)  # count and total of the bar within that one
        self._rounds = 0  # how often that began anew
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
        if self._in_block or text.startswith("["):
            self._in_block = blocks.begins(text) or (self._in_block and blocks.within(text))
            if self._in_block:
                return self._block(text)
        if text.startswith("---"):
            self._in_pairs, self._above = False, {}
        lower = text.lower()
        named: bool | None = None
        for row, kind in enumerate(FORMATS):
            if kind.hint is None:
                named = may_measure(lower) if named is None else named
            if (named if kind.hint is None else kind.hint in lower) and (reading := kind.read(text)):
                return self._resolve(row, reading)
        return self._table(text)

    def report(self, step: int, total: int | None, values: Mapping[str, float]) -> Detection:
        """Take what the script says by itself; its series and its steps win over whatever is read."""
        detection = self._resolve(_API, Reading(step=step, total=total, values=values))
        return detection or Detection(step=step, total=total)

    def filed(self, belief: float, step: int | None, values: Mapping[str, float]) -> dict[str, float]:
        """Return what is news out of a row of a file that the script wrote; `belief` is `FILE` or `EVENT_FILE`.

        A file lags behind the lines: it takes a series over only where it is ahead of them.
        """
        news = {}
        for name, value in values.items():
            if step is not None and step <= self._reached.get(name, -1):
                continue
            if self._is_source(belief, name):
                news[name] = value
                if step is not None:
                    self._reached[name] = step
        return news

    def _block(self, text: str) -> Detection | None:
        if reading := blocks.block(text):
            return self._resolve(_BLOCK, reading)
        values = blocks.item(text)
        return self._resolve(_BLOCK, Reading(values=values)) if values else None

    def _table(self, text: str) -> Detection | None:
        if text.startswith("|"):
            return self._pair(text)
        if columns := blocks.header(text):
            self._columns = columns
        elif self._columns and (reading := blocks.row(self._columns, text)):
            return self._resolve(_BLOCK, reading)
        return None

    def _pair(self, text: str) -> Detection | None:
        step, values = blocks.pair(text)
        if step is not None:  # what stands above it belongs to it, too
            values, self._above = self._above, {}
            self._in_pairs = True
            return self._resolve(_BLOCK, Reading(step=step, values=values))
        if values and not self._in_pairs:
            self._above.update(values)
            return None
        return self._resolve(_BLOCK, Reading(values=values)) if values else None

    def _is_trace(self, line: str) -> bool:
        if line.startswith("Traceback (most recent call last)"):
            self._in_trace = True
            return True
        if line.startswith("=") and (report := _REPORT.match(line)):
            self._in_report = not _REPORT_ENDS.search(report["title"]) and (
                self._in_report or "test session starts" in report["title"]
            )
        if self._in_trace and line[:1] not in (" ", "\t"):
            self._in_trace = False
            return True  # the exception itself, the trace's last line
        code = self._in_frame  # a frame's next line is its source
        self._in_frame = ("line" in line or "Warning" in line) and bool(_TRACE.match(line))
        return self._in_trace or self._in_frame or self._in_report or code or bool(_EXCEPTION.match(line))

    def _resolve(self, row: float, reading: Reading) -> Detection | None:
        step, total = self._place(reading)
        moved = counts = step is not None and (self._counter is None or row <= self._counter)
        if counts:
            self._counter, self._step = row, step
        else:
            step, total = self._step, None
            if step is None and reading.epoch_counts and reading.epoch is not None and reading.epoch % 1 == 0:
                step, total, moved = int(reading.epoch), reading.epochs, True
            elif row == _DICT and reading.epoch is not None:
                step = self._by_epoch(reading.epoch)
        values = {name: value for name, value in reading.values.items() if self._is_source(row, name)}
        if not values and not counts:
            return None
        if step is not None:
            self._reached.update({name: max(step, self._reached.get(name, -1)) for name in values})
        percent = 100.0 * step / total if total and step is not None else None
        rate, eta = (reading.rate, reading.eta) if counts else (None, None)
        if eta is None and rate and total and step is not None:
            eta = max(0, total - step) / rate
        return Detection(
            step=step, moved=moved, total=total, epoch=reading.epoch, values=values, percent=percent, eta=eta, rate=rate
        )

    def _by_epoch(self, epoch: float) -> int | None:
        """Return the step of a record that tells its epoch alone; a bar that is slower than the steps stands behind."""
        if self._bar is None or self._base or not self._fast or not self._bar[0]:
            return self._step
        count, total = self._bar
        self._epoch_steps = max(self._epoch_steps, count / (epoch + 0.005))  # epochs are told with two decimals
        steps = total / max(1, int(total / self._epoch_steps))
        if steps > _SNAP * self._epoch_steps:
            steps = self._epoch_steps
        return min(total, max(count, round(epoch * steps)))

    def _is_source(self, row: float, name: str) -> bool:
        if self._sources.get(name, row) < row:
            return False
        self._sources[name] = row
        return True

    def _place(self, reading: Reading) -> tuple[int | None, int | None]:
        """Return the step and the total as counted from the start of the run."""
        if reading.bar is not None and not reading.within_epoch:
            return self._place_bar(reading.bar, reading)
        if reading.bar is not None and _OTHER_BARS.search(reading.bar):
            return None, None
        if reading.step is None or not reading.within_epoch:
            return reading.step, reading.total
        epoch, epochs = reading.epoch, reading.epochs
        if epoch is None and self._header:
            epoch, epochs = self._header[0] - 1, self._header[1]
        elif reading.bar is None and epoch is not None and (reading.epochs or reading.from_either):
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
            self._rounds += total == self._inner[1] and count < self._inner[0]
            self._inner = count, total
            return min(max(done, self._rounds), epochs - 1) * total + count, epochs * total
        if self._bar is not None and total != self._bar[1] and (self._bar[0] < self._bar[1] or total in self._within):
            self._within.add(total)
            return None, None
        if self._bar is not None and total != self._bar[1]:
            self._last = self._base = 0  # the one before was finished; this is the next part
        self._bar, self._fast = (count, total), (reading.rate or 0.0) > _FAST or self._fast
        placed = self._unwound(count)
        return placed, total if self._base == 0 else None
