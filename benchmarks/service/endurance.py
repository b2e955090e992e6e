"""Clients that identify, enrol and remove while the service is killed now and again: nothing acknowledged is lost."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.service.running import Running, untold
from engine.client import Client
from engine.errors import OnekError
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates

_DIM, _FOUNDERS = 32, 40
# Seconds that a client waits for an answer of a service that may just have been killed.
_PATIENCE = 10


@dataclass(frozen=True)
class Endured:
    """`acknowledged` changes and how many of them were `lost`; `answers` and how many were `wrong`; `faults` of the gallery at
    last; the service's `memory` in MiB, every so many seconds, before each kill.
    """

    seconds: float
    kills: int
    acknowledged: int
    lost: int
    answers: int
    wrong: int
    faults: int
    memory: tuple[float, ...] = ()


@dataclass
class _Tally:
    answers: int = 0
    wrong: int = 0
    acknowledged: int = 0


def endure(
    folder: Path,
    seconds: float,
    *,
    kill_every: float = 10,
    askers: int = 8,
    changers: int = 2,
    workers: int = 1,
    progress: Callable[[int], None] = untold,
) -> Endured:
    """Let clients at a service of a gallery below `folder` for so long, and kill the service every so many seconds (0: never)."""
    path = folder / "gallery"
    Gallery.build(Templates.from_vectors(vectors(range(_FOUNDERS)), _names(range(_FOUNDERS))), path, score="plain").close()
    service = Running(path, "--rate", 0, "--workers", workers, log=folder / "service.log")
    service.start()
    over = threading.Event()
    tallies = [_Tally() for _ in range(askers + changers)]
    present: list[set[int]] = [set() for _ in range(changers)]
    doubtful: list[set[int]] = [set() for _ in range(changers)]
    threads = [threading.Thread(target=_ask, args=(service.url, tallies[n], over, n)) for n in range(askers)]
    threads += [
        threading.Thread(target=_change, args=(service.url, tallies[askers + n], over, n, present[n], doubtful[n]))
        for n in range(changers)
    ]
    for thread in threads:
        thread.start()
    start, kills, memory = time.monotonic(), 0, []
    while (left := seconds - (time.monotonic() - start)) > 0:
        time.sleep(min(kill_every or 10, left))
        memory.append(service.mebibytes())
        progress(1)
        if kill_every and left > kill_every:
            service.kill()
            kills += 1
            service.start()
    over.set()
    for thread in threads:
        thread.join()
    service.end()
    gallery = Gallery.open(path)
    enrolled = {name for name, _ in gallery.templates_by_identity()}
    lost = 0
    for mine, unsure, number in zip(present, doubtful, range(changers), strict=True):
        theirs = {name for name in enrolled if name.startswith(f"id{number + 1}x")}
        wanted, allowed = set(_names(mine, number)), set(_names(mine | unsure, number))
        lost += len(wanted - set(_names(unsure, number)) - theirs) + len(theirs - allowed)
    return Endured(
        time.monotonic() - start,
        kills,
        sum(tally.acknowledged for tally in tallies),
        lost,
        sum(tally.answers for tally in tallies),
        sum(tally.wrong for tally in tallies),
        len(gallery.check()),
        tuple(memory),
    )


def vectors(numbers: "range | set[int] | list[int]", changer: int = -1, noise: int = 0) -> np.ndarray:
    """One vector of each of some people, float64 (n, d); with `noise` another one that looks like it."""
    made = [np.random.default_rng([changer + 1, number]).normal(size=_DIM) for number in numbers]
    return np.array(made) + 0.05 * np.random.default_rng(noise).normal(size=(len(made), _DIM))


def _names(numbers: "range | set[int] | list[int]", changer: int = -1) -> list[str]:
    return [f"id{changer + 1}x{number}" for number in numbers]


def _ask(url: str, tally: _Tally, over: threading.Event, seed: int) -> None:
    """Ask for founders, who are there all the time, and for strangers."""
    random = np.random.default_rng(seed)
    with Client(url, timeout=_PATIENCE) as client:
        while not over.is_set():
            number = int(random.integers(_FOUNDERS))
            probes = np.concatenate([vectors([number], noise=int(random.integers(1000)) + 1), random.normal(size=(1, _DIM))])
            with suppress(OnekError):
                own, stranger = client.identify(probes, threshold=0.5)
                tally.answers += 2
                tally.wrong += (own.identity != _names([number])[0]) + (stranger.identity is not None)


def _change(url: str, tally: _Tally, over: threading.Event, changer: int, present: set[int], doubtful: set[int]) -> None:
    """Enrol people one after another, look for each, and remove every second one."""
    number = 0
    with Client(url, timeout=_PATIENCE) as client:
        while not over.is_set():
            number += 1
            vector, name = vectors([number], changer)[0], _names([number], changer)[0]
            doubtful.add(number)
            try:
                client.enroll(vector, name, template_id=f"{name}-1", on_match="ignore")
                tally.acknowledged += 1
                present.add(number)
                doubtful.discard(number)
                (found,) = client.identify(vector[None], threshold=0.5)
                tally.answers += 1
                tally.wrong += found.identity != name
                if number % 2:
                    doubtful.add(number)
                    client.remove(name)
                    tally.acknowledged += 1
                    present.discard(number)
                    doubtful.discard(number)
            except OnekError:
                continue  # killed meanwhile, so that nobody knows
