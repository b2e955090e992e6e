"""Sealing while the next part is read and the large files are hashed: all is as it would be one after the other."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from engine.common.concurrency import ahead
from engine.errors import TemplatesError
from engine.gallery.gallery import Gallery
from engine.storage.catalogue import read_catalogue
from engine.storage.segments.files import recorded_files
from engine.storage.segments.labels import labels_of, read_labels
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates
from tests.support.galleries import people


def test_the_recorded_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    Gallery.build(people(0, 60), tmp_path / "g", score="local").close()
    (segment,) = read_catalogue(tmp_path / "g").segments
    recorded = recorded_files(tmp_path / "g", segment)
    assert len(recorded) == 5
    for file, size, digest in recorded:
        assert file.stat().st_size == size
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


def test_whose_rows_are_is_known_as_if_they_were_read_again(tmp_path: Path) -> None:
    parts = [people(0, 30), people(20, 40, each=1, noise=1), people(5, 9, each=3, noise=2)]
    table = pa.concat_tables([part.table for part in parts])
    ids = pa.array([f"t{row}" for row in range(len(table))], pa.string())
    whole = Templates(table.set_column(0, table.schema.field(0), ids), parts[0].provenance)
    Gallery.build(whole, tmp_path / "g", score="plain").close()
    (rows,) = (tmp_path / "g").glob("*.parquet")
    again, now = read_labels(rows), labels_of(whole.table)
    assert now.codes.tolist() == again.codes.tolist()
    assert now.identities.equals(again.identities)
    assert now.template_ids.to_pylist() == again.template_ids.to_pylist()


def test_an_error_of_the_parts_is_that_of_the_build(tmp_path: Path) -> None:
    whole = people(0, 60)

    def parts() -> Iterator[tuple[str, Templates]]:
        yield "one", whole
        raise TemplatesError("two: damaged after row 7")

    before = threading.active_count()
    with pytest.raises(TemplatesError, match=r"^two: damaged after row 7$"):
        Gallery.build(TemplateStream(whole.provenance, 2 * len(whole), parts()), tmp_path / "g")
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_comes_twice_is_refused_as_ever(tmp_path: Path) -> None:
    whole = people(0, 60)
    parts = iter([("one", whole), ("two", whole)])
    before = threading.active_count()
    with pytest.raises(TemplatesError, match="comes in one and again in two"):
        Gallery.build(TemplateStream(whole.provenance, 2 * len(whole), parts), tmp_path / "g")
    assert threading.active_count() == before


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    numbers = ahead(range(1000))
    assert next(numbers) == 0
    numbers.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
