"""Which of its checkpoints a job goes on from: the newest save, and of what was saved together the one that says most.

What a script saves at one time may stand as several checkpoints: all of it in `last.pt`, the weights alone in
`best.pt`. Between these the size tells, an optimizer's state being as large as the weights or larger. Between two
saves it tells nothing: a base model that was saved once at the start is larger than every adapter that was trained.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from jobs.model import Checkpoint
from trainer.filenames import MODEL_FILE, is_ordinary, moment, roles
from trainer.sealed import SUFFIX

_TRAINER_STATE = "trainer_state.json"
# Of the size of the largest of one save: weights and momentum without the step and the scheduler are no less.
_WHOLE_SHARE = 0.75
# Often the weights alone.
_BEST, _FINAL = (re.compile(rf"(?:^|[^a-z]){word}(?:[^a-z]|$)", re.IGNORECASE) for word in ("best", "final"))
_WHILE = 10.0  # seconds within which one save is written …
_SLOW_DISK = 50e6  # … and the bytes a second of a large file


def to_go_on_from(rows: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return checkpoints in the order in which they are tried, `rows` being the oldest first.

    The newest save goes first. Five things come after all others, since nothing may be able to go on from them: what
    a kill may have left half, a file or one of several; the bare model that a library writes where a trainer's
    checkpoints stand; what is called the best or the final one where another is saved over and over; and what each
    start of the script writes before it has trained.
    """
    saves = _saves(rows)
    role = roles([path for row in rows for path in _paths(row)])
    saved_as = {id(row): {role[path] for path in _paths(row)} for row in rows}
    trained = any(_says_how_far(row) for row in rows)
    times = Counter((row.attempt, name) for row in rows for name in saved_as[id(row)])
    again = {name for (_, name), count in times.items() if count > 1}
    spares = {id(row) for row in rows if _is_spare(row, saved_again=bool(saved_as[id(row)] & again))}
    others = Counter(name for row in rows if id(row) not in spares for name in saved_as[id(row)])
    recurs = max(others.values(), default=0)
    apart = _at_starts(saves, saved_as) | _parts(saves, saved_as)

    def order(row: Checkpoint, age: int, largest: int) -> tuple[object, ...]:
        lacks_state, spare = trained and not _says_how_far(row), id(row) in spares
        late = (not is_proven(row), lacks_state and _is_bare(row), id(row) in apart, recurs > 1 and spare)
        return (*late, age, lacks_state, row.bytes < _WHOLE_SHARE * largest, spare)

    ordered = [(order(row, age, max(one.bytes for one in save)), row) for age, save in enumerate(saves) for row in save]
    return [row for _, row in sorted(ordered, key=lambda one: one[0])]  # stable: the newest of equals goes first


def is_proven(row: Checkpoint) -> bool:
    """Return whether each of its files was seen to be whole; of the others a kill may have left half."""
    return not any(file.get("unproven") for file in row.files)


def _at_starts(saves: Sequence[Sequence[Checkpoint]], saved_as: Mapping[int, set[str]]) -> set[int]:
    """Return what an attempt wrote before it had trained, as one before it did: a vocabulary, a base model.

    It is of the attempt's first save, was saved once, and is either the same bytes or called by a name of its own in a
    script that then saves other things over and over: a `last.pt` or an `epoch_2.pt` that follows another attempt's is
    what that one trained.
    """
    times = Counter((row.attempt, name) for save in saves for row in save for name in saved_as[id(row)])
    goes_on = {attempt for (attempt, _), count in times.items() if count > 1}
    first = {save[0].attempt: save for save in saves}  # the oldest of each stays
    found: set[int] = set()
    for attempt, save in first.items():
        for row in save:
            names = saved_as[id(row)]
            once = all(times[attempt, name] == 1 for name in names)
            before = [one for other in first if other < attempt for one in first[other] if saved_as[id(one)] == names]
            alike = [one for one in before if all(times[one.attempt, name] == 1 for name in names)]
            if once and any(
                _hashes(one) == _hashes(row) != set() or (one.attempt in goes_on and _is_called(row)) for one in alike
            ):
                found.add(id(row))
    return found


def _parts(saves: Sequence[Sequence[Checkpoint]], saved_as: Mapping[int, set[str]]) -> set[int]:
    """Return what an attempt saved last, where the save before had that and more: a kill may have taken the rest."""
    found: set[int] = set()
    ended: set[int] = set()
    for at, save in enumerate(saves):
        attempt = save[0].attempt
        if attempt not in ended and at + 1 < len(saves) and saves[at + 1][0].attempt == attempt:
            whole = [saved_as[id(row)] for row in saves[at + 1]]
            found |= {id(row) for row in save if any(saved_as[id(row)] < one for one in whole)}
        ended.add(attempt)
    return found


def _saves(rows: Sequence[Checkpoint]) -> list[list[Checkpoint]]:
    """Return what was saved together, the newest first."""
    saves: list[list[Checkpoint]] = []
    for row in reversed(rows):
        if saves and _is_of(saves[-1][0], row):
            saves[-1].append(row)
        else:
            saves.append([row])
    return saves


def _is_of(newest: Checkpoint, older: Checkpoint) -> bool:
    """Return whether `older` was saved together with `newest`, by their names, the step and the time."""
    numbers = [_numbers(row) for row in (newest, older)]
    if newest.attempt != older.attempt or (all(numbers) and numbers[0] != numbers[1]):
        return False
    if newest.step is not None and newest.step == older.step:
        return True
    return (newest.at - older.at).total_seconds() <= _WHILE + newest.bytes / _SLOW_DISK


def _numbers(row: Checkpoint) -> set[str]:
    return {word for path in _paths(row) for word in moment(PurePosixPath(path).name) if word[:1].isdecimal()}


def _hashes(row: Checkpoint) -> set[object]:
    return {file["sha256"] for file in row.files if file.get("sha256")}


def _is_called(row: Checkpoint) -> bool:
    """Return whether its name says what it is, and neither when it was saved nor that it is a checkpoint."""
    return not _numbers(row) and not any(is_ordinary(PurePosixPath(path).name) for path in _paths(row))


def _is_bare(row: Checkpoint) -> bool:
    return any(MODEL_FILE.match(PurePosixPath(path).name) for path in _paths(row))


def _is_spare(row: Checkpoint, *, saved_again: bool) -> bool:
    """Return whether it is called the best, or the final one, which is saved once: else a stage is called so."""
    return all(_BEST.search(path) or (_FINAL.search(path) and not saved_again) for path in _paths(row))


def _says_how_far(row: Checkpoint) -> bool:
    return any(_TRAINER_STATE in path for path in _paths(row))


def _paths(row: Checkpoint) -> list[str]:
    return [str(file["path"]).removesuffix(SUFFIX) for file in row.files]
