import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine import Gallery, Templates, embed_images
from engine.answers.results import SCHEMA
from engine.embedding.embedder import Embedder
from engine.encoders import Encoder, load_encoder
from engine.errors import (
    EncoderMismatch,
    GalleryError,
    IndexUnsupported,
    OutputError,
    PhotographsError,
    PlanError,
    TemplatesError,
)
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from engine.workflows.identify_files import count_probes, identify_to_file

Make = Callable[..., Templates]


@pytest.fixture
def gallery(random_templates: Make, tmp_path: Path) -> Gallery:
    return Gallery.build(random_templates(), tmp_path / "g")


def save(templates: Templates, path: Path) -> Path:
    with TemplateWriter(path, templates.provenance) as writer:
        for rows in templates.table.to_batches():
            writer.write(rows)
    return path


def test_everybody_is_found_and_nobody_else(gallery: Gallery, random_templates: Make) -> None:
    enrolled = random_templates()
    results = gallery.identify(enrolled.vectors, threshold=0.3)
    assert [result.identity for result in results] == enrolled.table["identity"].to_pylist()
    assert all(result.distance == 0 for result in results)
    strangers = gallery.identify(random_templates(seed=1), threshold=0.3)
    assert {result.decision for result in strangers} == {"unknown"}
    assert all(result.identity is None and result.distance is not None and result.distance > 0.3 for result in strangers)


def test_results_follow_the_contract(gallery: Gallery, random_templates: Make) -> None:
    results = gallery.identify(random_templates(seed=0), threshold=0.5, top=3)
    assert results.table.schema.equals(SCHEMA)
    result = results[7]
    assert result.probe == "t7"
    assert len(result.candidates) == 3
    assert result.candidates[0].identity == result.identity
    assert result.candidates[0].distance == result.distance == result.score
    assert len({candidate.identity for candidate in result.candidates}) == 3
    assert [c.distance for c in result.candidates] == sorted(c.distance for c in result.candidates)
    assert result.expected_false_alarms is not None
    assert result.expected_false_alarms < 0.05
    assert results[-1].probe == "t39"
    assert [r.probe for r in results[1:4]] == ["t1", "t2", "t3"]
    assert (results.counts.identified, results.counts.probes) == (40, 40)


def test_fewer_identities_than_candidates(random_templates: Make, tmp_path: Path) -> None:
    gallery = Gallery.build(random_templates(identities=2, each=30), tmp_path / "g")
    results = gallery.identify(random_templates(identities=2, each=30), threshold=0.5, top=10)
    assert {len(result.candidates) for result in results} == {2}


def test_the_threshold_decides(gallery: Gallery, random_templates: Make) -> None:
    probes = random_templates(each=1, seed=5)
    distance = gallery.identify(probes, threshold=0)[0].distance
    assert distance is not None
    assert gallery.identify(probes, threshold=distance)[0].decision == "identified"
    assert gallery.identify(probes, threshold=float(np.nextafter(np.float32(distance), 0)))[0].decision == "unknown"
    with pytest.raises(GalleryError, match="no default threshold"):
        gallery.identify(probes)


def test_a_gallery_opens_as_it_was_built(gallery: Gallery, random_templates: Make) -> None:
    again = Gallery.open(gallery.path)
    probes = random_templates(seed=0).vectors
    assert again.identify(probes, threshold=0.4).table.equals(gallery.identify(probes, threshold=0.4).table)
    info = again.info()
    assert (info.identities, info.templates, info.dim, info.index, info.exact, info.format) == (20, 40, 16, "flat", True, 8)
    assert info.bytes == sum(file.stat().st_size for file in gallery.path.iterdir())
    assert again.identities == sorted(f"id{i}" for i in range(20))
    assert len(again) == 40


def test_the_layout_of_the_design(gallery: Gallery) -> None:
    files = sorted(name for name in os.listdir(gallery.path) if not name.endswith(("-wal", "-shm")))
    assert files == [
        "catalogue.sha256",
        "catalogue.sqlite",
        "segment-000001.index",
        "segment-000001.labels",
        "segment-000001.parquet",
        "segment-000001.vectors.npy",
    ]
    rows = pq.read_table(gallery.path / "segment-000001.parquet")
    assert rows.num_rows == 40


def test_several_files_build_one_gallery(random_templates: Make, tmp_path: Path) -> None:
    whole = random_templates()
    parts = [save(Templates(whole.table.slice(start, 20), whole.provenance), tmp_path / f"{start}.parquet") for start in (0, 20)]
    assert len(Gallery.build(parts, tmp_path / "g")) == 40


def test_what_is_not_built(random_templates: Make, tmp_path: Path) -> None:
    one = save(random_templates(), tmp_path / "one.parquet")
    two = save(random_templates(seed=1), tmp_path / "two.parquet")
    with pytest.raises(TemplatesError, match=r"template id t0 comes in .*one\.parquet and again in .*two\.parquet"):
        Gallery.build([one, two], tmp_path / "g")
    wide = save(random_templates(dim=17), tmp_path / "wide.parquet")
    with pytest.raises(EncoderMismatch, match=r"one\.parquet holds 16 dimensions, .*wide\.parquet 17"):
        Gallery.build([one, wide], tmp_path / "g")
    nobody = Templates.from_vectors(np.eye(4), ["a", "b", None, "d"])
    with pytest.raises(TemplatesError, match=r"\w{32}:2 has no identity"):
        Gallery.build(nobody, tmp_path / "g")
    with pytest.raises(TemplatesError, match="not one template"):
        Gallery.build(Templates(nobody.table.slice(0, 0), nobody.provenance), tmp_path / "g")
    with pytest.raises(TemplatesError, match="no template file"):
        Gallery.build([], tmp_path / "g")
    assert sorted(os.listdir(tmp_path)) == ["one.parquet", "two.parquet", "wide.parquet"]


def test_only_a_gallery_is_replaced(gallery: Gallery, random_templates: Make, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        Gallery.build(random_templates(), gallery.path)
    assert len(Gallery.build(random_templates(identities=3), gallery.path, overwrite=True)) == 6
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter").write_text("dear")
    with pytest.raises(GalleryError, match="is no gallery"):
        Gallery.build(random_templates(), tmp_path / "precious", overwrite=True)
    assert (tmp_path / "precious" / "letter").read_text() == "dear"


def test_galleries_that_are_none_or_damaged(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no such gallery"):
        Gallery.open(tmp_path / "gone")
    with pytest.raises(GalleryError, match=r"holds no catalogue\.sqlite"):
        Gallery.open(tmp_path)
    index = gallery.path / "segment-000001.index"
    whole = index.read_bytes()
    index.write_bytes(whole[:-1])
    with pytest.raises(GalleryError, match=f"has {len(whole) - 1} bytes, {len(whole)} were recorded"):
        Gallery.open(gallery.path)
    index.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(GalleryError, match="they have changed|is damaged"):
        Gallery.open(gallery.path)
    index.unlink()
    with pytest.raises(GalleryError, match=r"segment-000001\.index is missing"):
        Gallery.open(gallery.path)
    index.write_bytes(whole)
    catalogue = gallery.path / "catalogue.sqlite"
    with sqlite3.connect(catalogue) as database:
        database.execute("UPDATE gallery SET value = '9' WHERE key = 'format'")
    with pytest.raises(GalleryError, match="format 9; this onek reads formats 1 to 8, so take a newer"):
        Gallery.open(gallery.path)
    catalogue.write_bytes(b"no database at all" * 100)
    with pytest.raises(GalleryError, match="catalogue is damaged"):
        Gallery.open(gallery.path)


def test_probes_of_another_encoder_are_refused(random_templates: Make, tmp_path: Path) -> None:
    def made_by(name: str) -> Templates:
        provenance = Provenance(name, name * 8, 16, threshold=0.5)
        table = random_templates().table
        return Templates(table.replace_schema_metadata(provenance.to_metadata()), provenance)

    gallery = Gallery.build(made_by("ours"), tmp_path / "g")
    assert gallery.identify(made_by("ours"), fpir=0.1).counts.identified == 40
    with pytest.raises(EncoderMismatch, match=r"was made by ours .* by theirs"):
        gallery.identify(made_by("theirs"))
    with pytest.raises(EncoderMismatch, match="holds 16 dimensions, .* 8"):
        gallery.identify(random_templates(dim=8))
    with pytest.raises(TemplatesError, match="row 1 holds a zero vector"):
        gallery.identify(np.stack([np.ones(16), np.zeros(16)]))


def test_photographs_against_vectors_nobody_named(gallery: Gallery, photos: Path) -> None:
    with pytest.raises(EncoderMismatch, match="not named"):
        gallery.identify(photos)


def test_verify_vectors(gallery: Gallery, random_templates: Make) -> None:
    vectors = random_templates().vectors
    same = gallery.verify(vectors[0], "id0", threshold=0.3)
    assert (same.same, same.distance, same.template_id) == (True, 0.0, "t0")
    other = gallery.verify(vectors[0], "id1", threshold=0.3)
    assert not other.same
    assert other.distance == pytest.approx(np.linalg.norm(vectors[0] - vectors[2:4], axis=1).min(), abs=1e-6)
    with pytest.raises(GalleryError, match=r"nobody called id00 .* Did you mean id0\?"):
        gallery.verify(vectors[0], "id00", threshold=0.3)


@pytest.fixture(scope="session")
def face_gallery(drawn: list[np.ndarray], sface: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    templates = embed_images(drawn, sface).templates
    named = templates.table.set_column(1, "identity", pa.array([f"person{i}" for i in range(len(drawn))]))
    named = named.replace_schema_metadata(templates.table.schema.metadata)
    return Gallery.build(
        Templates(named.cast(templates.table.schema), templates.provenance), tmp_path_factory.mktemp("faces") / "g"
    )


def test_photographs_to_names(face_gallery: Gallery, drawn_again: list[np.ndarray]) -> None:
    """The main job, on new pictures of enrolled people, with one picture that shows nobody in the middle."""
    pictures = [*drawn_again[:6], np.full((200, 200, 3), 90, np.uint8), *drawn_again[6:]]
    results = face_gallery.identify(pictures, threshold=0.7)
    assert [result.probe for result in results] == [f"image:{i}" for i in range(13)]
    assert results[6].decision == "failed"
    assert (results[6].identity, results[6].distance, results[6].candidates) == (None, None, ())
    people = [result for i, result in enumerate(results) if i != 6]
    assert sum(result.identity == f"person{i}" for i, result in enumerate(people)) >= 11


def test_one_photograph_and_its_vector_agree(face_gallery: Gallery, drawn_again: list[np.ndarray], sface: Encoder) -> None:
    (photograph,) = face_gallery.identify(drawn_again[0])
    vector = embed_images([drawn_again[0]], sface).templates
    (by_vector,) = face_gallery.identify(vector)
    assert photograph.distance == pytest.approx(by_vector.distance, abs=1e-5)
    assert photograph.threshold == pytest.approx(face_gallery.threshold())
    assert face_gallery.match_threshold().distance == sface.card.threshold
    verified = face_gallery.verify(drawn_again[0], "person0")
    assert verified.distance == pytest.approx(
        next(c.distance for c in photograph.candidates if c.identity == "person0"), abs=1e-5
    )
    with pytest.raises(PhotographsError, match="expected largest or none"):
        face_gallery.verify(drawn_again[0], "person0", faces="all")
    with pytest.raises(PhotographsError, match="no face found"):
        face_gallery.verify(np.zeros((90, 90, 3), np.uint8), "person0")


def test_the_encoder_is_loaded_once(
    face_gallery: Gallery, drawn_again: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By whatever asks first, and by several threads at once."""
    loaded = []

    def counted(*arguments: object, **options: object) -> Encoder:
        loaded.append(arguments)
        return load_encoder(*arguments, **options)  # type: ignore[arg-type]

    face_gallery.backup(tmp_path / "g")
    monkeypatch.setattr("engine.encoders.load_encoder", counted)
    gallery = Gallery.open(tmp_path / "g")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda picture: gallery.identify(picture)[0], drawn_again[:8]))
    assert [answer.distance for answer in answers] == [face_gallery.identify(one)[0].distance for one in drawn_again[:8]]
    gallery.verify(drawn_again[0], "person0")
    gallery.enroll([drawn_again[1]], identity="new")
    gallery.identify(drawn_again[2])
    assert len([arguments for arguments in loaded if arguments]) <= 2  # this gallery's, and the fixture's own
    fewer = len(loaded)
    gallery.refresh()
    gallery.identify(drawn_again[3])
    assert len(loaded) == fewer


def test_photographs_against_a_gallery_of_the_former_detector(tmp_path: Path, random_templates: Make, photos: Path) -> None:
    """It opens and answers vectors; photographs get a line that says how to make it anew."""
    made = Provenance("dlib-resnet", "ab" * 32, 16, True, "mtcnn 128/320/1024 refined, 5-point similarity, v1", None, 0.425)
    table = random_templates().table.replace_schema_metadata(made.to_metadata())
    gallery = Gallery.build(Templates(table, made), tmp_path / "g")
    assert gallery.identify(random_templates().vectors, fpir=0.1).counts.identified == 40
    for ask in (
        lambda: gallery.identify(photos),
        lambda: gallery.verify(photos / "person1.jpg", "id0"),
        lambda: gallery.enroll(photos),
    ):
        with pytest.raises(EncoderMismatch, match=r"dlib-resnet .*mtcnn.* but no photographs.* onek embed"):
            ask()


def test_nothing_but_failures(face_gallery: Gallery) -> None:
    results = face_gallery.identify([np.zeros((90, 90, 3), np.uint8)] * 2)
    assert [(result.probe, result.decision) for result in results] == [("image:0", "failed"), ("image:1", "failed")]
    assert (results.counts.failed, results.counts.probes) == (2, 2)


def test_another_alignment_is_another_encoder(face_gallery: Gallery) -> None:
    with pytest.raises(EncoderMismatch, match="whole picture"):
        face_gallery.embedder("none")
    assert face_gallery.embedder("all").provenance == face_gallery.provenance
    crops = Embedder(load_encoder("pixels"), "none")
    with pytest.raises(EncoderMismatch, match=r"sface .* pixels"):
        face_gallery.embedder(encoder="pixels")
    assert crops.provenance.alignment != face_gallery.provenance.alignment


@pytest.mark.parametrize("ending", ["parquet", "csv", "json", "jsonl"])
def test_results_files(face_gallery: Gallery, photos: Path, tmp_path: Path, ending: str) -> None:
    import csv
    import json

    (photos / "person3.jpg").write_bytes(b"")
    out = tmp_path / f"r.{ending}"
    made = identify_to_file(face_gallery, [photos], out, top=2)
    assert (made.counts.probes, made.counts.failed) == (12, 1)
    assert made.problems_file.read_text().splitlines()[1].endswith("person3.jpg,the file is empty")
    if ending == "parquet":
        rows = pq.read_table(out).to_pylist()
    elif ending == "csv":
        with out.open(newline="") as stream:
            rows = [{**row, "candidates": json.loads(row["candidates"])} for row in csv.DictReader(stream)]
    elif ending == "json":
        rows = json.loads(out.read_text())
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert list(rows[0]) == SCHEMA.names
    assert [row["probe"] for row in rows] == sorted(str(photos / f"person{i}.jpg") for i in range(12))
    for row in rows:
        name = Path(row["probe"]).stem
        if name == "person3":
            assert (row["decision"], row["identity"] or None, row["candidates"]) == ("failed", None, [])
        else:
            assert (row["decision"], row["identity"], len(row["candidates"])) == ("identified", name, 2)
            assert float(row["distance"]) < 0.5


def test_results_files_that_are_refused(face_gallery: Gallery, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"found the ending '\.txt', expected \.parquet, \.csv, \.json or \.jsonl"):
        identify_to_file(face_gallery, [photos], tmp_path / "r.txt")
    (tmp_path / "r.csv").write_text("mine")
    with pytest.raises(OutputError, match="overwrite=True"):
        identify_to_file(face_gallery, [photos], tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "mine"


def test_an_approximate_gallery_finds_what_an_exact_one_does(random_templates: Make, tmp_path: Path) -> None:
    enrolled = random_templates(identities=1500, each=2, dim=24)
    exact = Gallery.build(enrolled, tmp_path / "exact", index="flat")
    stages: list[str] = []
    plans: list[str] = []
    for kind in ("flat-codes", "ivf", "ivf-sq8"):
        gallery = Gallery.build(
            enrolled,
            tmp_path / kind,
            index=kind,
            recall=0.99,
            planned=lambda plan: plans.append(plan.kind),
            progress=lambda stage, _done, _total: stages.append(stage),
        )
        info = gallery.info()
        assert (info.index, info.exact) == (kind, False)
        assert info.operating is not None
        assert (info.operating.asked, info.operating.recall >= 0.99) == (0.99, True)
        probes = random_templates(identities=1500, each=2, dim=24)
        ours, theirs = (g.identify(probes, threshold=0.3).table for g in (Gallery.open(gallery.path), exact))
        assert ours["probe"].equals(theirs["probe"])
        same = np.mean(np.asarray(ours["identity"].to_pylist()) == np.asarray(theirs["identity"].to_pylist()))
        assert same > 0.98
    assert plans == ["flat-codes", "ivf", "ivf-sq8"]
    expected = ["reading", "training", "adding", "measuring", "densities", "calibrating", "smaller galleries"]
    assert list(dict.fromkeys(stages)) == expected


def test_a_build_that_fails_leaves_nothing(random_templates: Make, tmp_path: Path) -> None:
    enrolled = random_templates(identities=600, dim=24)

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "adding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Gallery.build(enrolled, tmp_path / "g", index="ivf", progress=stop)
    assert os.listdir(tmp_path) == []
    with pytest.raises(PlanError, match="The least that would do is --memory"):
        Gallery.build(enrolled, tmp_path / "g", memory=1000)
    with pytest.raises(IndexUnsupported, match="expected flat, flat-codes, ivf, ivf-sq8"):
        Gallery.build(enrolled, tmp_path / "g", index="best")
    assert os.listdir(tmp_path) == []
    assert len(Gallery.build(enrolled, tmp_path / "g", index="ivf")) == 1200


def test_a_string_of_faiss_makes_a_gallery(random_templates: Make, tmp_path: Path) -> None:
    enrolled = random_templates(identities=300, dim=24)
    Gallery.build(enrolled, tmp_path / "g", factory="IVF16,SQ8")
    gallery = Gallery.open(tmp_path / "g")
    assert gallery.info().index == "factory"
    assert gallery.identify(enrolled, threshold=0.3).counts.identified >= 595


def test_the_probes_of_a_file_stream_in_order(random_templates: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.identify_files.TEMPLATES", 7)
    enrolled = random_templates()
    gallery = Gallery.build(enrolled, tmp_path / "g")
    told: list[int] = []
    probes = save(enrolled, tmp_path / "p.parquet")
    assert count_probes([probes], gallery) == 40
    made = identify_to_file(gallery, [probes], tmp_path / "r.parquet", threshold=0.3, progress=told.append)
    assert made.counts.identified == 40
    assert told == [7, 7, 7, 7, 7, 5]
    rows = pq.read_table(tmp_path / "r.parquet")
    assert rows["probe"].to_pylist() == [f"t{i}" for i in range(40)]
    assert rows["identity"].to_pylist() == enrolled.table["identity"].to_pylist()
