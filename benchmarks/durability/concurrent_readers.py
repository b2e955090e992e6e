"""Processes that read a gallery while others write."""

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from benchmarks.durability.kills import people
from engine.errors import OnekError
from engine.gallery.gallery import Gallery

_FOUNDERS = 200


@dataclass(frozen=True)
class Reading:
    """Refreshes with a search after each, changes that were acknowledged, errors, and searches after a refresh that did not find
    who had joined before it, or found who had left.
    """

    looks: int
    changes: int
    errors: int
    stale: int


def measure_readers(folder: Path, readers: int, writers: int, seconds: float) -> Reading:
    """Let processes read a gallery below `folder` for so many seconds while others enrol, remove, seal and compact."""
    path = folder / "gallery"
    Gallery.build(people(range(_FOUNDERS)), path, score="plain").close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    over, joined = context.Event(), [context.Value("q", _first(writer)) for writer in range(writers)]
    ours, theirs = context.Pipe(duplex=False)
    reading = [context.Process(target=_read, args=(path, over, joined, theirs)) for _ in range(readers)]
    writing = [context.Process(target=_write, args=(path, over, joined[at], _first(at), theirs)) for at in range(writers)]
    for process in (*reading, *writing):
        process.start()
    time.sleep(seconds)
    over.set()
    counts = [ours.recv() for _ in (*reading, *writing)]
    for process in (*reading, *writing):
        process.join()
    return Reading(*np.sum(counts, axis=0).tolist())


def _first(writer: int) -> int:
    """The number of the first person that a writer enrols."""
    return _FOUNDERS + 10_000_000 * writer


# Of each number from `first` on one person joins, and every third leaves before the next comes.
def _write(path: Path, over: Event, joined: "Synchronized[int]", first: int, said: Connection) -> None:
    gallery, errors, done = Gallery.open(path), 0, 0
    number = first
    while not over.is_set():
        try:
            gallery.enroll(people(range(number, number + 1)), wait=60)
            if number % 3 == 0:
                gallery.remove([str(number)], wait=60)
            if number % 500 == 0:
                gallery.compact(wait=60)
        except OnekError:
            errors += 1
        joined.value = number + 1
        done += 1 + (number % 3 == 0)
        number += 1
    said.send((0, done, errors, 0))


def _read(path: Path, over: Event, joined: "list[Synchronized[int]]", said: Connection) -> None:
    gallery, looks, errors, stale = Gallery.open(path), 0, 0, 0
    while not over.is_set():
        writer = looks % len(joined)
        number = joined[writer].value - 1  # whatever joined, joined before we look
        if writer and number < _first(writer):
            number = 0  # this one has enrolled nobody yet
        try:
            gallery.refresh()
            (result,) = gallery.identify(people(range(number, number + 1)), threshold=0.001)
        except OnekError:
            errors += 1
            continue
        expected = str(number) if number < _FOUNDERS or number % 3 else None
        stale += result.identity != expected
        looks += 1
    said.send((looks, 0, errors, stale))
