"""What linear algebra and FAISS have once for the whole process: their threads."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import threadpool_limits

from indexes.late import faiss


class _Limit:
    """A limit for the time that anybody wants it. One and the same thread sets it and takes it back: threadpoolctl lets no other
    do so, and where each thread had a limit of its own, what one found would be another's, and stay.
    """

    def __init__(self) -> None:
        self._lock, self._blocks = Lock(), 0
        self._thread = ThreadPoolExecutor(1, "onek-blas")
        self._limits: threadpool_limits | None = None

    def wanted(self) -> None:
        """From now on products take one thread."""
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._limits = self._thread.submit(threadpool_limits, 1, "blas").result()

    def unwanted(self) -> None:
        """Whoever said `wanted` does not need it any more."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._limits is not None:
                self._thread.submit(self._limits.restore_original_limits).result()


_limit = _Limit()


@contextmanager
def one_blas_thread_each() -> Iterator[None]:
    """Let products use the thread that asks for them alone, while we have a thread for each core ourselves.

    Blocks may overlap, of several threads: the number of threads that it was comes back when the last one ends.
    """
    limit = _limit
    limit.wanted()
    try:
        yield
    finally:
        limit.unwanted()


def _forked() -> None:
    """In a child process there is no other thread. OpenMP waits for those that it had in the parent, for ever, unless it is told
    to do without; threads that the child starts have others of their own.
    """
    global _limit
    _limit = _Limit()
    faiss.omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
