"""Writers killed at random moments: what they had acknowledged must be there, and the gallery whole."""

import multiprocessing
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np

from engine.errors import OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage import sealing
from engine.templates.model import Templates
from indexes.base import Progress

_DIM, _FOUNDERS = 16, 12
# Of so many people one is followed by a compaction.
_COMPACT = 5
_KINDS = ("enroll", "remove", "compact")
# Longest that a writer lives after its first acknowledgement, in seconds; of so many writers one is killed soon after it began a
# change of a given kind, each kind in turn and the first time at once: some kinds a machine would seldom cut off by chance.
_LONGEST, _AIMED = 0.25, 3


@dataclass(frozen=True)
class Survival:
    """`acknowledged` changes of writers that were killed; how many of these were `lost`, and after how many kills the gallery did
    not open (`unopened`) or was not whole (`damaged`); kinds of change that a kill cut off.
    """

    kills: int
    acknowledged: int
    lost: int
    unopened: int
    damaged: int
    cut_off: dict[str, int]


def survive(folder: Path, kills: int, seed: int = 0, progress: Progress | None = None) -> Survival:
    """Let processes change a gallery below `folder`, and kill each after a moment (SIGKILL)."""
    path = folder / "gallery"
    Gallery.build(people(range(_FOUNDERS)), path, score="plain").close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    random = np.random.default_rng(seed)
    expected, following = set(range(_FOUNDERS)), 1000
    acknowledged = lost = unopened = damaged = 0
    cut_off = dict.fromkeys(_KINDS, 0)
    for number in range(kills):
        aim, seconds = None, _LONGEST * float(random.random())
        if number % _AIMED == 0:
            turn = number // _AIMED
            aim, seconds = _KINDS[turn % len(_KINDS)], _LONGEST * float(random.random()) ** 8 * (turn >= len(_KINDS))
            following += -following % _COMPACT
        said = _run_and_kill(context, path, following, aim, seconds)
        under_way = said.pop()
        for what, who in said:
            acknowledged += 1
            if what == "enroll":
                expected.add(who)
            elif what == "remove":
                expected.discard(who)
        cut_off[under_way[0]] += 1
        try:
            found = {int(name) for name in Gallery.open(path).identities}
            damaged += bool(check(path))
        except OnekError:
            unopened += 1
            continue
        # What was under way may have happened or not.
        wrong = (found ^ expected) - ({under_way[1]} if under_way[0] != "compact" else set())
        lost += len(wrong)
        expected, following = found, max(following, under_way[1]) + 1
        if progress:
            progress("kills", number + 1, kills)
    return Survival(kills, acknowledged, lost, unopened, damaged, cut_off)


def _run_and_kill(context: ForkServerContext, path: Path, start: int, aim: str | None, seconds: float) -> list[tuple[str, int]]:
    """What a writer acknowledged, and last what it was about to do, so many seconds after it began, or began what `aim` names."""
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=_write, args=(path, start, theirs))
    writer.start()
    theirs.close()
    begun: list[tuple[str, int]] = [ours.recv(), ours.recv()]
    while aim and begun[-1][0] != aim:
        begun.append(ours.recv())
    time.sleep(seconds)
    writer.kill()
    try:
        while True:
            begun.append(ours.recv())
    except (EOFError, OSError):
        writer.join()
    if writer.exitcode != -signal.SIGKILL:
        raise OnekError(f"a writer ended by itself, with {writer.exitcode}, at {begun[-1]}")
    return begun


def _write(path: Path, start: int, said: Connection) -> None:
    """Enrol, remove, seal and compact without end; say of each change that it begins: the one before is done then."""
    sealing.SEAL_AT = 20
    gallery = Gallery.open(path)
    for number in range(start, start + 100_000):
        said.send(("enroll", number))
        gallery.enroll(people(range(number, number + 1)))
        if number % 3:
            said.send(("remove", number))
            gallery.remove([str(number)])
        if number % _COMPACT == 0:
            said.send(("compact", number))
            gallery.compact()


def people(numbers: range) -> Templates:
    """One template for each number, always the same."""
    vectors = [np.random.default_rng(number).normal(size=_DIM) for number in numbers]
    names = [str(number) for number in numbers]
    return Templates.from_vectors(np.array(vectors), names, [f"{name}#0" for name in names])
