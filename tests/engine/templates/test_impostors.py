"""Tables of impostors, against people whose truth is known, and the thresholds of galleries that have little else."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.impostors import measure_impostors
from engine.encoders import CARDS
from engine.errors import TemplatesError
from engine.templates.measured.impostors import Chances, Impostors, impostors_of, measured
from engine.templates.provenance import Provenance
from tests.support.known import SFACE, TABLE, made_by_sface, people, strangers


@pytest.fixture(scope="module")
def table() -> Impostors:
    """Of 2,500 people who are in no test."""
    return measure_impostors(made_by_sface(people(TABLE, 2500)), "made-up people", resamples=40)


def alarms(chances: Chances, identities: int, each: int = 1, galleries: int = 40) -> float:
    """The share of strangers, 2,000 for each of many galleries, who find somebody at 1 %."""
    limit = chances.score_at(0.01)
    found = []
    for gallery in range(galleries):
        first = gallery * identities
        enrolled = np.concatenate([people(first, identities, image) for image in range(each)])
        found.append(np.mean((2 - 2 * strangers(gallery) @ enrolled.T).min(axis=1) <= limit**2))
    return float(np.mean(found))


@pytest.mark.parametrize(("identities", "each"), [(1, 1), (12, 1), (49, 1), (200, 1), (12, 3)])
def test_so_many_chances_give_the_rate(table: Impostors, identities: int, each: int) -> None:
    """As measured, not the upper end of its interval, which asks for a little less."""
    middle = replace(table, deviations=(0.0,) * len(table.rates))
    rate = alarms(Chances(middle, identities * each, None), identities, each)
    assert 0.01 / 1.3 < rate < 0.013
    assert alarms(Chances(table, identities * each, None), identities, each, galleries=15) < 0.012


def test_its_uncertainty_is_that_of_other_people(table: Impostors) -> None:
    """Measured on other people again and again, rates lie about the table's as its deviations say."""
    again = []
    for sample in range(6):
        vectors = strangers(sample, 2500)
        squares = np.sort((2 - 2 * vectors @ vectors.T)[np.triu_indices(len(vectors), 1)])
        again.append(np.log(np.searchsorted(squares, table.squares) / len(squares)))
    z = (np.array(again) - np.log(table.rates)) / np.array(table.deviations)
    # The table has erred once, the others each for itself: both together by a factor of the root of 2.
    assert 0.7 < np.sqrt(np.mean(z**2)) / np.sqrt(2) < 1.5


def test_rates_and_distances_by_hand() -> None:
    table = Impostors("x", False, "y", "z", 10, 45, (1e-4, 1e-3, 1e-2), (0.5, 1.0, 2.0), (0.0, 0.0, 0.0))
    assert table.distance_at(1e-3) == pytest.approx(1.0)
    assert table.distance_at(1e-3 * np.sqrt(10)) == pytest.approx(2**0.25)
    assert table.rate_at(1.0) == pytest.approx(1e-3)
    # Beyond its end as before: each halving of the square a tenth.
    assert table.rate_at(0.5) == pytest.approx(1e-5)
    assert table.rate_at(0.0) < 1e-30
    assert table.rate_at(2.0) == pytest.approx(0.1)
    unsure = replace(table, deviations=(0.2, 0.1, 0.0))
    assert unsure.least_rate == pytest.approx(1e-4 * np.exp(1.96 * 0.2))
    assert unsure.distance_at(1e-3) < table.distance_at(1e-3)
    ten = Chances(table, 10, None)
    assert ten.score_at(1 - (1 - 1e-3) ** 10) == pytest.approx(1.0)
    assert ten.least_rate == pytest.approx(1e-3, rel=1e-3)
    assert Chances(table, 10, 0.8).score_at(1 - (1 - 1e-3) ** 10) == pytest.approx(1 / 0.8)


def test_whose_impostors_are_known() -> None:
    known = impostors_of(SFACE)
    assert known is not None
    assert (known.people, known.pairs) == (4028, 4028 * 4027 // 2)
    assert known.rates[0] == 1e-5
    assert known.rates[-1] == 0.1
    assert next(card for card in CARDS if card.name == "sface").impostors is known
    for other in (
        Provenance.foreign(128),
        replace(SFACE, flip=True),
        replace(SFACE, alignment="as somebody else does"),
        replace(SFACE, projection="p.npz"),
        replace(SFACE, encoder="../sface"),
    ):
        assert impostors_of(other) is None
    for card in CARDS:
        assert card.impostors is None or card.impostors is measured(card.name, flip=card.flip, alignment=card.impostors.alignment)


def test_too_few_people_make_no_table() -> None:
    with pytest.raises(TemplatesError, match="50 people make 1,225 pairs; expected thousands"):
        measure_impostors(made_by_sface(people(0, 50)), "few")
