"""Indexes of FAISS's beside ours, and what builds are announced to take beside what they took."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.search import peers
from benchmarks.search.announced import Announced, Case, _write, cases_of, drawn, measure_announced
from engine.errors import TemplatesError
from engine.templates.parquet import read_templates


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_TUNING", 300), ("_MEASURED", 400), ("_BATCH", 200)):
        monkeypatch.setattr(peers, name, number)


def test_peers_decide_as_an_exhaustive_search(tmp_path: Path) -> None:
    told: list[peers.Peer | peers.Absent] = []
    names = ["FAISS IVF-PQ fast-scan", "FAISS SVS, LeanVec", "hnswlib"]
    nowhere = tmp_path / "python"
    nowhere.write_text("#!/bin/sh\nexit 1\n")
    nowhere.chmod(0o700)
    found = peers.measure_peers(Population(Shape.load()), 5000, names, recall=0.95, rounds=1, python=nowhere, told=told.append)
    assert [each.name for each in found] == ["onek ivf", *names]
    assert told == found
    measured = [each for each in found if isinstance(each, peers.Peer)]
    assert [each.name for each in measured][:2] == ["onek ivf", names[0]]
    for each in measured:
        assert 0.9 <= each.identified <= 1
        assert each.ratio == pytest.approx(each.per_second / each.flat_per_second, rel=0.01)
    assert "nprobe=" in measured[1].effort
    absent = {each.name: each.why for each in found if isinstance(each, peers.Absent)}
    assert "the peer stopped with exit status 1" in absent["hnswlib"]
    if "FAISS SVS, LeanVec" in absent:
        assert "as it is installed has none" in absent["FAISS SVS, LeanVec"]


def test_milvus_lite_stands_beside() -> None:
    pytest.importorskip("milvus_lite")
    found = peers.measure_peers(Population(Shape.load()), 5000, ["milvus-lite"], recall=0.95, rounds=1)
    made = found[1]
    assert isinstance(made, peers.Peer), made
    assert made.identified >= 0.9
    assert made.effort.startswith("IVF_FLAT nprobe=")


def test_announced_and_taken(tmp_path: Path) -> None:
    assert cases_of(["10x64", "7x5x3"]) == [Case(10, 64), Case(7, 5, 3)]
    assert [str(case) for case in cases_of(["10000x64", "7x5x3"])] == ["10,000 x 64", "7 x 5, 3 each"]
    assert len(cases_of(None)) == 9
    for bad in ("10", "x64", "0x64", "ax1", "10x64x", "10x64x0", "1x2x3x4"):
        with pytest.raises(TemplatesError, match="expected a number of templates and one of dimensions"):
            cases_of([bad])
    for dim in (64, 128, 300):
        vectors = np.concatenate([*drawn(100, dim)])
        assert vectors.shape == (100, dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    made = measure_announced([Case(4500, 32)], tmp_path)
    assert (made[0].case, made[0].kind) == (Case(4500, 32), "flat")
    assert min(made[0].announced, made[0].looked, made[0].taken) > 0
    assert made[0].memory_factor < 2
    one, other = Announced(Case(1, 1), "flat", 2.0, 0.1, 1.0, 3, 1), Announced(Case(1, 1), "flat", 1.0, 0.1, 2.0, 1, 3)
    assert one.factor == other.factor == 2
    assert one.memory_factor == other.memory_factor == 3


def test_several_templates_of_a_person(tmp_path: Path) -> None:
    _write(tmp_path / "t.parquet", Case(11, 32, each=4))
    table = read_templates(tmp_path / "t.parquet").table
    names = table["identity"].to_pylist()
    assert [names.count(f"person{number}") for number in range(3)] == [4, 4, 3]
    assert len(set(table["template_id"].to_pylist())) == 11
