"""Threads that share the kernels of one solve.

Every loop is cut into parts that depend on the model alone, never on the number of threads, and whoever is free takes the next part.
The caller takes parts as well: a thread that the operating system does not run in time costs nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

SMALL_DOF = 500_000
"""Below so many degrees of freedom the threads would wait for each other more than work [C]."""

MOST_THREADS = 4
"""Threads without being asked [D]: by then the memory is the limit."""

PARTS = 16
"""Parts of a loop: enough for a fair share, thick enough for little overhead [C]."""

LEAST_ITEMS = 4096
"""Loops over fewer items are not divided [D]."""

LEAST_SHARE = 64
"""Smallest slab: eight vectors [D]."""

CHUNK = 1 << 15
"""Items at a time of a loop that makes temporary arrays [C]: these then stay in the cache, and cost little memory."""


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="openbct-fe")


# The threads of a process do not follow it into a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def default_threads(n_dof: int) -> int:
    """Threads that pay off for so many degrees of freedom."""
    if n_dof < SMALL_DOF:
        return 1
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or 1
    return min(MOST_THREADS, available)


@dataclass(frozen=True)
class Team:
    """Some threads."""

    threads: int = 1

    def each(self, work: Callable[[int, int], object], count: int) -> None:
        """Call ``work(begin, end)`` so that all of ``range(count)`` is done, in any order."""
        if self.threads < 2 or count < 2:
            if count:
                work(0, count)
            return
        turn = itertools.count()

        def pull() -> None:
            while (part := next(turn)) < count:
                work(part, part + 1)

        pool = _helpers(self.threads - 1)
        helping = [pool.submit(pull) for _ in range(min(self.threads, count) - 1)]
        try:
            pull()
        finally:
            for one in helping:
                if not one.cancel():
                    one.result()

    def chunks(self, work: Callable[[int, int], object], items: int) -> None:
        """Call ``work(begin, end)`` for stretches of at most :data:`CHUNK` of the ``items``, in any order."""

        def some(first: int, last: int) -> None:
            for begin in range(first * CHUNK, min(last * CHUNK, items), CHUNK):
                work(begin, min(begin + CHUNK, items))

        self.each(some, -(-items // CHUNK))

    def aside(self, work: Callable[[], T]) -> Callable[[], T]:
        """Start ``work`` beside the caller if there is another thread; the function returned gives its result.

        Where no thread is free in time, the caller does the work when it asks for the result.
        """
        if self.threads < 2:
            return work
        future = _helpers(self.threads - 1).submit(work)
        return lambda: work() if future.cancel() else future.result()


ALONE = Team()
"""No other thread than the caller's."""


def part_count(items: int) -> int:
    """Parts of a loop over so many items."""
    return PARTS if items >= LEAST_ITEMS else 1


def plane_cuts(ends: NDArray[np.integer], planes: int) -> NDArray[np.int64]:
    """Planes ``(parts + 1)`` at which to cut a body into slabs with about equal shares, each at least two planes thick.

    ``ends`` is the number of items before each plane, with the total at the end. Cuts are even, so that a coarse element never
    lies on both sides of one.
    """
    total = int(ends[-1])
    parts = part_count(total)
    wanted = np.searchsorted(ends, np.arange(1, parts) * total // parts, side="right") - 1
    inner = np.unique(2 * (wanted // 2))
    cuts = [0]
    for cut in inner[(inner > 0) & (inner < planes - 1)].tolist():
        # Vectors reach a little past the end of their row: no further than into the next slab.
        if min(ends[cut] - ends[cuts[-1]], total - ends[cut]) >= LEAST_SHARE:
            cuts.append(cut)
    return np.array([*cuts, planes], dtype=np.int64)
