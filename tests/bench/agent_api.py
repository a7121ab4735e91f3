"""What `import hourglass` costs a training loop, a call: where an agent listens, and where there is none."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import Figure
from trainer import api
from trainer.deadline import boot_clock
from trainer.inbox import Inbox

CALLS = 50_000
# In processor time of the loop's own thread: on a machine that is shared a clock on the wall measures the others.
_LOOP = """
import sys, time
sys.path.insert(0, sys.argv[1])
import hourglass
def cost(call, calls):
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for step in range(calls):
            call(step)
        best = min(best, time.thread_time() - began)
    return 1e6 * best / calls
calls = int(sys.argv[2])
print(
    cost(lambda step: hourglass.report(step, total=calls, loss=1.5, lr=1e-3), calls),
    cost(lambda step: hourglass.should_stop(), calls),
    cost(lambda step: hourglass.time_left(), calls),
)
"""


def figures() -> list[Figure]:
    """Call each in a loop, as a training's step does."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hourglass.py").write_bytes(Path(api.__file__).read_bytes())
        inbox = Inbox(Path(folder) / "run", take=lambda message: None)
        inbox.publish(ends=boot_clock() + 3600.0, stop=None)
        inside = _costs(folder, {"HOURGLASS_SOCKET": str(inbox.address)})
        inbox.close()
        outside = _costs(folder, {})
    note = "report, should_stop, time_left: {:.2f}, {:.2f}, {:.2f} µs; outside Hourglass {:.2f}, {:.2f}, {:.2f}"
    return [
        Figure(
            name="a call of `import hourglass` in a loop, the dearest",
            value=max(inside),
            unit="µs",
            goal=2,
            note=note.format(*inside, *outside),
        )
    ]


def _costs(folder: str, env: dict[str, str]) -> list[float]:
    words = [sys.executable, "-c", _LOOP, folder, str(CALLS)]
    done = subprocess.run(words, env={"PATH": "", **env}, capture_output=True, text=True, check=True, timeout=300)
    return [float(word) for word in done.stdout.split()]
