"""What a build is announced to take: its terms against numbers worked by hand, and by templates of several kinds."""

from pathlib import Path

import numpy as np
import pytest

from engine.gallery.gallery import Gallery
from engine.storage.foretelling import _FIXED, Units, _identities, _more, _units, _work, foretold
from engine.templates.enrolment import enrolment
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter
from indexes.planner import Plan, held_memory, plan
from tests.indexes.vectors import unit


def people(count: int, dim: int = 16) -> Templates:
    return Templates.from_vectors(unit(count, dim, 0), identities=[f"p{number}" for number in range(count)])


def test_an_exact_gallery_by_hand() -> None:
    units = Units(row=1e-5, distance=1e-8, probe=1e-6)
    work = _work(units, "flat", 10_000, 10_000, scaled=True)
    assert work["rows"] == pytest.approx(10_000 * 1e-5)
    assert work["densities"] == pytest.approx(10_000 * (3e-6 + 1e-4))
    assert work["calibration"] == pytest.approx(10_000 * (1e-6 + 1e-4 + 3e-6))
    # K, twice K/2, four times K/4, eight times K/8: each half as many distances as before.
    assert work["drift"] == pytest.approx(1.875 * 1e8 * 1e-8 + 4 * 10_000 * 3e-6)
    assert set(_work(units, "flat", 10_000, 10_000, scaled=False)) == {"rows", "calibration", "drift"}


def test_lists_by_hand() -> None:
    units = Units(row=1e-5, distance=1e-8, probe=1e-6, code=1e-9, learnt=2.0, coded=1e-6, visited=0.25)
    work = _work(units, "ivf", 1_000_000, 500_000, scaled=True)
    # Where lists are long and most searches stop early, a code takes three tenths of what it takes on the slice.
    search = 1e-6 + 1000 * 1e-8 + 0.25 * 1_000_000 * 0.3e-9
    assert work["calibration"] == pytest.approx(20_000 * (search + 3e-6))
    # Of a million vectors, 1,073 probes are searched for exhaustively: as many distances as 2^30.
    assert work["tuning"] == pytest.approx(0.6 + 1073 * 1_000_000 * 1e-8 + 4096 * (1000 * 1e-8 + search))
    assert work["index"] == pytest.approx(2 + 1 + (10 * 128_000 + 1_000_000) * 1000 * 1e-8)
    # The sample of 50,000 has lists of its own, which eleven passes make, and of which 8 of 220 are looked through.
    sample = 2 + 0.05 + 11 * 50_000 * 220 * 1e-8
    each = 3e-6 + 220 * 1e-8 + 8 / 220 * 50_000 * 1e-9
    assert work["densities"] == pytest.approx(1_000_000 * each + sample)
    more = _work(units, "ivf", 2_000_000, 500_000, scaled=True)
    assert 1.5 < sum(more.values()) / sum(work.values()) < 3


def test_many_templates_of_a_person_by_hand() -> None:
    """Of 20 each of 3,000 people, 6 each are no more than 20,000; of 2 each, all take part."""
    units = Units(row=1e-5, distance=1e-8, probe=1e-6, listed=1e-5)
    work = _work(units, "flat", 60_000, 3000, scaled=True)
    assert work["densities"] == pytest.approx(60_000 * (1e-5 + 3e-6 + 60_000 * 1e-8))
    assert work["calibration"] == pytest.approx(3000 * (1.1e-5 + 60_000 * 1e-8 + 3e-6))
    assert work["drift"] == pytest.approx(1.875 * 18_000**2 * 1e-8 + 4 * 18_000 * 3e-6)
    assert _work(units, "flat", 6000, 3000, scaled=True)["drift"] == pytest.approx(1.875 * 6000**2 * 1e-8 + 4 * 6000 * 3e-6)


def test_few_people_with_hundreds_of_templates_by_hand() -> None:
    """Whatever the index, each template is compared with all."""
    units = Units(row=1e-5, distance=1e-8, probe=1e-6, code=1e-9, learnt=2.0, coded=1e-6, visited=0.25, listed=1e-5)
    work = _work(units, "ivf", 150_000, 300, scaled=True)
    assert work["densities"] == pytest.approx(150_000 * (1e-6 + 150_000 * 1e-8 + 3e-6))
    assert work["calibration"] == pytest.approx(300 * (1e-6 + 150_000 * 1e-8 + 3e-6))


@pytest.mark.parametrize("order", ["sorted", "random", "rounds"])
@pytest.mark.parametrize(("people", "each"), [(50_000, 1), (2500, 20), (5, 10_000)])
def test_identities_are_seen_in_whatever_order_they_come(people: int, each: int, order: str) -> None:
    codes = np.tile(np.arange(people), each)
    codes = {"sorted": np.sort(codes), "random": np.random.default_rng(0).permutation(codes), "rounds": codes}[order]
    some = 8192
    part = Templates.from_vectors(unit(some, 4, 0), identities=[f"p{code}" for code in codes[:some]])
    found = _identities(part, len(codes))
    if each == 1:
        assert found == people
    elif each < 100 or order != "sorted":
        assert found == pytest.approx(people, rel=0.05)
    else:  # one person's templates fill all that was seen
        assert found < 10


@pytest.mark.parametrize("kind", ["flat", "flat-codes", "ivf", "ivf-sq8"])
def test_every_unit_is_measured(kind: str) -> None:
    part = people(5000)
    units = _units(plan(5000, 16, kind=kind), part, 0.1, 1)
    assert min(units.row, units.distance, units.probe) > 0
    assert (min(units.code, units.learnt, units.coded) > 0) == (kind != "flat")
    assert 0 < units.visited <= 1
    assert (units.visited < 1) == ("ivf" in kind)
    assert units.names >= 8
    assert (units.held >= 1) == (kind != "flat")  # bounds would exclude nothing of these
    more = foretold(plan(50_000, 16, kind=kind), part, 0.1, 50_000, None)
    less = foretold(plan(5000, 16, kind=kind), part, 0.1, 5000, "plain")
    assert _FIXED < less.seconds < more.seconds
    assert held_memory() < less.memory < more.memory


def test_memory_by_hand() -> None:
    """Codes and names; what is read or learnt from together four times, or not at all where one part, which is held, is all."""
    fixed = _more(Units(0, 0, 0), "flat", 0, 0, 16)
    assert _more(Units(0, 0, 0, names=10, held=100), "flat", 10_000, 10_000, 16) - fixed == 10_000 * 180
    assert _more(Units(0, 0, 0), "flat", 200_000, 200_000, 16) - fixed == pytest.approx(65_536 * 4 * 64, abs=1)
    # Of 10,000 identities up to 10 templates each show how those of one differ.
    assert _more(Units(0, 0, 0), "flat-codes", 60_000, 3000, 128) == pytest.approx(3.75 * 8 * 128 * 30_000, abs=1)
    assert _more(Units(0, 0, 0), "ivf", 400_000, 20_000, 128) == pytest.approx(3.75 * 8 * 128 * 100_000, abs=1)
    assert _more(Units(0, 0, 0), "ivf", 1_000_000, 1_000_000, 16) - fixed == pytest.approx(128_000 * 4 * 64, abs=1)


def test_too_few_to_tell_go_by_the_plan() -> None:
    chosen = plan(100, 16)
    assert foretold(chosen, people(100), 0.1, 100, None) == chosen
    by_faiss = plan(5000, 16, factory="IVF16,Flat")
    assert foretold(by_faiss, people(5000), 0.1, 5000, None) == by_faiss


def test_what_was_looked_at_is_enrolled_too(tmp_path: Path) -> None:
    said: list[Plan] = []
    templates = people(5000)
    gallery = Gallery.build(templates, tmp_path / "g", score="plain", planned=said.append)
    assert len(gallery) == 5000
    assert said[0].seconds != plan(5000, 16).seconds
    first, stream = enrolment(templates).peeked()
    assert first is not None
    assert len(first) == 5000
    assert [len(part) for part in stream] == [5000]
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for number, file in enumerate(files):
        some = Templates.from_vectors(unit(30 + number, 16, number), identities=["somebody"] * (30 + number))
        with TemplateWriter(file, some.provenance) as rows:
            for batch in some.table.to_batches():
                rows.write(batch)
    _, stream = enrolment(files).peeked()
    assert np.sum([len(part) for part in stream]) == 61
