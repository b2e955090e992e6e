"""Indexes of FAISS's beside ours, and what builds are announced to take beside what they took."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.search import peers
from benchmarks.search.announced import Announced, cases_of, drawn, measure_announced
from engine.errors import TemplatesError


def test_peers_decide_as_an_exhaustive_search(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_TUNING", 300), ("_MEASURED", 400), ("_BATCH", 200)):
        monkeypatch.setattr(peers, name, number)
    told: list[peers.Peer] = []
    found = peers.measure_peers(
        Population(Shape.load()), 5000, ["IVF-PQ fast-scan, AutoTune"], recall=0.95, rounds=1, told=told.append
    )
    assert [each.name for each in found] == ["onek ivf", "IVF-PQ fast-scan, AutoTune"]
    assert told == found
    for each in found:
        assert 0.9 <= each.identified <= 1
        assert each.ratio == pytest.approx(each.per_second / each.flat_per_second, rel=0.01)
    assert "nprobe=" in found[1].effort


def test_announced_and_taken(tmp_path: Path) -> None:
    assert cases_of(["10x64", "7x5"]) == [(10, 64), (7, 5)]
    assert len(cases_of(None)) == 9
    for bad in ("10", "x64", "0x64", "ax1"):
        with pytest.raises(TemplatesError, match="expected a number of templates and one of dimensions"):
            cases_of([bad])
    for dim in (64, 128, 300):
        vectors = np.concatenate([*drawn(100, dim)])
        assert vectors.shape == (100, dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    made = measure_announced([(4500, 32)], tmp_path)
    assert (made[0].count, made[0].dim, made[0].kind) == (4500, 32, "flat")
    assert min(made[0].announced, made[0].looked, made[0].taken) > 0
    assert made[0].memory_factor < 2
    one, other = Announced(1, 1, "flat", 2.0, 0.1, 1.0, 3, 1), Announced(1, 1, "flat", 1.0, 0.1, 2.0, 1, 3)
    assert one.factor == other.factor == 2
    assert one.memory_factor == other.memory_factor == 3
