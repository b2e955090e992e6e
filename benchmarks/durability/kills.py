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
# People whom lists are made of, and templates above which a gallery with lists is sealed in tails.
_LISTED, _LARGE = 1040, 200
# Of so many people one is followed by a compaction; or, where there are lists, sealed in a tail with those who joined before.
_EACH = 5
_KINDS = ("enroll", "remove", "compact")
_KINDS_OF_LISTS = ("enroll", "remove", "seal")
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


def survive(folder: Path, kills: int, seed: int = 0, progress: Progress | None = None, *, lists: bool = False) -> Survival:
    """Let processes change a gallery below `folder`, and kill each after a moment (SIGKILL). With `lists` it seals who joins in
    tails, else it is compacted.
    """
    path, kinds = folder / "gallery", _KINDS_OF_LISTS if lists else _KINDS
    founders = _LISTED if lists else _FOUNDERS
    Gallery.build(people(range(founders)), path, score="plain", index="ivf" if lists else None).close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    random = np.random.default_rng(seed)
    expected, following = set(range(founders)), 10_000
    acknowledged = lost = unopened = damaged = 0
    cut_off = dict.fromkeys(kinds, 0)
    for number in range(kills):
        aim, seconds = None, _LONGEST * float(random.random())
        if number % _AIMED == 0:
            turn = number // _AIMED
            aim, seconds = kinds[turn % len(kinds)], _LONGEST * float(random.random()) ** 8 * (turn >= len(kinds))
            following += -following % _EACH
        said = _run_and_kill(context, path, following, aim, seconds)
        under_way = said.pop()
        for what, who in said:
            acknowledged += 1
            if what in ("enroll", "seal"):
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
    """Enrol, remove, seal or compact without end; say of each change that it begins: the one before is done then."""
    gallery = Gallery.open(path)
    lists = gallery.info().index == "ivf"
    sealing.SMALL, sealing._LARGE_PART = _LARGE, 0.0
    for number in range(start, start + 100_000):
        last = number % _EACH == 0
        sealing.SEAL_AT = 1 if lists and last else 1000
        said.send(("seal" if lists and last else "enroll", number))
        gallery.enroll(people(range(number, number + 1)))
        if number % 3:
            said.send(("remove", number))
            gallery.remove([str(number)])
        if last and not lists:
            said.send(("compact", number))
            gallery.compact()


def people(numbers: range) -> Templates:
    """One template for each number, always the same."""
    vectors = [np.random.default_rng(number).normal(size=_DIM) for number in numbers]
    names = [str(number) for number in numbers]
    return Templates.from_vectors(np.array(vectors), names, [f"{name}#0" for name in names])
