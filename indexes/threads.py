"""What linear algebra and FAISS have once for the whole process: their threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import faiss
from threadpoolctl import threadpool_limits

_lock = Lock()
_limits: list[threadpool_limits] = []


@contextmanager
def one_blas_thread_each() -> Iterator[None]:
    """Let products use the thread that asks for them alone, while we have a thread for each core ourselves.

    Blocks may overlap, of several threads: the number of threads that it was comes back when the last one ends.
    """
    with _lock:
        _limits.append(threadpool_limits(1, "blas"))
    try:
        yield
    finally:
        with _lock:
            first = _limits.pop(0)
            if _limits:
                # What the next one found was ours: it is the first that knows what it was before.
                _limits[0] = first
            else:
                first.restore_original_limits()


def _forked() -> None:
    """In a child process there is no other thread. OpenMP waits for those that it had in the parent, for ever, unless it is told
    to do without; threads that the child starts have others of their own.
    """
    global _lock
    _lock = Lock()
    _limits.clear()
    faiss.omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
