"""Threads that read and write galleries, against a model of who is enrolled."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from benchmarks.durability.kills import people
from engine.errors import OnekError
from engine.gallery.gallery import Gallery

# People that each writer has of its own, and of whom it changes one at a time; those that a reader asks for in one call.
_PEOPLE, _ASKED = 60, 12
# Below any distance of two people, above that of a template to itself.
_THE_SAME = 0.001


@dataclass
class Driven:
    """Answers that were compared with the model, changes that were acknowledged, and what was wrong, in words."""

    answers: int = 0
    changes: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """What somebody is called, None where not enrolled; `sure` unless a change is under way. Each change makes another object."""

    name: str | None
    sure: bool


# By whom they belong to, and by their number.
_Model = dict[tuple[int, int], _State]


def drive(galleries: Sequence[Gallery], readers: int, writers: int, seconds: float, seed: int = 0) -> Driven:
    """Let threads enrol, remove, rename and compact, and others ask all the while, for so many seconds.

    Thread i uses gallery object i, around and around; all are of one folder. A reader asks about people of any writer; of those
    whose state is the same before and after its call, and sure, the answer must be that state: what was acknowledged before the
    call is seen by it. A reader of one object looks again first for what was changed through another.
    """
    made, over, model = Driven(), Event(), _Model()
    with ThreadPoolExecutor(readers + writers) as pool:
        threads = [
            pool.submit(_write, galleries[number % len(galleries)], number, model, over, made, seed) for number in range(writers)
        ]
        threads += [
            pool.submit(_read, galleries[number % len(galleries)], number, writers, model, over, made, len(galleries) > 1)
            for number in range(readers)
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(thread.done() for thread in threads):
            time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.result()
    return made


def _number(writer: int, person: int) -> int:
    return 1_000_000 * (writer + 1) + person


def _write(gallery: Gallery, writer: int, model: _Model, over: Event, made: Driven, seed: int) -> None:
    random = np.random.default_rng([seed, writer])
    while not over.is_set():
        person = int(random.integers(_PEOPLE))
        number, before = _number(writer, person), model.get((writer, person), _State(None, True))
        model[writer, person] = _State(before.name, False)
        try:
            if before.name is None:
                after = str(number)
                gallery.enroll(people(range(number, number + 1)), wait=60)
            elif random.random() < 0.3:
                after = f"{number} called {random.integers(10**9)}"
                gallery.rename(before.name, after, wait=60)
            else:
                after = None
                gallery.remove([before.name], wait=60)
            model[writer, person] = _State(after, True)
            if random.random() < 0.01:
                gallery.compact(wait=60)
        except OnekError as error:
            made.wrong.append(f"writer {writer}, {before.name or number}: {error}")
            return
        made.changes += 1


def _read(gallery: Gallery, reader: int, writers: int, model: _Model, over: Event, made: Driven, look: bool) -> None:
    random = np.random.default_rng([7, reader])
    while not over.is_set():
        writer, asked = int(random.integers(writers)), random.permutation(_PEOPLE)[:_ASKED].tolist()
        before = [model.get((writer, person)) for person in asked]
        vectors = np.concatenate([people(range(number, number + 1)).vectors for number in (_number(writer, p) for p in asked)])
        try:
            if look or random.random() < 0.3:
                gallery.refresh()
            found = gallery.identify(vectors, threshold=_THE_SAME)
        except OnekError as error:
            made.wrong.append(f"reader {reader}: {error}")
            return
        after = [model.get((writer, person)) for person in asked]
        for person, old, new, result in zip(asked, before, after, found, strict=True):
            if old is new and (old is None or old.sure):
                made.answers += 1
                expected = None if old is None else old.name
                if result.identity != expected:
                    made.wrong.append(f"{_number(writer, person)} is {result.identity}, expected {expected}")
