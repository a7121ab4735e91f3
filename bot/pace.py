"""How fast Slack may be talked to: when which gate opens again, on a clock that never jumps."""

from __future__ import annotations

from jobs.clock import Clock

BETWEEN_POSTS = 1.05  # seconds between two messages in one channel; Slack allows one a second
BETWEEN_EDITS = 1.5  # seconds between two edits that nobody waits for: chat.update allows some 50 a minute
ONE_CARD = 3.0  # seconds between two edits of one card that say nothing new but numbers
EVERYTHING = "everything"
LONGEST_OUTAGE_PAUSE = 10.0  # seconds; as long as a call may hang, and a new approval has to wait for


class Pace:
    """Gates by name, each open or shut until a moment. One thread's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shut: dict[str, float] = {}
        self._stumbles = 0

    def open(self, *gates: str) -> bool:
        """Return whether all of these gates are open, and the one for everything."""
        now = self._clock.monotonic()
        return all(self._shut.get(gate, 0.0) <= now for gate in (EVERYTHING, *gates))

    def shut(self, gate: str, seconds: float) -> None:
        """Shut a gate for so long; one that is shut for longer stays so."""
        self._shut[gate] = max(self._shut.get(gate, 0.0), self._clock.monotonic() + seconds)

    def stumbled(self) -> None:
        """Say that a call had no answer: after the second in a row everything pauses, longer each time.

        Each call of an outage hangs for seconds; a backlog that is tried to its end would keep everybody from the
        news that came meanwhile, and from a bot that is told to stop.
        """
        self._stumbles += 1
        if self._stumbles > 1:
            self.shut(EVERYTHING, min(LONGEST_OUTAGE_PAUSE, 2.0 ** min(self._stumbles - 2, 4)))

    def went_well(self) -> None:
        """Say that a call was answered."""
        self._stumbles = 0

    def wait(self) -> float | None:
        """Return the seconds until the next gate opens, None when all are open; forgets those that are."""
        now = self._clock.monotonic()
        self._shut = {gate: at for gate, at in self._shut.items() if at > now}
        return min(self._shut.values()) - now if self._shut else None
