"""A gallery's whole life in batches of seven rows, and at once: both give the same."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import Encoder
from engine.errors import TemplatesError
from engine.gallery.gallery import Gallery
from engine.inspection.label_audit import audit
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter, read_templates, stream_templates
from engine.workflows.embed_files import embed_to_file
from engine.workflows.identify_files import identify_to_file
from tests.support.batches import shrink
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")


def with_sources(templates: Templates) -> Templates:
    """Each from a picture called after it."""
    at = templates.table.schema.get_field_index("source")
    paths = pa.array([f"/pictures/{name}.jpg" for name in templates.table["template_id"].to_pylist()], pa.string())
    return Templates(templates.table.set_column(at, templates.table.schema.field(at), paths), templates.provenance)


def written(templates: Templates, path: Path) -> Path:
    with TemplateWriter(path, templates.provenance) as writer:
        for start in range(0, len(templates), 5):
            for rows in templates.table.slice(start, 5).to_batches():
                writer.write(rows)
    return path


def seen(gallery: Gallery) -> list[dict[str, Any]]:
    """Every enrolled template, with all that is known of it, in the order of their ids."""
    rows = zip(
        gallery.template_ids.to_pylist(),
        gallery.identity_names.take(pa.array(gallery.enrolled.members.codes)).to_pylist(),
        gallery.sources().to_pylist(),
        gallery.index.vectors(np.arange(len(gallery))).tolist(),
        strict=True,
    )
    return sorted(({"id": row[0], "who": row[1], "from": row[2], "vector": row[3]} for row in rows), key=lambda row: row["id"])


def life(folder: Path) -> list[Any]:
    """What a gallery of 66 people says at each stage of its life."""
    folder.mkdir()
    told: list[Any] = []

    def tell(gallery: Gallery) -> None:
        gallery = Gallery.open(gallery.path)
        assert gallery.threshold(fpir=0.1) > 0
        told.append(seen(gallery))
        assert all(row["from"] in (f"/pictures/{row['id']}.jpg", None) for row in told[-1])
        renamed = {"id12": "twelve"} if len(told) > 1 else {}
        assert all(row["who"] == renamed.get(name := row["id"].split("#")[0], name) for row in told[-1])
        density = gallery.enrolled.all_densities()
        assert density is not None
        told.append(density[np.argsort(np.array(gallery.template_ids.to_pylist()))])
        out = folder / f"{len(told)}.parquet"
        identify_to_file(gallery, [probes], out, fpir=0.1, top=3)
        told.append(pq.read_table(out).to_pylist())

    probes = written(people(0, 75, each=1, noise=1), folder / "probes.parquet")
    files = [written(with_sources(people(*span)), folder / f"{span[0]}.parquet") for span in ((0, 40), (40, 66))]
    gallery = Gallery.build(files, folder / "g", score="local")
    tell(gallery)
    gallery.rename("id12", "twelve")
    gallery.enroll(with_sources(people(70, 73)))
    gallery.remove([f"id{number}" for number in (0, 5, 20, 65, 71)], templates=["id3#1", "id33#0", "id72#0"])
    tell(gallery)
    gallery.close()
    assert check(gallery.path) == []
    gallery.compact()
    tell(gallery)
    vectors = next(gallery.path.glob("*.vectors.npy"))
    vectors.write_bytes(vectors.read_bytes()[:-4])
    gallery.close()
    assert repair(gallery.path)
    assert check(gallery.path) == []
    tell(gallery)
    told.append([asdict(each) for each in audit(Gallery.open(gallery.path))])
    assert told[-1]
    Gallery.build([written(people(100, 160, each=1), folder / "more.parquet")], folder / "h")
    tell(Gallery.merge([folder / "g", folder / "h"], folder / "both"))
    return told


def test_a_life_in_small_batches_is_the_same_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = life(tmp_path / "whole")
    shrink(monkeypatch)
    parts = life(tmp_path / "parts")
    assert max(group for group in row_groups(tmp_path / "parts" / "0.parquet")) == 7
    for number, (one, other) in enumerate(zip(whole, parts, strict=True)):
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(other, one, atol=1e-6, err_msg=str(number))
        else:
            assert_alike(one, other)


def assert_alike(one: list[Any], other: list[Any]) -> None:
    """Products of other sizes are summed in another order: scores differ in their last digits."""
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for key, value in left.items():
            if isinstance(value, float):
                assert right[key] == pytest.approx(value, abs=1e-5), (left, right)
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                assert_alike(value, right[key])
            else:
                assert right[key] == value, (left, right)


def row_groups(path: Path) -> list[int]:
    metadata = pq.ParquetFile(path).metadata
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


@pytest.mark.parametrize("size", [1, 7, 39, 40, 41])
def test_a_template_file_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Rows keep their order and their numbers, however many come at a time."""
    templates = people(0, 20)
    shrink(monkeypatch, size)
    path = written(templates, tmp_path / "t.parquet")
    assert max(row_groups(path)) == min(size, 40)
    assert read_templates(path).table.equals(templates.table)
    parts = list(stream_templates(path, 9))
    assert [len(part) for part in parts] == [9, 9, 9, 9, 4]


@pytest.mark.parametrize("row", [0, 6, 7, 8, 39])
def test_a_vector_that_is_not_of_unit_length_is_named_by_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    templates = people(0, 20)
    table = templates.table.to_pylist()
    table[row]["vector"] = (np.array(table[row]["vector"]) * 0.9).tolist()
    pq.write_table(pa.Table.from_pylist(table, templates.table.schema), tmp_path / "t.parquet")
    shrink(monkeypatch)
    with pytest.raises(TemplatesError, match=rf"the vector in row {row} has the norm 0\.9, expected 1"):
        read_templates(tmp_path / "t.parquet")


def test_photographs_in_small_batches(photos: Path, sface: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates, problems and results come in the order of the photographs, whatever lies together in a batch."""
    for number in (2, 5, 11):
        (photos / f"person{number}.jpg").write_bytes(b"")
    told: list[tuple[Any, ...]] = []
    for size in (None, 5):
        if size is not None:
            shrink(monkeypatch, size)
        out = tmp_path / str(size)
        out.mkdir()
        made = embed_to_file(find_photographs([photos]), Embedder(sface), out / "t.parquet")
        gallery = Gallery.build([out / "t.parquet"], out / "g")
        identify_to_file(gallery, [photos], out / "r.parquet", threshold=0.5)
        rows = pq.read_table(out / "r.parquet").to_pylist()
        embedded = read_templates(out / "t.parquet")
        told.append(
            (
                (made.images, made.templates, made.problems),
                made.problems_file.read_text(),
                (out / "r.problems.csv").read_text(),
                embedded.table["template_id"].to_pylist(),
                [(row["probe"], row["decision"], row["identity"]) for row in rows],
            )
        )
        if size is None:
            vectors = embedded.vectors
        np.testing.assert_allclose(embedded.vectors, vectors, atol=1e-5)
    assert told[0] == told[1]
    assert told[0][0] == (12, 9, 3)
    assert [row[1] for row in told[0][-1]].count("failed") == 3
