"""Limits at the limit: what lies just inside is taken, what lies just outside is refused."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.calibration.thresholds import accepts
from engine.errors import GalleryError, PlanError, TemplatesError
from engine.matching.scoring import LOCAL, PLAIN, Scoring
from engine.templates import foreign_vectors as foreign
from engine.templates.model import normalised
from engine.templates.parquet import read_templates
from engine.templates.provenance import MOST_DIMENSIONS, Provenance
from indexes import planner as plans
from indexes.planner import check_disk, fewest, needed_memory, plan
from tests.support.galleries import people

GIB = 1 << 30


@pytest.mark.parametrize(("length", "taken"), [(0.9, False), (0.9985, False), (0.9995, True), (1.0005, True), (1.0015, False)])
def test_our_own_vectors_have_the_length_1(tmp_path: Path, length: float, taken: bool) -> None:
    templates = people(0, 3)
    rows = templates.table.to_pylist()
    rows[4]["vector"] = (np.array(rows[4]["vector"]) * length).tolist()
    pq.write_table(pa.Table.from_pylist(rows, templates.table.schema), tmp_path / "t.parquet")
    if taken:
        assert len(read_templates(tmp_path / "t.parquet")) == 6
    else:
        with pytest.raises(TemplatesError, match="the vector in row 4 has the norm"):
            read_templates(tmp_path / "t.parquet")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", ["large", "small"])
def test_vectors_of_any_length_are_normalised(dtype: type[np.floating[Any]], size: str) -> None:
    """Squares of large numbers do not fit into the type that the numbers came in, and those of small ones are nothing there."""
    length = {"large": {np.float16: 6e4, np.float32: 3e38, np.float64: 1e150}, "small": {np.float16: 1e-7, np.float32: 1e-45}}
    vectors = np.zeros((1, 3), dtype)
    vectors[0, :2] = length[size].get(dtype, 1e-150)
    np.testing.assert_allclose(normalised(vectors, "x", 0), [[0.5**0.5, 0.5**0.5, 0]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    vectors = np.ones((3, 4), np.float32)
    vectors[2, 1] = value
    with pytest.raises(TemplatesError, match="row 12 holds NaN or infinity"):
        normalised(vectors, "x", 10)


@pytest.mark.parametrize(("free", "taken"), [(2 * 1280, True), (2 * 1280 - 2, False)])
def test_an_archive_may_unpack_to_half_of_the_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, taken: bool
) -> None:
    np.savez(tmp_path / "t.npz", vector=np.ones((9, 32), np.float32))  # 1152 bytes and a header of 128
    monkeypatch.setattr(foreign, "free_memory", lambda: free)
    if taken:
        assert len(read_templates(tmp_path / "t.npz")) == 9
    else:
        with pytest.raises(TemplatesError, match="unpacks to 0 MiB, half of the free memory is"):
            read_templates(tmp_path / "t.npz")


@pytest.mark.parametrize("column", ["identity", "template_id", "source"])
@pytest.mark.parametrize("count", [8, 9, 10])
def test_an_archive_has_one_label_for_each_vector(tmp_path: Path, column: str, count: int) -> None:
    np.savez(tmp_path / "t.npz", vector=np.eye(9, dtype=np.float32), **{column: np.array([f"x{row}" for row in range(count)])})
    if count == 9:
        assert read_templates(tmp_path / "t.npz").table[column].to_pylist() == [f"x{row}" for row in range(9)]
    else:
        with pytest.raises(TemplatesError, match=f"9 vectors, but {count} in {column}; expected one for each"):
            read_templates(tmp_path / "t.npz")


@pytest.mark.parametrize(("count", "kind"), [(50_000, "flat"), (50_001, "flat-codes"), (100_000, "flat-codes"), (100_001, "ivf")])
def test_the_kind_changes_at_its_limit(count: int, kind: str) -> None:
    assert plan(count, 128, memory=64 * GIB).kind == kind


@pytest.mark.parametrize("kind", ["flat", "flat-codes", "ivf", "ivf-sq8"])
def test_a_plan_takes_the_memory_that_it_needs_and_not_a_byte_less(kind: str) -> None:
    needed = needed_memory(kind, 200_000, 128)
    assert plan(200_000, 128, memory=needed, kind=kind).memory == needed
    with pytest.raises(PlanError, match="The least that would do"):
        plan(200_000, 128, memory=needed - 1, kind=kind)


def test_full_vectors_lie_in_memory_where_they_fit() -> None:
    fits = needed_memory("ivf", 1_000_000, 128) + 4 * 128 * 1_000_000
    assert plan(1_000_000, 128, memory=fits).kind == "ivf"
    assert "stay on disk" in plan(1_000_000, 128, memory=fits - 1).why


def test_a_recall_at_its_limits() -> None:
    assert plan(100, 16, recall=1).recall == 1
    assert plan(100, 16, recall=1e-9).kind == "flat"
    assert plan(1_000_000, 128, memory=64 * GIB, recall=np.nextafter(1, 0)).kind == "ivf"
    for recall in (0, np.nextafter(1, 2)):
        with pytest.raises(PlanError, match="expected above 0, to 1"):
            plan(100, 16, recall=recall)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_disk_that_has_just_room_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    chosen = plan(1000, 128)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=chosen.disk - missing))
    if missing:
        with pytest.raises(PlanError, match="make room"):
            check_disk(chosen, tmp_path)
    else:
        check_disk(chosen, tmp_path)


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [("max", "5", 1000), ("700", "300", 400), ("300", "700", 0), ("5000", "0", 1000), ("", "5", 1000), (None, "5", 1000)],
)
def test_free_memory_is_that_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, used: str, free: int
) -> None:
    for name, text in (("memory.max", limit), ("memory.current", used)):
        if text is not None:
            (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(plans, "Path", lambda path: tmp_path / Path(path).name)
    monkeypatch.setattr(plans.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert plans.free_memory() == free


def test_the_fewest_vectors_that_an_index_is_made_of() -> None:
    assert [fewest(kind, None, 16) for kind in (None, "flat", "flat-codes", "ivf", "ivf-sq8")] == [1, 1, 256, 1024, 1024]
    assert [fewest(None, factory, 16) for factory in ("IVF8,SQ8", "HNSW16", "Flat")] == [8, 1, 1]


def test_dimensions_at_their_limit() -> None:
    def read(dim: int) -> Provenance:
        return Provenance.from_json(Provenance.foreign(dim).to_metadata()["onek.provenance"])

    assert [read(dim).dim for dim in (1, MOST_DIMENSIONS)] == [1, MOST_DIMENSIONS]
    for dim in (0, -1, MOST_DIMENSIONS + 1):
        with pytest.raises(ValueError, match=f"templates of {dim} dimensions"):
            read(dim)


def test_scores_at_their_limits() -> None:
    """A score is accepted that is no larger than the threshold as a float32; one that is none is not."""
    limit = np.float32(0.6)
    scores = np.array([np.nextafter(limit, np.float32(0)), limit, np.nextafter(limit, np.float32(1)), np.nan, np.inf], np.float32)
    assert accepts(scores, 0.6).tolist() == [True, True, False, False, False]
    Scoring(LOCAL).check(7)
    Scoring(PLAIN).check(1)
    for scoring, identities, message in (
        (Scoring(LOCAL), 6, "needs 7 identities, this gallery has 6"),
        (Scoring("best"), 100, "expected plain, local or quality"),
        (Scoring(PLAIN, fuse=-1), 100, "-1 templates and 5 neighbours"),
        (Scoring(LOCAL, neighbours=0), 100, "1 templates and 0 neighbours"),
    ):
        with pytest.raises(GalleryError, match=message):
            scoring.check(identities)
