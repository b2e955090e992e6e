"""What so many templates and so many probes a second take, on paper from measured figures, and by simulation of the queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, expm1, log1p

import numpy as np

# Bytes of a full vector of 128 dimensions, and of what the store keeps beside it for each template (id, identity, source).
_VECTOR, _ROW = 512, 64
# Of a node's cores, the share that is planned for: queues grow without end as it nears 1. It holds while one replica is away.
_UTILISATION, _SPARE = 0.6, 1


@dataclass(frozen=True)
class Figures:
    """What was measured: `per_second` probes on `cores` at `at` templates, growing in cost as K^`exponent`; `index_bytes` of
    RAM a template. `embed_per_second` photographs on `embed_cores`.
    """

    at: int = 10_000_000
    per_second: float = 1141
    cores: int = 2
    exponent: float = 0.76
    index_bytes: int = 40
    embed_per_second: float = 112
    embed_cores: int = 2


@dataclass(frozen=True)
class Shards:
    """One way to divide K: `shards` of `templates` each, searched by `replicas` each on nodes of so many cores.

    `memory` is what a node's index and full vectors take, in bytes; `batch_seconds` what a batch of probes takes on a node.
    `busy`: the share of their time that the nodes work. `p50`, `p99`: seconds from a probe's arrival to its answer, simulated.
    `price`: of all nodes for an hour.
    """

    shards: int
    templates: int
    replicas: int
    nodes: int
    memory: int
    batch_seconds: float
    busy: float
    p50: float
    p99: float
    price: float


def false_match_rate(fpir: float, identities: float) -> float:
    """The FMR that an FPIR at K demands, if comparisons were independent: 1 - (1 - FPIR)^(1 / K) (Grother & Phillips 2004)."""
    return -expm1(log1p(-fpir) / identities)


def store_bytes(templates: float) -> float:
    """Of the sealed files: full vectors twice (rows and memory-mapped), and the rows' texts."""
    return templates * (2 * _VECTOR + _ROW)


def embedding_cores(rate: float, figures: Figures) -> float:
    """Cores that make templates of so many photographs a second."""
    return rate / figures.embed_per_second * figures.embed_cores


def divided(
    templates: int,
    rate: float,
    shards: int,
    node_cores: int,
    figures: Figures,
    batch: int = 256,
    seed: int = 0,
    node_price: float = 0.0,
) -> Shards:
    """Divide K into shards. Each probe goes to all of them; the cost of a search grows with a shard as measured, and cores of a
    node divide it among them (which was measured for 2 of them, no more). Every shard has one replica more than its work takes.
    """
    each = ceil(templates / shards)
    seconds = (each / figures.at) ** figures.exponent / figures.per_second * figures.cores / node_cores
    replicas = ceil(rate * seconds / _UTILISATION) + _SPARE
    waits = simulated(rate, shards, replicas, batch * seconds, batch, seed)
    return Shards(
        shards=shards,
        templates=each,
        replicas=replicas,
        nodes=shards * replicas,
        memory=each * (figures.index_bytes + _VECTOR),
        batch_seconds=batch * seconds,
        busy=rate * seconds / replicas,
        p50=float(np.quantile(waits, 0.5)),
        p99=float(np.quantile(waits, 0.99)),
        price=shards * replicas * node_price,
    )


def simulated(
    rate: float, shards: int, replicas: int, batch_seconds: float, batch: int, seed: int, batches: int = 2000
) -> np.ndarray:
    """Seconds from a batch's first probe to its last shard's answer (batches,): probes arrive at random, a full batch goes to the
    replica of each shard that is free first, and takes its time give or take a tenth, as single rounds on our machines did.
    """
    random = np.random.default_rng(seed)
    filled = np.cumsum(random.gamma(batch, 1 / rate, batches))
    service = batch_seconds * np.maximum(random.normal(1, 0.1, (batches, shards)), 0.5)
    free = np.zeros((shards, replicas))
    rows, waits = np.arange(shards), np.empty(batches)
    for number, moment in enumerate(filled):
        first = free.argmin(axis=1)
        done = np.maximum(free[rows, first], moment) + service[number]
        free[rows, first] = done
        waits[number] = done.max() - moment + batch / rate
    return waits[batches // 10 :]


def ways(
    templates: int, rate: float, shards: Sequence[int], node_cores: int, figures: Figures, node_price: float = 0.0
) -> list[Shards]:
    """Several ways to divide K."""
    return [divided(templates, rate, count, node_cores, figures, node_price=node_price) for count in shards]
