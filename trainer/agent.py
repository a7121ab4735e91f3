"""The agent: supervises one order from the first look at the machine to the outcome.

    order -> GPU -> source -> checkpoint to continue from -> setup -> command -> last checkpoint -> outcome

Everything that happens on the way becomes events, and whatever goes wrong becomes an outcome with its reason. The
main thread supervises and waits for nothing that can hang; reading, reporting, uploading and listening have threads
of their own. The machine itself is ended by others: by `init` at the deadline, by the provider after the outcome.
"""

from __future__ import annotations

import os
import pkgutil
import queue
import shlex
import signal
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from trainer import fetch, keys, procs, resuming, wire
from trainer.artifacts import Artifacts, Place
from trainer.command import Command, shell
from trainer.control import ControlWatch
from trainer.deadline import Deadline, boot_clock
from trainer.events import Reporter
from trainer.fetch import CannotStart
from trainer.inbox import Inbox
from trainer.init import ENV_INIT_FD, EXIT_BAD_MACHINE, say
from trainer.inputs import Ground, Inputs
from trainer.inspection import inspect
from trainer.lent import LeaseWatch
from trainer.logs import LogShip
from trainer.machine import BadMachine, Machine, machine_from
from trainer.notice import Notice, NoticeWatch, Source, seconds_left
from trainer.outcome import Outcome, Refused, decide, oom_kills, was_killed
from trainer.output import Output, Redactor
from trainer.peers import PATIENCE, Meeting
from trainer.preempt import Preemption, Step
from trainer.printed import printed_of
from trainer.progress import Progress
from trainer.rereading import Describer
from trainer.settled import Cut
from trainer.spool import Spool
from trainer.storage import FolderStore, S3Store, Store, StoreFault, StoreRefusal, open_store
from trainer.uploads import Uploads
from trainer.watches import Watches
from trainer.wire import AgentOrder, Control, EventKind, Reason, Stage

EXIT_FINISHED = 0
EXIT_ENDED = 1
EXIT_UNREPORTED = 75

_HEARTBEAT = 10.0  # seconds
_TICK = 0.25  # seconds between looks at the clock while nothing happens
_FIRST_GRACE = 5.0  # seconds; until the order tells the real one
_POLL_FOLDER, _POLL_S3 = 1.0, 5.0  # seconds between looks at the control file, and for other machines
_LAST_LOOK = 1.0  # seconds to learn from the control file who wanted the stop
_LAST_TRIES = 20.0  # seconds to get the outcome out where the deadline leaves more


class _Stopped(Exception):
    """The run is to stop before its command has begun."""


class Agent:
    """One run of one order."""

    def __init__(self, machine: Machine, store: Store, env: Mapping[str, str], scratch: Path) -> None:
        self._machine = machine
        self._store = store
        self._env = env
        self._scratch = scratch
        self._born = boot_clock()
        self._beat_at = self._born
        self._deadline = Deadline(machine.deadline)
        self._preemption = Preemption(grace=_FIRST_GRACE)
        # SimpleQueue is the one thing a signal handler may safely put into.
        self._mail: queue.SimpleQueue[Control | Reason | Notice | int] = queue.SimpleQueue()
        key = (machine.job, machine.attempt)
        redactor = Redactor(env)
        self._reporter = Reporter(store, lambda n: wire.event_key(*key, n, machine.rank), mask=redactor.mask)
        self._log = LogShip(store, lambda n: wire.log_key(*key, n, machine.rank), notice=self._reporter.notice)
        self._progress = Progress(
            tell=self._reporter.tell, spool=Spool(scratch / "printed"), suggests=machine.rank == 0
        )
        self._refused = Refused()
        self._output = Output(redactor=redactor, log=self._logged, watch=self._line)
        self._describer = Describer(
            self._progress.described_anew, say=lambda told: self._output.say(f"hourglass: {told}")
        )
        self._inbox = Inbox(scratch / "run", take=self._heard)
        self._poll = _POLL_FOLDER if isinstance(store, FolderStore) else _POLL_S3
        self._control = ControlWatch(
            store,
            wire.control_key(*key),
            every=self._poll,
            wish=self._mail.put,
            notice=self._reporter.notice,
        )
        if isinstance(store, S3Store) and store.lent is not None:
            link = env.get(wire.ENV_LEASE_URL, "")
            LeaseWatch(lambda: store.get(wire.lease_key(*key)), take=store.lent.take, link=link)
        self._uploads: Uploads | None = None
        self._killed_at: float | None = None  # when the last of it was, in unix seconds
        self._watches: Watches | None = None
        self._notices: NoticeWatch | None = None

    def run(self) -> int:
        """Do the whole of it; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._signalled)
        self._publish()
        if self._machine.spot_notice:
            self._notices = NoticeWatch(Source(self._machine.spot_notice), tell=self._mail.put)
        try:
            outcome = self._work()
        except CannotStart as error:
            outcome = Outcome(reason=error.reason, tail=[*self._output.tail(), str(error)])
        except _Stopped:
            outcome = Outcome(reason=self._preemption.reason or Reason.INTERNAL, tail=self._output.tail())
        except StoreRefusal as refusal:
            outcome = Outcome(reason=Reason.INTERNAL, tail=[f"The store refuses: {refusal}"])
        except StoreFault as fault:
            outcome = Outcome(reason=Reason.INTERNAL, tail=[f"The store could not be reached: {fault}"])
        except Exception:  # noqa: BLE001  the last line of defence: the thread gets a reason, not silence
            outcome = Outcome(reason=Reason.INTERNAL, tail=traceback.format_exc().splitlines())
        return self._end(outcome)

    # -- the way of an order ---------------------------------------------------------------------------------

    def _work(self) -> Outcome:
        order = self._insist(lambda: fetch.order(self._store, *self._identity))
        self._preemption.grace = order.grace
        self._reporter.pace(order.flush_every)
        self._log.pace(order.flush_every)
        if self._progress.described is None:  # else somebody has done so since the order was written
            self._progress.describe(order.progress)
        self._stage(Stage.CHECK)
        inspect(order, self._reporter, lambda: self._command_env(order))
        self._stage(Stage.SOURCE, order.commit)
        folder = self._insist(lambda: fetch.source(self._store, order, self._scratch))
        artifacts = self._artifacts(order, folder)
        env = self._command_env(order)
        restored = None
        if resume_key := order.resume_key:
            restored = self._insist(
                lambda: fetch.checkpoint(self._store, resume_key, artifacts.home, keys.ring(self._env))
            )
            env |= resuming.variables(restored)
        env |= self._take_along(order, folder)
        if stopped := self._stopped_early():
            return stopped
        if order.setup:
            self._stage(Stage.SETUP)
            done = self._supervise(shell(order.setup, env.get("PATH")), folder, env)
            if done.reason is not Reason.FINISHED:
                asked = self._preemption.reason
                return (
                    done
                    if asked
                    else Outcome(reason=Reason.SETUP_FAILED, code=done.code, signal=done.signal, tail=done.tail)
                )
        if order.nodes > 1:
            env |= self._join(order)
            if stopped := self._stopped_early():
                return stopped
        artifacts.baseline(restored.name if restored is not None and restored.proven else "")
        self._uploads = Uploads(artifacts, notice=self._reporter.notice)
        argv = self._argv(order, restored, folder, env)
        self._watches = Watches(order, folder, filed=self._progress.filed, idle=self._idle, hung=self._hung)
        try:
            return self._supervise(argv, folder, env)
        finally:
            self._watches.close()

    def _take_along(self, order: AgentOrder, folder: Path) -> Mapping[str, str]:
        """Put the inputs in place; return their variables. Stop and the deadline are heard meanwhile, and end it."""
        if not order.inputs:
            return {}
        self._stage(Stage.INPUTS)
        cache = Path(self._env.get(wire.ENV_CACHE) or self._scratch / "cache")
        inputs = Inputs(
            order.inputs,
            # The agent's parent is a container's first process, or an ordinary process of a computer with others on it.
            Ground(source=folder, scratch=self._scratch, cache=cache, own_root=os.getppid() == 1),
            self._store,
            env=self._env,
            patience=max(0.0, self._deadline.left()) / 2,
            tell=lambda note: self._stage(Stage.INPUTS, note),
            say=lambda line: self._output.say(f"hourglass: {line}"),
        )
        while self._preemption.reason is None and not inputs.finished(_TICK):
            self._wait(0.0)
            self._preemption.step(boot_clock(), self._deadline.ends)
        inputs.cancel()
        return inputs.variables

    def _join(self, order: AgentOrder) -> Mapping[str, str]:
        """Wait until every machine of the attempt is ready; return what tells the command of the others."""
        patience = min(PATIENCE, max(0.0, self._deadline.left()) / 2)
        give_up, look_at = boot_clock() + patience, 0.0
        with Meeting(order, self._store, self._machine.address) as meeting:
            self._insist(meeting.arrive)
            self._stage(Stage.JOIN, meeting.ready)
            while self._preemption.reason is None:
                if (now := boot_clock()) >= look_at:
                    look_at = now + self._poll
                    if self._insist(meeting.complete):
                        return meeting.variables()
                if now >= give_up:
                    raise CannotStart(Reason.LOST, f"{meeting.ready} after {round(patience / 60)} min; {meeting.late}")
                self._wait()
                self._preemption.step(boot_clock(), self._deadline.ends)
        return {}

    def _argv(
        self, order: AgentOrder, restored: fetch.Restored | None, folder: Path, env: Mapping[str, str]
    ) -> list[str]:
        """Say that it runs, and from where; return what to start."""
        command = "\n".join((*order.commands, *order.again.commands, *map(shlex.join, (order.argv, order.again.argv))))
        failures: list[str] = []
        printed = self._insist(lambda: printed_of(command, folder, failures.append))
        for failure in failures:
            self._output.say(f"hourglass: {failure}")
        self._progress.runs(printed, resumed=restored is not None)
        if restored is None:
            self._stage(Stage.RUN)
            return list(order.argv) or shell(order.commands, env.get("PATH"))
        start = resuming.start(order, restored, folder)
        self._stage(Stage.RUN, resuming.reached(restored), resumed={"name": restored.name, "step": restored.step})
        self._output.say(f"hourglass: {start.said}")
        return list(start.argv) or shell(start.commands, env.get("PATH"))

    @property
    def _identity(self) -> tuple[str, int, int]:
        return self._machine.job, self._machine.attempt, self._machine.rank

    def _insist(self, action: Callable[[], fetch.T]) -> fetch.T:
        """Return what the store is asked for; Stop and the deadline are heard meanwhile, and raise `_Stopped`."""
        errand = fetch.Errand(action, patience=max(0.0, self._deadline.left()) / 2)
        while not errand.finished(_TICK):
            self._wait(0.0)
            self._preemption.step(boot_clock(), self._deadline.ends)
            if self._preemption.reason is not None:
                errand.cancel()
                raise _Stopped
        return errand.result()

    def _artifacts(self, order: AgentOrder, folder: Path) -> Artifacts:
        try:
            return Artifacts(
                self._store,
                Place(job=order.job, attempt=order.attempt, rank=order.rank),
                order.checkpoints,
                root=folder,
                scratch=self._scratch / "snapshots",
                tell=self._saved,
                notice=self._reporter.notice_each,
                step_at=self._progress.step_at,
                key=keys.sealing(order, self._env),
            )
        except ValueError as error:
            raise CannotStart(Reason.BAD_SPEC, str(error)) from error

    def _command_env(self, order: AgentOrder) -> dict[str, str]:
        """Return what the team's command gets: the machine's own, the order's, and ours without the store."""
        inherited = {
            name: value
            for name, value in self._env.items()
            if name not in (wire.ENV_STORE, wire.ENV_SECRETS, ENV_INIT_FD)
            and not name.startswith(wire.ENV_STORE_PREFIX)
        }
        module = self._scratch / "api" / "hourglass.py"
        if not module.exists():
            module.parent.mkdir(parents=True, exist_ok=True)
            module.write_bytes(pkgutil.get_data("trainer", "api.py") or b"")
        env = {**inherited, **order.env}
        env["PYTHONUNBUFFERED"] = "1"
        # Last, so that a team's own module of that name comes first.
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH", ""), str(module.parent)]))
        env[wire.ENV_SOCKET] = str(self._inbox.address)
        return env

    # -- supervision -----------------------------------------------------------------------------------------

    def _supervise(self, argv: list[str], folder: Path, env: Mapping[str, str]) -> Outcome:
        """Run a command to its end, or to ours; return how it ended."""
        killed_before, self._refused = oom_kills(), Refused()
        command = Command(argv, cwd=folder, env=env, output=self._output)
        left_at: float | None = None  # when the command itself did, in unix seconds; others of its group may live on
        while True:
            step = self._preemption.step(boot_clock(), self._deadline.ends)
            if step is Step.ASK:
                self._ask_to_stop()
            if step in (Step.ASK, Step.WAIT):
                before = len(command.cuts)
                command.ask(boot_clock())
                self._cut(*command.cuts[before:])
            if step is Step.KILL:
                break
            ended = command.poll()
            left_at = time.time() if ended and left_at is None else left_at
            if ended and (step is Step.LET_RUN or not command.group_alive()):
                break
            self._wait()
        ended_at = time.time()
        code = command.finish()
        asked = self._preemption.reason is not None
        by_signal = was_killed(code, asked=asked)
        if by_signal and left_at is not None:
            self._cut(None, at=left_at)
        self._killed_at = ended_at if by_signal or step is Step.KILL or oom_kills() > killed_before else None
        return decide(
            asked=self._preemption.reason,
            returncode=code,
            oom_kills=oom_kills() - killed_before,
            refused=self._refused,
            tail=self._output.tail(),
        )

    def _cut(self, *cuts: Collection[tuple[int, int]] | None, at: float | None = None) -> None:
        """Have it known that programs were ended where they were, and what each may have been writing."""
        if cuts and self._uploads is not None:
            self._uploads.hurry(*(Cut(at=time.time() if at is None else at, open=open_) for open_ in cuts))

    def _ask_to_stop(self) -> None:
        self._stage(Stage.SAVE, self._preemption.reason.value if self._preemption.reason else "")
        self._publish()
        if self._uploads is not None:
            self._uploads.hurry()

    def _stopped_early(self) -> Outcome | None:
        self._wait(0.0)
        self._preemption.step(boot_clock(), self._deadline.ends)
        return Outcome(reason=self._preemption.reason, tail=self._output.tail()) if self._preemption.reason else None

    def _wait(self, timeout: float = _TICK) -> None:
        """Wait for something to happen, and see to what did."""
        try:
            message = self._mail.get(timeout=timeout) if timeout else self._mail.get_nowait()
        except queue.Empty:
            message = None
        if isinstance(message, Control):
            self._obey(message)
        elif message is Reason.IDLE_GPU:
            self._preemption.ask(Reason.IDLE_GPU, boot_clock())
        elif isinstance(message, Notice):
            self._taken_back(message)
        elif message is not None and message != signal.SIGCHLD:
            self._preemption.ask(Reason.PREEMPTED, boot_clock())
            self._control.poke()  # perhaps somebody pressed Stop, and this is how the provider says it
        now = boot_clock()
        if now - self._beat_at >= _HEARTBEAT:
            self._beat_at = now
            self._reporter.tell(EventKind.HEARTBEAT, {"uptime": round(now - self._born, 1)})

    def _taken_back(self, notice: Notice) -> None:
        """Save and stop in the time that the provider leaves; what its word was is told before anything else."""
        at = time.strftime("%H:%M:%S", time.gmtime(notice.at))
        text = f"{notice.by} takes this machine back at {at} UTC. The script is asked to save and stop."
        self._reporter.notice("spot_notice", text)
        self._preemption.ask(Reason.PREEMPTED, boot_clock(), within=seconds_left(notice, time.time()))

    def _idle(self, told: str) -> None:
        self._reporter.notice("idle_gpu", f"{told} The rental is ended, as the task file asks.")
        self._mail.put(Reason.IDLE_GPU)

    def _hung(self, told: str) -> None:
        self._reporter.notice("hung", told)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._mail.put(number)

    def _obey(self, control: Control) -> None:
        if control.deadline != self._deadline.at:
            self._deadline.move(control.deadline)
            self._tell_init(control.deadline)
        if control.stop is not None:
            self._preemption.ask(control.stop, boot_clock())
        if control.progress is not None:
            self._describer.hear(control.progress)
        self._publish()

    def _tell_init(self, deadline: float) -> None:
        fd = self._env.get(ENV_INIT_FD, "")
        if fd.isdecimal():
            os.write(int(fd), f"{deadline!r}\n".encode())

    def _logged(self, text: str) -> None:
        self._log.write(text)
        self._refused.take(text)

    def _line(self, text: str) -> None:
        self._sign()
        self._progress.line(text)

    def _saved(self, data: Mapping[str, object]) -> None:
        self._sign()
        self._reporter.tell(EventKind.CHECKPOINT, data)

    def _heard(self, message: Mapping[str, object]) -> None:
        self._sign()
        path = message.get("save")
        if isinstance(path, str) and self._uploads is not None:
            self._uploads.named(Path(path))
        else:
            self._progress.reported(message)

    def _publish(self) -> None:
        reason = self._preemption.reason
        self._inbox.publish(ends=self._deadline.ends, stop=reason.value if reason else None)

    def _sign(self) -> None:
        if self._watches is not None:
            self._watches.sign()

    def _stage(self, stage: Stage, note: str = "", **more: Any) -> None:
        self._reporter.tell(EventKind.STAGE, {"stage": stage.value, "note": note, **more})

    # -- the end ---------------------------------------------------------------------------------------------

    def _end(self, outcome: Outcome) -> int:
        if self._notices is not None:
            self._notices.close()
        self._inbox.close()
        self._progress.flush()
        if self._uploads is not None:
            if self._preemption.reason is None:
                self._stage(Stage.SAVE)
            self._finish_uploads(self._uploads)
        if outcome.reason is Reason.PREEMPTED and self._control.fresh(_LAST_LOOK):
            self._wait(0.0)
        if outcome.reason is Reason.PREEMPTED and self._preemption.reason is not None:
            outcome = Outcome(
                reason=self._preemption.reason, code=outcome.code, signal=outcome.signal, tail=outcome.tail
            )
        self._control.close()
        if outcome.reason is not Reason.FINISHED and outcome.tail and outcome.code is None and outcome.signal is None:
            self._output.say(f"hourglass: {outcome.tail[-1]}")
        left = min(_LAST_TRIES, max(1.0, self._deadline.left()))
        logged = self._log.close(left / 2)
        self._stage(Stage.DONE)
        self._reporter.tell(EventKind.OUTCOME, outcome.data(self._progress.steps))
        if not self._reporter.close(left) or not logged:
            say("not everything could be reported before the time was up.")
            return EXIT_UNREPORTED
        return EXIT_FINISHED if outcome.reason is Reason.FINISHED else EXIT_ENDED

    def _finish_uploads(self, uploads: Uploads) -> None:
        """Wait for the last checkpoint, as long as the plan allows; the bot may still change its mind."""
        uploads.finish(self._killed_at)
        while not uploads.finished(_TICK):
            self._wait(0.0)
            if boot_clock() >= self._preemption.last_call(self._deadline.ends):
                self._reporter.notice("upload_cut", uploads.abandon())
                return


def main() -> int:
    """Run as the child of `init`; return the exit code."""
    env = dict(os.environ)
    if (fd := env.get(ENV_INIT_FD, "")).isdecimal():
        os.set_inheritable(int(fd), False)  # what the team runs must not move the deadline
    procs.signal_me_when_parent_dies(signal.SIGTERM)
    try:
        machine = machine_from(env)
        store = open_store(machine.store, env)
    except (BadMachine, StoreFault) as error:
        say(str(error))
        return EXIT_BAD_MACHINE
    scratch = machine.workdir or Path.cwd()
    scratch.mkdir(parents=True, exist_ok=True)
    # Not by returning: Python would wait for the threads of the SDK's in which a file still comes or goes.
    os._exit(Agent(machine, store, env, scratch).run())
