"""How the C library handles freed memory. Only commands change that, since their process is ours alone."""

import ctypes
import sys

# Blocks in bytes from which on each is mapped for itself, and goes back when it is freed: copies of large pictures, and what a
# detector needs for one. glibc would come to keep them for later, in pieces: 60 MiB of 700.
_MAPPED = 16 << 20
# The parameter's number in malloc.h.
_M_MMAP_THRESHOLD = -3


def give_large_blocks_back() -> None:
    """Let glibc give large blocks back at once; other C libraries are left as they are."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MAPPED)


def give_free_memory_back() -> None:
    """Give back what was freed and glibc still keeps, in the heaps of all threads; other C libraries are left as they are."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
