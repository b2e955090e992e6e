"""Galleries in which one identity has very many templates: what is found, and in how much memory and time."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calibration.impostor_searches import left_out_templates, subsample
from engine.matching.densities import known_among
from engine.matching.members import Members, nearest_of_each
from engine.matching.nearest_identities import nearest_identities
from engine.matching.scoring import PLAIN, Scoring, SearchableGallery
from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.base import Neighbours, SearchableIndex, StoredIndex, distances_to
from indexes.composite.concatenated import ConcatenatedIndex
from indexes.composite.masked import MaskedIndex
from indexes.exact.flat import Flat

# Entries of a search that are held at a time, at most.
BOUND = 1 << 22


def corners(random: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of unit length, many of them equal, of which every product is exact: no two ways of computing differ."""
    vectors = np.zeros((count, 6), np.float32)
    for vector in vectors:
        vector[random.permutation(6)[:4]] = random.choice([-0.5, 0.5], 4)
    return vectors


def by_brute_force(vectors: np.ndarray, codes: np.ndarray, probes: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    rows, distances = [], []
    for probe in probes:
        far = distances_to(probe[None], vectors, np.arange(len(vectors))[None])[0]
        order = np.lexsort((np.arange(len(vectors)), far))
        nearest = np.sort(np.unique(codes[order], return_index=True)[1])[:top]
        rows.append(order[nearest])
        distances.append(far[order[nearest]])
    return np.array(rows), np.array(distances)


@contextmanager
def small_limits() -> Iterator[None]:
    """A few dozen templates are many."""
    with (
        patch("engine.matching.nearest_identities._MOST", 1),
        patch("engine.matching.nearest_identities._BLOCK", 13),
        patch("engine.matching.nearest_identities._SPARE", 2),
        patch("indexes.base._ENTRIES", 64),
        patch("indexes.composite.masked._MOST", 1),
        patch("indexes.composite.selected._PART", 13),
    ):
        yield


@settings(max_examples=80, deadline=None)
@given(
    crowd=st.integers(1, 200),
    second=st.integers(1, 60),
    others=st.integers(0, 60),
    each=st.integers(1, 4),
    masked=st.booleans(),
    top=st.integers(1, 80),
    batch=st.integers(1, 30),
    seed=st.integers(0, 10_000),
)
def test_crowds_hide_nobody(
    crowd: int, second: int, others: int, each: int, masked: bool, top: int, batch: int, seed: int
) -> None:
    """One identity has most templates, as alike as they come, and half of the probes are its own."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.repeat(np.arange(others + 2), [crowd, second, *[each] * others]))
    vectors = corners(random, len(codes))
    vectors[(codes == 0) & (random.random(len(codes)) < 0.8)] = corners(random, 1)
    probes = np.concatenate([vectors[codes == 0][:15], corners(random, 15)])
    index: SearchableIndex = ConcatenatedIndex([Flat.build(vectors[:1]), Flat.build(vectors[1:])])
    members, gone = Members(codes), np.zeros(len(codes), bool)
    if masked:
        gone[random.random(len(codes)) < 0.5] = True
        gone[np.unique(codes, return_index=True)[1]] = False
        index, members = MaskedIndex(index, gone), Members(codes[~gone])
    rows, distances = by_brute_force(vectors[~gone], codes[~gone], probes, top)
    with small_limits():
        found = [nearest_identities(index, members, probes[start : start + batch], top) for start in range(0, len(probes), batch)]
    np.testing.assert_array_equal(np.concatenate([part.rows for part in found]), rows)
    np.testing.assert_array_equal(np.concatenate([part.distances for part in found]), distances)


def test_an_approximate_index_answers_as_if_all_probes_were_searched_at_once() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1200, 16)).astype(np.float32)
    vectors[:600] = vectors[0] + 0.1 * vectors[:600]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index, members = FlatCodes.build(vectors), Members(np.concatenate([np.zeros(600, np.int64), 1 + np.arange(600) // 2]))
    at_once = nearest_identities(index, members, vectors[::9], 7)
    with small_limits():
        in_parts = nearest_identities(index, members, vectors[::9], 7)
    np.testing.assert_array_equal(in_parts.rows, at_once.rows)
    np.testing.assert_array_equal(in_parts.distances, at_once.distances)


@pytest.mark.parametrize("noise", [0, 1e-5, 1e-4])
def test_pictures_of_a_crowd_that_are_as_good_as_equal_are_not_confused(noise: float) -> None:
    """As those of a film: nearer to each other than FAISS can tell in a large batch."""
    vectors = np.random.default_rng(0).normal(size=(3000, 512)).astype(np.float32)
    vectors[:1500] = vectors[0] + np.float32(noise) * vectors[:1500]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = np.concatenate([np.zeros(1500, np.int64), np.arange(1, 1501)])
    found = nearest_identities(Flat.build(vectors), Members(codes), vectors[:1000], 7)
    assert (found.distances[:, 0] == 0).all()
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(1000) if noise else 0)


@contextmanager
def entries() -> Iterator[list[int]]:
    """How many rows every search within asks for, of all its probes together."""
    asked: list[int] = []
    search = SearchableIndex.search

    def counted(index: SearchableIndex, probes: np.ndarray, k: int, *, stop_near: bool = False) -> Neighbours:
        asked.append(len(probes) * min(k, index.count))
        return search(index, probes, k, stop_near=stop_near)

    with patch.object(SearchableIndex, "search", counted):
        yield asked


def half_of_one(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Templates of which the first half are one person's, and who each is of."""
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    vectors[: count // 2] = vectors[0] + 0.1 * vectors[: count // 2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.concatenate([np.zeros(count // 2, np.int64), np.arange(1, count // 2 + 1)])


@pytest.mark.parametrize("kind", [Flat, FlatCodes])
def test_memory_is_bounded_where_one_identity_has_half_of_all_templates(kind: type[Flat] | type[FlatCodes]) -> None:
    vectors, codes = half_of_one(6000)
    probes = vectors[:3000] if kind is Flat else vectors[:1500]
    with entries() as asked:
        found = nearest_identities(kind.build(vectors), Members(codes), probes, 7)
    assert max(asked) <= BOUND
    assert (codes[found.rows[:, 0]] == 0).all()


def test_an_exact_search_takes_no_longer_for_more_templates_of_one_identity() -> None:
    asked = {}
    for count in (6000, 24_000):
        vectors, codes = half_of_one(count)
        with entries() as each:
            nearest_identities(Flat.build(vectors), Members(codes), vectors[:100], 7)
        asked[count] = sum(each)
    assert asked[24_000] <= 1.2 * asked[6000]


def test_memory_is_bounded_where_many_templates_are_gone() -> None:
    vectors, codes = half_of_one(6000)
    index = MaskedIndex(Flat.build(vectors), codes == 0)
    with entries() as asked:
        found = index.search(vectors[:3000], 3)
    assert max(asked) <= BOUND
    np.testing.assert_array_equal(found.rows[:40], Flat.build(vectors[3000:]).search(vectors[:40], 3).rows)


def test_rows_of_uneven_identities_are_never_padded() -> None:
    """Where everybody's were padded to those of the one who has most, there would be K times as many: 10^11 here."""
    many = 300_000
    codes = np.concatenate([np.zeros(many, np.int64), np.arange(1, many + 1)])
    members = Members(codes)
    some = np.array([5, 0, 3])
    assert members.all_rows(some).tolist() == [many + 4, *range(many), many + 2]
    assert len(members.all_rows(np.arange(many + 1))) == 2 * many
    chosen, rows = left_out_templates(members, most=many)
    np.testing.assert_array_equal(codes[rows], chosen)


def test_a_subsample_of_uneven_identities() -> None:
    vectors, codes = half_of_one(60)
    members = Members(codes)
    gallery = SearchableGallery(Flat.build(vectors), members, Scoring(PLAIN))
    some = subsample(gallery, np.array([3, 0]))
    np.testing.assert_array_equal(some.index.vectors(np.arange(31)), vectors[[32, *range(30)]])
    assert some.members.codes.tolist() == [0] + [1] * 30
    among = np.isin(np.arange(31), [0, 3])
    known, theirs, place = known_among(gallery.index, members, among)
    np.testing.assert_array_equal(known.vectors(np.arange(31)), vectors[[*range(30), 32]])
    assert theirs.codes.tolist() == [0] * 30 + [1]
    assert place[[0, 1, 3]].tolist() == [0, -1, 1]


def test_distances_to_the_nearest_of_a_crowd_are_measured_in_parts() -> None:
    vectors, codes = half_of_one(60)
    index, members, who = Flat.build(vectors), Members(codes), np.tile([0, 3], (40, 1))
    at_once = nearest_of_each(index, members, who, vectors[:40])
    with small_limits():
        in_parts = nearest_of_each(index, members, who, vectors[:40])
    np.testing.assert_array_equal(in_parts.rows, at_once.rows)
    np.testing.assert_array_equal(in_parts.distances, at_once.distances)


def test_some_have_thirty_times_as_many_as_most() -> None:
    """Neither all alike nor one alone: probes of the many need longer lists, and the answers are those of loops."""
    random = np.random.default_rng(0)
    codes = random.permutation(np.repeat(np.arange(210), np.concatenate([np.full(190, 5), np.full(20, 150)])))
    vectors = random.normal(size=(210, 32))[codes] + 0.4 * random.normal(size=(len(codes), 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = nearest_identities(Flat.build(vectors), Members(codes), vectors[:200], 7)
    for probe, distances in zip(vectors[:200].astype(float), found.distances, strict=True):
        apart = np.linalg.norm(vectors - probe, axis=1)
        nearest = np.sort([apart[codes == code].min() for code in range(210)])[:7]
        np.testing.assert_allclose(distances, nearest, atol=1e-4)


@pytest.mark.parametrize("order", ["sorted", "mixed"])
@pytest.mark.parametrize("kind", [Flat, FlatCodes, Ivf])
@pytest.mark.parametrize(("people", "each", "wanted"), [(30, 150, 7), (5, 900, 7), (40, 120, 25)])
def test_few_people_with_hundreds_of_templates_each(
    kind: type[StoredIndex], order: str, people: int, each: int, wanted: int
) -> None:
    """Compared with all, whatever the index: the answers are those of loops, of one probe as of many, for enrolled people and for
    strangers. Some have many more than others, and a tenth of all are the same picture.
    """
    random = np.random.default_rng(0)
    counts = 1 + random.multinomial(people * (each - 1), random.dirichlet(np.ones(people)))
    codes = np.repeat(np.arange(people), counts)
    codes = codes if order == "sorted" else random.permutation(codes)
    vectors = random.normal(size=(people, 32))[codes] + 0.4 * random.normal(size=(len(codes), 32))
    vectors[random.random(len(codes)) < 0.1] = vectors[0]
    probes = np.concatenate([vectors[::37], random.normal(size=(50, 32))])
    vectors, probes = (unit_length(each) for each in (vectors, probes))
    index, members = kind.build(vectors), Members(codes)
    found = nearest_identities(index, members, probes, wanted)
    rows, distances = by_brute_force(vectors, codes, probes, wanted)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.distances, distances)
    for number in (0, 50, len(probes) - 1):
        alone = nearest_identities(index, members, probes[number : number + 1], wanted)
        np.testing.assert_array_equal(alone.rows[0], rows[number])
        np.testing.assert_array_equal(alone.distances[0], distances[number])


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
