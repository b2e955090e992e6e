import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.matching.members import Members, nearest_of_each
from engine.matching.nearest_identities import fused_distances, nearest_identities, without_identity
from engine.matching.pair_verifier import ABSOLUTE, PairVerifier, reordered
from engine.matching.scoring import PLAIN, REORDERED, Scoring, SearchableGallery
from engine.templates.provenance import Provenance
from indexes.exact.flat import Flat


@settings(max_examples=80, deadline=None)
@given(
    templates=st.integers(1, 60),
    identities=st.integers(1, 12),
    probes=st.integers(1, 8),
    top=st.integers(1, 15),
    crowd=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_an_identity_is_as_near_as_its_nearest_template(
    templates: int, identities: int, probes: int, top: int, crowd: bool, seed: int
) -> None:
    """Against a plain loop; with a crowd, one identity has nearly all the templates."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(templates + probes, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled, searched = vectors[:templates], vectors[templates:]
    raw = (
        np.where(random.random(templates) < 0.9, 0, random.integers(0, identities, templates))
        if crowd
        else random.integers(0, identities, templates)
    )
    codes = np.unique(raw, return_inverse=True)[1].astype(np.int32)
    found = nearest_identities(Flat.build(enrolled), Members(codes), searched, top)
    for i in range(probes):
        distances = np.linalg.norm(searched[i] - enrolled, axis=1)
        best = sorted((distances[codes == code].min(), code) for code in set(codes.tolist()))[:top]
        np.testing.assert_allclose(found.distances[i], [distance for distance, _ in best], atol=1e-6)
        assert len(set(codes[found.rows[i]].tolist())) == len(best)
        np.testing.assert_allclose(distances[found.rows[i]], found.distances[i], atol=1e-6)


def test_no_probes() -> None:
    found = nearest_identities(Flat.build(np.eye(3, dtype=np.float32)), Members(np.arange(3)), np.empty((0, 3), np.float32), 2)
    assert found.rows.shape == found.distances.shape == (0, 2)


def test_members_by_hand() -> None:
    members = Members(np.array([1, 0, 1, 2, 1]))
    assert (members.identities, members.most) == (3, 3)
    assert members.rows(np.array([2, 1])).tolist() == [[3, -1, -1], [0, 2, 4]]
    assert members.rows(np.array([0, 2])).tolist() == [[1], [3]]


def test_one_identity_is_left_out() -> None:
    vectors = np.eye(4, dtype=np.float32)
    members = Members(np.array([0, 1, 2, 2]))
    probe = np.array([[0.8, 0.6, 0, 0], [0.8, 0.6, 0, 0]], np.float32)
    found = nearest_identities(Flat.build(vectors), members, probe, 2)
    assert members.codes[found.rows].tolist() == [[0, 1], [0, 1]]
    # The own identity goes, or where it was not found, the last candidate.
    left = without_identity(found, members, np.array([0, 2]))
    assert members.codes[left.rows].tolist() == [[1], [0]]


def test_fused_distances_by_hand() -> None:
    """An identity with three templates at 0, 60 and 90 degrees, one with a single one at 180."""
    angles = np.radians([0, 60, 90, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    index, members = Flat.build(vectors), Members(np.array([0, 0, 0, 1]))
    probe = vectors[:1]
    found = nearest_identities(index, members, probe, 2)
    chord = 2 * np.sin(angles / 2)
    np.testing.assert_allclose(fused_distances(index, members, probe, found, 1)[0], [0, 2], atol=1e-6)
    np.testing.assert_allclose(fused_distances(index, members, probe, found, 2)[0], [chord[1] / 2, 2], atol=1e-6)
    np.testing.assert_allclose(fused_distances(index, members, probe, found, 9)[0], [chord[:3].mean(), 2], atol=1e-6)
    near = nearest_of_each(index, members, np.array([[1, 0], [0, 1]]), vectors[[1, 3]])
    assert near.rows.tolist() == [[3, 1], [2, 3]]
    np.testing.assert_allclose(near.distances, [[2 * np.sin(np.radians(60)), 0], [2 * np.sin(np.radians(45)), 0]], atol=1e-6)


def test_a_head_orders_the_twenty_best_however_many_are_asked_for() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled = SearchableGallery(Flat.build(vectors), Members(np.arange(60)), Scoring(PLAIN))
    head = PairVerifier(ABSOLUTE, random.normal(size=8).astype(np.float32), 0.0, Provenance.foreign(8))
    probes = vectors[:10] + np.float32(0.1)
    few, twenty, many = (
        reordered(enrolled.candidates(probes, max(top, REORDERED)), head, probes, enrolled.index, top).rows for top in (3, 20, 45)
    )
    np.testing.assert_array_equal(few, twenty[:, :3])
    np.testing.assert_array_equal(twenty, many[:, :20])
    plain = enrolled.candidates(probes, 45).rows
    assert (twenty != plain[:, :20]).any()
    np.testing.assert_array_equal(many[:, 20:], plain[:, 20:])


@pytest.mark.parametrize("each", [1, 2, 3])
@pytest.mark.parametrize("fuse", [1, 2, 3, 5])
def test_fused_distances_against_a_plain_loop(each: int, fuse: int) -> None:
    """However many templates everybody has, fewer than are fused or more."""
    random = np.random.default_rng(each)
    vectors = random.normal(size=(8 * each + 5, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enrolled, probes, codes = vectors[5:], vectors[:5], np.repeat(np.arange(8), each)
    index, members = Flat.build(enrolled), Members(codes)
    found = nearest_identities(index, members, probes, 4)
    fused = fused_distances(index, members, probes, found, fuse)
    for probe, rows, distances in zip(probes, found.rows, fused, strict=True):
        own = [np.sort(np.linalg.norm(enrolled[codes == codes[row]] - probe, axis=1))[:fuse].mean() for row in rows]
        np.testing.assert_allclose(distances, own, atol=1e-6)
