"""`hourglass demo`: the story once, and then the page for as long as somebody wants to look."""

from __future__ import annotations

import math
import signal
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from rich.console import Console

from bot.demo.stage import CHANNEL, RESEARCHER, Plan, Stage
from bot.demo.story import Story, succeeded
from jobs.errors import HourglassError

# Five minutes are the promise; the training makes itself shorter on a busy machine.
LIMIT = 280.0


def run(*, once: bool, out: Path, port: int, provider: str, image: str, steps: int = 0) -> int:
    """Run the demo; return the exit code: 0 only if the job succeeded and its checkpoint loads."""
    console = Console(highlight=False)
    # A supervisor's SIGTERM takes the same way out as Ctrl-C: through every `with`.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="hourglass-demo-") as folder:
            # The logs stay: a demo that failed names one.
            port = 0 if once else port
            plan = Plan(folder=Path(folder), provider=provider, port=port, image=image, steps=steps, logs=out)
            return _run(plan, console, once=once, out=out)
    except KeyboardInterrupt:
        console.print("\nInterrupted: the machine, the bot and the workspace are ended.")
        return 130
    except HourglassError as error:
        console.print(f"[red]hourglass:[/red] {error}", markup=True)
        return 1


def _run(plan: Plan, console: Console, *, once: bool, out: Path) -> int:
    console.print("[bold]Hourglass demo[/bold]: a stand-in for Slack; the bot, the money, the deadlines and")
    console.print("the training behind it are the code that is deployed.")
    # Whoever watches may leave when they have seen enough.
    limit = LIMIT if once else math.inf
    with Stage(plan) as stage, closing(Story(stage, console, limit=limit)) as story:
        console.print(f"The page: {stage.sandbox.page_url(RESEARCHER, CHANNEL)}", soft_wrap=True)
        console.print(f"The line: [bold]{story.line()}[/bold]", soft_wrap=True)
        ending = story.tell(out)
        done = succeeded(ending)
        console.print()
        if done:
            console.print(f"[green]Done.[/green] {out}/ has thread.json, {len(ending.plots)} plots and the checkpoint.")
        else:
            console.print(f"[red]The job ended as {ending.job.state.value}[/red]: {ending.job.error}")
        if not once:
            _serve_page(stage, console)
        return 0 if done else 1


def _serve_page(stage: Stage, console: Console) -> None:
    console.print(f"\nNow you: {stage.sandbox.page_url(RESEARCHER, CHANNEL)}", soft_wrap=True)
    console.print(
        "Try `/train help`, or a rental that its deadline ends: the same line with hours=2m. Ctrl-C ends it all."
    )
    waiting = threading.Event()
    while not waiting.wait(1.0):
        stage.bot.check()
