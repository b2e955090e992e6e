"""Threads of linear algebra (BLAS) and of FAISS, which are set for the whole process."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

from indexes.late import faiss, threadpoolctl


class _Limit:
    """One BLAS thread, for as long as any block wants that. A thread of its own sets and lifts the limit, since threadpoolctl
    wants both from the same thread. If each block had its own limit, one that starts inside another would restore the other's
    limit when it ends, and the limit would stay.
    """

    def __init__(self) -> None:
        self._lock, self._blocks = Lock(), 0
        self._thread = ThreadPoolExecutor(1, "onek-blas")
        self._limits: Any = None

    def wanted(self) -> None:
        """Matrix products take one thread from now on."""
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._limits = self._thread.submit(threadpoolctl.threadpool_limits, 1, "blas").result()

    def unwanted(self) -> None:
        """A block that called `wanted` has ended."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._limits is not None:
                self._thread.submit(self._limits.restore_original_limits).result()


_limit = _Limit()


@contextmanager
def one_blas_thread_each() -> Iterator[None]:
    """Let matrix products run in the calling thread only, where the caller has a thread for each core itself.

    Blocks of several threads may overlap. The former number of threads is restored when the last one ends.
    """
    limit = _limit
    limit.wanted()
    try:
        yield
    finally:
        limit.unwanted()


@contextmanager
def faiss_threads(most: int) -> Iterator[None]:
    """Let what the calling thread asks of FAISS take so many threads at most; what other threads ask is not affected.

    For little work, and beside other work: FAISS's threads spin while they wait for each other.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(most, before))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _forked() -> None:
    """A forked child has none of its parent's threads, and OpenMP would wait for them for ever: it gets one thread instead.
    Threads that the child starts are not affected.
    """
    global _limit
    _limit = _Limit()
    faiss.omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
