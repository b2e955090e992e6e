"""Arithmetic of many templates: formulas against numbers worked by hand, and a simulation against queues that are known."""

import numpy as np
import pytest

from benchmarks.speed.capacity_model import Figures, divided, false_match_rate, simulated, store_bytes, ways


def test_the_rate_that_k_demands():
    assert false_match_rate(0.01, 1) == pytest.approx(0.01)
    assert false_match_rate(0.19, 2) == pytest.approx(0.1)  # 1 - 0.9^2
    assert false_match_rate(0.01, 1e9) == pytest.approx(1.0050336e-11, rel=1e-6)
    assert 1 - (1 - false_match_rate(0.03, 1000)) ** 1000 == pytest.approx(0.03)


def test_bytes_of_a_billion():
    assert store_bytes(1e9) == 1.088e12


def test_what_was_measured_comes_back():
    figures = Figures(at=1000, per_second=100, cores=2, exponent=0.5, index_bytes=8)
    same = divided(1000, 10, 1, 2, figures, batch=10)
    assert (same.shards, same.templates, same.replicas, same.nodes) == (1, 1000, 2, 2)
    assert same.memory == 1000 * 520
    assert same.batch_seconds == pytest.approx(0.1)
    larger = divided(4000, 10, 1, 2, figures, batch=10)
    assert larger.batch_seconds == pytest.approx(0.2)  # twice, since the cost grows as the root
    assert divided(4000, 600, 1, 2, figures).replicas == 21  # 600 * 0.02 s, busy 60 % of the time while one is away


def test_every_shard_has_a_spare_and_nodes_have_a_price():
    for way in ways(10**9, 10_000, (1, 10, 100), 32, Figures(), 1.5):
        assert way.price == 1.5 * way.nodes
        assert way.busy * way.replicas / (way.replicas - 1) <= 0.6


def test_few_large_shards_take_fewer_nodes_than_many_small_ones():
    nodes = [way.nodes for way in ways(10**9, 10_000, (1, 10, 100), 32, Figures())]
    assert nodes == sorted(nodes)


def test_without_a_queue_an_answer_takes_its_batch_and_its_work():
    waits = simulated(rate=10, shards=1, replicas=50, batch_seconds=1.0, batch=10, seed=0)
    assert np.median(waits) == pytest.approx(1 + 1.0, rel=0.02)


def test_the_slowest_of_many_shards_decides():
    one, many = (simulated(10, shards, 50, 1.0, 10, 0) for shards in (1, 100))
    assert np.median(many) > np.median(one) + 0.15


def test_more_than_the_replicas_can_do_piles_up():
    waits = simulated(rate=20, shards=1, replicas=1, batch_seconds=1.0, batch=10, seed=0)
    assert waits[-1] > 5 * waits[0]
