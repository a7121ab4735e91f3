"""Whose a line is, of several processes that print the same ones beside each other.

torchrun puts a process' number before its lines only where it is told to (`[rank1]:`); scripts name it as they like:
"Rank 1 | step 5 | loss 2.3". Such a number is a process' where lines that follow each other have the same words and the
same counts and differ in it, at two steps at least: one that is tried out, "rank=8" after "rank=4", is none. From then
on the lowest number's lines are read alone. Lines without any number cannot be told apart.
"""

from __future__ import annotations

import re

# What "rank 1" looks like, and what comes behind it: "Rank 1: 0.9" is a share of answers.
_NUMBER = re.compile(
    r"""(?<![\w.-])(?:(?:global|local|world|process)[ _])?(?:rank|gpu|cuda|process)["']?\s?[:=#]?\s?"""
    r"""(?P<rank>\d{1,4})(?:/\d+)?"""
    r"""(?=["']?\s?[|\])},;>:](?!\s*[-+]?\.?\d)|\s-\s|\s*$|\s(?:epoch|step|iter|batch|update))""",
    re.IGNORECASE,
)
_HINTS = ("rank", "Rank", "RANK", "gpu", "GPU", "cuda", "rocess")  # looked for first: most lines have none
_COUNT = re.compile(
    r"""(?:epoch|step|iter(?:ation)?|batch|update|episode)s?["']?\s?[:=#]?\s?\[?\s*\d+|\d+/\d+""", re.IGNORECASE
)
_DIGITS = {ord(digit): None for digit in "0123456789"}
_MOST_FORMS = 100


class Ranks:
    """Tells the lines of the process that is read from those of the others."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, tuple[str, ...]]] = {}  # of lines of the same words the last: number, counts
        self._agreed: set[tuple[str, ...]] = set()  # counts that two processes have told, one right after the other
        self._seen: set[int] = set()  # numbers of those
        self._lowest = 10_000
        self._known = False  # such numbers are those of processes

    def is_anothers(self, text: str) -> bool:
        """Return whether this line is of a process beside the one that is read."""
        for hint in _HINTS:
            if hint in text:
                break
        else:
            return False
        found = _NUMBER.search(text)
        if found is None:
            return False
        rank = int(found["rank"])
        if not self._known:
            self._compare(rank, text[: found.start()] + text[found.end() :])
            return self._known and rank != self._lowest
        self._lowest = min(self._lowest, rank)
        return rank != self._lowest

    def _compare(self, rank: int, rest: str) -> None:
        counts = tuple(_COUNT.findall(rest))
        if not counts:
            return
        if len(self._before) >= _MOST_FORMS:
            self._before.clear()
        form = rest.translate(_DIGITS)
        other, told = self._before.get(form, (rank, counts))
        self._before[form] = rank, counts
        if other != rank and told == counts:
            self._agreed.add(counts)
            self._seen |= {rank, other}
            self._lowest = min(self._seen)
            follow = any(one + 1 in self._seen for one in self._seen)  # 4, 8 and 16 are tried out
            self._known = follow and len(self._agreed) > 1
