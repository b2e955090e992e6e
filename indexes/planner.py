"""Choose the kind of index for a number of vectors, a memory and a recall, and estimate what it takes."""

import shutil
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from humanfriendly import format_size

from indexes.approximate.faiss_factory import empty_index
from indexes.errors import IndexUnsupported, PlanError
from indexes.late import faiss, psutil
from indexes.registry import KINDS

RECALL = 0.998

# Up to so many vectors exact search is fast enough; up to so many, inverted lists save less than they cost.
_EXACT, _NO_LISTS = 50_000, 100_000
# Memory that a build takes for any number of vectors: the process, batches, the training sample.
_BASE = 600 << 20
# Memory for each vector's labels while they are read and checked, and for the index while it is written: an upper bound of what
# builds of 1,000,000 and 10,000,000 templates took.
_LABELS = 370
# Bytes of a row on disk, without its vector.
_ROW = 64
# Seconds that a build takes on two cores: for any number of vectors, and for each million with 128 dimensions.
_SECONDS = {"flat": (0.1, 6), "flat-codes": (1, 25), "ivf": (3, 40), "ivf-sq8": (3, 40), "factory": (3, 300)}


@dataclass(frozen=True)
class Plan:
    """What will be built, `why`, and estimates of what that takes: `seconds`, and bytes of `memory`, `cached` and `disk`.

    `memory` is the least that building and searching need. `cached` is what the full vectors take in addition if the operating
    system is to keep them in memory rather than read them from disk.
    """

    kind: str
    factory: str | None
    recall: float
    why: str
    seconds: float
    memory: int
    cached: int
    disk: int


def plan(
    count: int,
    dim: int,
    *,
    memory: int | None = None,
    recall: float = RECALL,
    kind: str | None = None,
    factory: str | None = None,
) -> Plan:
    """Choose the kind of index.

    Args:
        count: how many vectors there will be.
        dim: their dimensions.
        memory: bytes that building and searching may take; by default half of what is free.
        recall: the share of an exhaustive search's identifications that must come out the same; above 0, up to 1.
        kind: a kind of index, instead of a choice.
        factory: a FAISS factory string, instead of a choice.

    Raises:
        PlanError: the recall is out of range, or 1 of a kind that is not exact; or no index fits in the memory (names the least
            that is enough).
        IndexUnsupported: there is no such kind or FAISS factory string, or both were given.
    """
    if not 0 < recall <= 1:
        raise PlanError(f"a recall of {recall:g} was asked for; expected above 0, to 1")
    if kind and factory:
        raise IndexUnsupported(f"--index {kind} and --factory {factory} were both given; expected one of them")
    if kind is not None and (kind not in KINDS or kind == "factory"):
        known = ", ".join(name for name in KINDS if name != "factory")
        raise IndexUnsupported(f"--index {kind}: found no such kind, expected {known} (or --factory with a FAISS string)")
    given = memory is not None
    budget = free_memory() // 2 if memory is None else memory
    if factory:
        empty_index(factory, dim)
        chosen, why = "factory", f"{factory} was asked for"
    elif kind:
        chosen, why = kind, f"{kind} was asked for"
    else:
        chosen, why = _choice(count, dim, budget, recall)
    if recall == 1 and not KINDS[chosen].exact:
        raise PlanError(f"a recall of 1 and {why}: only an exact search promises it; take --index flat, or ask for less")
    needed = needed_memory(chosen, count, dim)
    if needed > budget:
        source = "--memory gives" if given else "half of the free memory is"
        raise PlanError(
            f"{count:,} vectors of {dim} dimensions need {_size(needed)} in {'an' if chosen[0] == 'i' else 'a'} {chosen} index; "
            f"{source} {_size(budget)}. The least that would do is --memory {ceil(least_memory(count, dim) / (1 << 20))}MiB"
        )
    fixed, each = _SECONDS[chosen]
    return Plan(
        kind=chosen,
        factory=factory,
        recall=1.0 if KINDS[chosen].exact else recall,
        why=why,
        seconds=fixed + each * count * dim / 128e6,
        memory=needed,
        cached=0 if chosen == "flat" else 4 * dim * count,
        disk=int(count * (2 * 4 * dim + (0 if chosen == "flat" else KINDS[chosen].bytes_at_most(dim)) + _ROW)),
    )


def _choice(count: int, dim: int, budget: int, recall: float) -> tuple[str, str]:
    fits = {kind: needed_memory(kind, count, dim) <= budget for kind in KINDS}
    with_vectors = needed_memory("ivf", count, dim) + 4 * dim * count <= budget
    if recall == 1:
        return "flat", "a recall of 1 was asked for, which only an exact search promises"
    if count <= _EXACT and fits["flat"]:
        return "flat", f"{count:,} vectors are searched exactly in no time"
    if count < KINDS["ivf"].least:
        return "flat", f"{count:,} vectors are too few to learn codes from"
    if not with_vectors:
        # Kinds with shorter codes need less memory, but read more full vectors for each probe.
        lean = next((kind for kind in ("ivf-sq8", "ivf", "flat-codes") if fits[kind]), "ivf-sq8")
        return lean, (
            f"{_size(4 * dim * count)} of full vectors do not fit in {_size(budget)} beside the rest, "
            "so they stay on disk and some are read for each probe"
        )
    if count <= _NO_LISTS:
        return "flat-codes", f"up to {_NO_LISTS:,} vectors every code is looked at: lists would cost more than they save"
    return "ivf", f"above {_NO_LISTS:,} vectors lists pay, and the full vectors fit in {_size(budget)}"


def fewest(kind: str | None, factory: str | None, dim: int) -> int:
    """The least number of vectors to build such an index from. Raises `IndexUnsupported` where FAISS knows no such string."""
    if factory:
        lists = faiss.try_extract_index_ivf(empty_index(factory, dim))
        return int(lists.nlist) if lists is not None else 1
    return KINDS[kind].least if kind else 1


def needed_memory(kind: str, count: int, dim: int) -> int:
    """The least memory, in bytes, in which such an index is built and searched; an upper estimate."""
    return int(_BASE * max(1.0, dim / 256) + count * (KINDS[kind].bytes_at_most(dim) + _LABELS))


def check_disk(chosen: Plan, folder: Path) -> None:
    """Refuse a plan whose files do not fit on the disk of `folder`.

    Raises:
        PlanError: names the bytes needed and the bytes free.
    """
    if folder.is_dir() and (free := shutil.disk_usage(folder).free) < chosen.disk:
        raise PlanError(f"{folder}: {_size(free)} are free, the gallery needs about {_size(chosen.disk)}; make room")


def least_memory(count: int, dim: int) -> int:
    """The least memory, in bytes, in which some kind of index can be built and searched."""
    kinds = [kind for kind in KINDS if kind != "factory" and count >= KINDS[kind].least]
    return min(needed_memory(kind, count, dim) for kind in kinds)


def free_memory() -> int:
    """Bytes of memory that this process may still take: what the machine has free, or less if its control group has a limit."""
    free = int(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, max(int(text) - int(used.read_text()), 0))
    return free


def held_memory() -> int:
    """Bytes of memory that this process holds, pages of files that it maps or shares left out."""
    held = psutil.Process().memory_info()
    return int(held.rss - getattr(held, "shared", 0))


def _size(size: int) -> str:
    return str(format_size(size, binary=True))
