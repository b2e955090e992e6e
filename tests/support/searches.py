"""Searches with a known truth, written down by hand or drawn, as `onek evaluate` keeps them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.evaluation.raw import SCHEMA, SEARCHES, About, Searched, System, Trial, searches_file

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


def searches(
    mated: Sequence[bool],
    ranks: Sequence[int],
    scores: Sequence[float],
    identities: Sequence[str | None],
    *,
    named: Sequence[str | None] | None = None,
    told: Sequence[float] | None = None,
    k: int = 50,
    system: str = "own",
    split: int = 0,
    limit: float = 0.5,
    failed: Sequence[bool] | None = None,
) -> Searched:
    """One system, one K, one split; its gallery's threshold is `limit` at every rate."""
    count = len(mated)
    lost = [False] * count if failed is None else list(failed)
    columns = [
        [system] * count,
        [split] * count,
        [k] * count,
        [f"probe{at}" for at in range(count)],
        list(identities),
        list(mated),
        lost,
        list(ranks),
        [None if gone else name for gone, name in zip(lost, named or ["x"] * count, strict=True)],
        [None if gone else score for gone, score in zip(lost, scores, strict=True)],
        [None if gone else score for gone, score in zip(lost, scores, strict=True)],
        list(told) if told is not None else [None] * count,
        [[]] * count,
    ]
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    systems = (System(system, "own", "sface", "f" * 64, 128, "plain", 1.0),)
    trials = (Trial(system, split, k, k, {f"{rate:g}": limit for rate in RATES}),)
    return Searched(table, About(systems, trials, "probes", "onek evaluate", {"onek": "0"}, k, count, sum(lost)))


def together(*parts: Searched) -> Searched:
    """Searches of several systems, sizes or splits as one."""
    first = parts[0].about
    systems = tuple(dict.fromkeys(system for part in parts for system in part.about.systems))
    trials = tuple(trial for part in parts for trial in part.about.trials)
    about = About(systems, trials, first.source, first.command, first.versions, first.identities, first.images, first.failures)
    return Searched(pa.concat_tables([part.table for part in parts]), about)


def written(searched: Searched, folder: Path) -> Path:
    """The same as a file."""
    folder.mkdir(exist_ok=True)
    with searches_file(folder / SEARCHES) as writer:
        writer.write(searched.table)
        writer.finish(searched.about)
    return folder / SEARCHES


def drawn(people: int = 400, each: int = 2, *, seed: int = 0, shift: float = 0.0, k: int = 200, system: str = "own") -> Searched:
    """Searches of mated people and as many strangers, `each` of every person, whose searches hang together."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(0.35 + shift, 0.1, people), each) + random.normal(0, 0.05, people * each)
    others = np.repeat(random.normal(0.75, 0.1, people), each) + random.normal(0, 0.05, people * each)
    ranks = np.where(random.random(people * each) < 0.97, 1, 0)
    names = [f"{kind}{at}" for kind in ("p", "s") for at in np.repeat(np.arange(people), each)]
    told = np.concatenate([np.full(people * each, 1e-4), random.exponential(1, people * each)])
    named = [names[at] if rank == 1 else "p0" for at, rank in enumerate(ranks)]
    named += [f"p{at}" for at in np.repeat(np.arange(people), each)]
    mated = [True] * (people * each) + [False] * (people * each)
    scores = np.concatenate([own, others]).tolist()
    places = [*ranks.tolist(), *[0] * len(others)]
    return searches(mated, places, scores, names, named=named, told=told.tolist(), k=k, system=system)
