"""Work that is spread over this machine's processors, its results in the order in which it was asked for."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

What = TypeVar("What")
Found = TypeVar("Found")


def spread(work: Callable[[What], Found], asked: Iterable[What], *, hands: int | None = None) -> Iterator[Found]:
    """Yield what `work`, which can be pickled, makes of each that was asked; may be left early, and endless.

    `hands`: processes, as many as there are processors unless it says otherwise; with 1 it is done in this one. A few
    more than are yielded were begun by then.
    """
    hands = hands or os.cpu_count() or 1
    if hands == 1:
        yield from map(work, asked)
        return
    each, begun = iter(asked), deque[Future[Found]]()
    pool = ProcessPoolExecutor(hands, mp_context=multiprocessing.get_context("forkserver"))
    try:
        while True:
            begun.extend(pool.submit(work, one) for one in islice(each, 2 * hands - len(begun)))
            if not begun:
                return
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
