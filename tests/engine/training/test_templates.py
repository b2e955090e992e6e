"""What is learnt on templates alone: projections and heads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine import embed_images, load_encoder, read_templates
from engine.cli.app import app
from engine.encoders.projection import Projection, project, read_projection
from engine.errors import EncoderMismatch, OnekError, TrainingError
from engine.gallery.gallery import Gallery
from engine.matching.pair_verifier import FORMS, PairVerifier, features, read_pair_verifier
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from engine.training.pair_verifier import mined_pairs, train_pair_verifier
from engine.training.projections import KINDS, train_projection

DIM = 12


def people(first: int, last: int, each: int = 4) -> Templates:
    """Templates in which the last four of twelve directions are noise: large, and the same for everybody."""
    vectors, names = [], []
    for number in range(first, last):
        centre = np.random.default_rng(number).normal(size=DIM)
        for copy in range(each):
            random = np.random.default_rng([number, copy])
            vector = centre + 0.25 * random.normal(size=DIM)
            vector[8:] = 2 * random.normal(size=4)
            vectors.append(vector)
            names.append(f"id{number}")
    made = Templates.from_vectors(np.array(vectors), names)
    return Templates(made.table, replace(made.provenance, encoder="e", fingerprint="f"))


def rank1(vectors: np.ndarray, each: int = 4) -> float:
    labels = np.arange(len(vectors)) // each
    gallery, probes = vectors[::each], np.delete(vectors, np.s_[::each], axis=0)
    nearest = (probes @ gallery.T).argmax(axis=1)
    return float((nearest == np.delete(labels, np.s_[::each])).mean())


@pytest.mark.parametrize("kind", ["wccn", "lda"])
def test_a_projection_finds_the_directions_that_tell_people_apart(kind: str, tmp_path: Path) -> None:
    learnt = train_projection(people(0, 150), kind, 8)
    others = people(500, 600)
    assert rank1(learnt(others.vectors)) > rank1(others.vectors) + 0.1
    learnt.save(tmp_path / "p.npz")
    again = read_projection(tmp_path / "p.npz")
    np.testing.assert_array_equal(again(others.vectors), learnt(others.vectors))
    made = project(others, again, tmp_path / "p.npz")
    assert (made.provenance.dim, made.provenance.threshold) == (8, None)
    assert made.provenance.fingerprint != others.provenance.fingerprint
    assert made.table["identity"].equals(others.table["identity"])
    assert Provenance.from_json(made.provenance.to_metadata()["onek.provenance"]) == made.provenance
    assert "projection" not in others.provenance.to_metadata()["onek.provenance"]  # an older onek reads it
    with pytest.raises(EncoderMismatch, match="these are of"):
        project(made, again, tmp_path / "p.npz")


def test_the_first_directions_of_pca_hold_most() -> None:
    templates = people(0, 100)
    learnt = train_projection(templates, "pca")
    moved = (templates.vectors - learnt.mean) @ learnt.matrix
    np.testing.assert_allclose(learnt.matrix.T @ learnt.matrix, np.eye(DIM), atol=1e-5)
    assert (np.diff(moved.var(axis=0)) <= 1e-6).all()


def test_within_covariance_becomes_the_unit_matrix() -> None:
    templates = people(0, 300)
    learnt = train_projection(templates, "wccn", shrinkage=0.0)
    moved = (templates.vectors - learnt.mean) @ learnt.matrix
    means = moved.reshape(300, 4, DIM).mean(axis=1)
    deviations = moved - means.repeat(4, axis=0)
    np.testing.assert_allclose(deviations.T @ deviations / (300 * 3), np.eye(DIM), atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_a_head_knows_what_tells_people_apart(form: str, tmp_path: Path) -> None:
    head = train_pair_verifier(people(0, 150), form)
    assert np.abs(head.weights[:8]).min() > np.abs(head.weights[8:]).max()
    others = people(500, 560)
    rows, same = mined_pairs(others.vectors, np.arange(240) // 4)
    scores = head.scores(others.vectors[rows[:, 0]], others.vectors[rows[:, 1]])
    plain = np.linalg.norm(others.vectors[rows[:, 0]] - others.vectors[rows[:, 1]], axis=1)

    def right(values: np.ndarray) -> float:
        return float((values[same][:, None] < np.random.default_rng(0).choice(values[~same], 500)).mean())

    assert right(scores) > right(plain) + 0.02
    head.save(tmp_path / "h.npz")
    again = read_pair_verifier(tmp_path / "h.npz")
    assert (again.form, again.bias, again.made) == (head.form, head.bias, head.made)
    np.testing.assert_array_equal(again.weights, head.weights)
    assert head.probability(0.0) == 0.5
    assert head.probability(-3.0) > 0.9


def test_features_by_hand() -> None:
    one, other = np.float32([0.5, -0.5, 0.0]), np.float32([0.25, 0.5, 0.0])
    np.testing.assert_allclose(features("absolute", one, other), [0.25, 1, 0])
    np.testing.assert_allclose(features("chi2", one, other), [0.0625 / 0.751, 1 / 1.001, 0], rtol=1e-5)


def test_pairs_are_what_they_are_called() -> None:
    templates, labels = people(0, 40), np.arange(160) // 4
    rows, same = mined_pairs(templates.vectors, labels)
    assert same.sum() == 40 * 6
    assert ((labels[rows[:, 0]] == labels[rows[:, 1]]) == same).all()
    assert len(np.unique(np.sort(rows[same], axis=1), axis=0)) == same.sum()


def test_identify_and_verify_with_a_head(tmp_path: Path) -> None:
    head = train_pair_verifier(people(0, 150), "absolute")
    enrolled = people(500, 560, each=1)
    gallery = Gallery.build(enrolled, tmp_path / "g", score="plain")
    every = people(500, 560)
    probes = Templates(every.table.take(pa.array(np.arange(240)[np.arange(240) % 4 > 0])), every.provenance)
    truth = probes.table["identity"].to_pylist()

    def first(results: list[str | None]) -> float:
        return float(np.mean([one == other for one, other in zip(results, truth, strict=True)]))

    plain = gallery.identify(probes, threshold=2.0)
    ordered = gallery.identify(probes, threshold=2.0, head=head)
    assert first([result.identity for result in ordered]) > first([result.identity for result in plain]) + 0.05
    # The threshold is the score's, and so no more strangers get a name than without.
    strangers = people(900, 1000, each=1)
    for limit in (0.6, 0.8, 1.0):
        named = [gallery.identify(strangers, threshold=limit, head=learnt).counts.identified for learnt in (head, None)]
        assert named[0] <= named[1]
    with pytest.raises(EncoderMismatch, match="the head was learnt from templates of"):
        gallery.identify(probes, threshold=1.0, head=replace(head, made=Provenance.foreign(DIM)))


def test_the_commands(photos: Path, tmp_path: Path) -> None:
    def say(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code in (0, 4), result.exception
        return result.output.replace("\n", " ")

    made = embed_images(photos, "pixels", faces="none").templates
    again = made.table.set_column(0, made.table.schema.field(0), pa.array([f"again{number}" for number in range(12)]))
    twice = pa.concat_tables([made.table, again])
    noise = np.random.default_rng(0).normal(0, 0.05, (24, 128)).astype(np.float32)
    vectors = np.concatenate([made.vectors, made.vectors]) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 128)
    place = twice.schema.get_field_index("vector")
    pq.write_table(twice.set_column(place, twice.schema.field(place), column), tmp_path / "t.parquet")
    assert "lda, 128 to 8 dimensions" in say("train-projection", tmp_path / "t.parquet", "-o", tmp_path / "p.npz", "--dim", 8)
    assert "24 templates of 8" in say(
        "project", tmp_path / "t.parquet", "--projection", tmp_path / "p.npz", "-o", tmp_path / "u.parquet"
    )
    # Photographs as probes of a gallery of projected templates are projected too.
    pixels = ("embed", photos, "--encoder", "pixels", "--faces", "none")
    say(*pixels, "--projection", tmp_path / "p.npz", "-o", tmp_path / "e.parquet")
    assert read_templates(tmp_path / "e.parquet").provenance == read_templates(tmp_path / "u.parquet").provenance
    say("build-index", tmp_path / "e.parquet", "-o", tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    with pytest.raises(EncoderMismatch, match=r"pass --projection .*p\.npz"):
        gallery.embedder("none")
    gallery.embedder("none", projection=tmp_path / "p.npz")
    results = gallery.identify(sorted(photos.iterdir())[:3], threshold=0.01, faces="none")
    assert [result.identity for result in results] == ["person0", "person1", "person10"]
    # And a head for the encoder as it is.
    assert "chi2, 128 weights" in say("train-head", tmp_path / "t.parquet", "-o", tmp_path / "h.npz")
    say(*pixels, "-o", tmp_path / "f.parquet")
    say("build-index", tmp_path / "f.parquet", "-o", tmp_path / "plain")
    arguments = ("-g", tmp_path / "plain", "--head", tmp_path / "h.npz", "--faces", "none")
    assert say("verify", photos / "person3.jpg", "person3", *arguments).startswith("the same")
    assert "by the head" in say("verify", photos / "person3.jpg", "person4", *arguments)
    say("identify", photos, *arguments, "--threshold", 0.5, "-o", tmp_path / "r.csv")


def test_what_is_refused(tmp_path: Path) -> None:
    templates, singles = people(0, 20), people(0, 20, each=1)
    for work, words in (
        (lambda: train_projection(templates, "ica"), "--kind ica"),
        (lambda: train_projection(templates, "lda", 13), "--dim 13: lda of these templates gives 1 to 12"),
        (lambda: train_projection(templates, "wccn", shrinkage=2.0), "--shrinkage 2"),
        (lambda: train_projection(singles, "lda"), "20 identities with one template each"),
        (lambda: train_pair_verifier(singles, "chi2"), "20 identities with one template each"),
        (lambda: train_pair_verifier(templates, "cosine"), "--form cosine"),
        (lambda: train_pair_verifier(people(0, 1), "chi2"), "templates of one identity"),
        (lambda: train_pair_verifier(Templates.from_vectors(np.eye(3)), "chi2"), "3 templates have no identity"),
        (lambda: read_pair_verifier(tmp_path / "nowhere.npz"), "no such file"),
    ):
        with pytest.raises(TrainingError, match=words):
            work()
    (tmp_path / "h.npz").write_bytes(b"PK")
    Projection("pca", np.zeros(3, np.float32), np.eye(3, dtype=np.float32), Provenance.foreign(3)).save(tmp_path / "p.npz")
    PairVerifier("chi2", np.full(3, np.nan, np.float32), 1.0, Provenance.foreign(3)).save(tmp_path / "nan.npz")
    PairVerifier("chi2", np.ones(4, np.float32), 1.0, Provenance.foreign(3)).save(tmp_path / "four.npz")
    for name in ("h.npz", "p.npz", "nan.npz", "four.npz"):
        with pytest.raises(TrainingError):
            read_pair_verifier(tmp_path / name)
    with pytest.raises(OnekError, match="was learnt from templates of"):
        load_encoder("pixels", projection=tmp_path / "p.npz").provenance("whole picture, v1")
    assert set(KINDS) == {"pca", "wccn", "lda"}
