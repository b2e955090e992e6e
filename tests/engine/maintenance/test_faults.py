"""Faults that no hash shows: files that are what the catalogue says they are, and wrong. `check` names each."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import Fault, check
from engine.maintenance.repair import repair
from engine.storage.recent_rows import _checksum
from engine.templates.model import vectors_of
from indexes.approximate.ivf import Ivf
from indexes.exact.flat import Flat
from indexes.files import VectorWriter, open_vectors
from tests.support.batches import shrink
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 1040
_COLUMNS = {".parquet": "rows", ".vectors.npy": "vectors", ".index": "index", ".density.npy": "density", ".labels": "labels"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists of codes, local scores, and recent templates."""
    gallery = Gallery.build(people(0, COUNT, each=1), tmp_path_factory.mktemp("whole") / "g", index="ivf", recall=0.9)
    gallery.enroll(people(2000, 2003))
    gallery.close()
    return gallery.path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def say(folder: Path, statement: str, *values: object) -> None:
    """Into the catalogue, whose digest is gone as after a kill."""
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database, database:
        database.execute(statement, values)
    (folder / "catalogue.sha256").unlink(missing_ok=True)


def recorded(folder: Path, ending: str, change: Callable[[Path], None]) -> Path:
    """Change a file, and let the catalogue record what it is now."""
    file = folder / f"segment-000001{ending}"
    change(file)
    held, column = file.read_bytes(), _COLUMNS[ending]
    digest = hashlib.sha256(held).hexdigest()
    say(folder, f"UPDATE segments SET {column}_bytes = ?, {column}_sha256 = ?", len(held), digest)  # noqa: S608
    return file


def rows(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    def rewrite(file: Path) -> None:
        table = pq.read_table(file)
        values = table.to_pylist()
        change(values)
        pq.write_table(pa.Table.from_pylist(values, table.schema), file)

    return recorded(folder, ".parquet", rewrite)


def vectors(folder: Path, change: Callable[[np.ndarray], None], ending: str = ".vectors.npy") -> Path:
    def rewrite(file: Path) -> None:
        held = np.array(open_vectors(file))
        change(held)
        with VectorWriter(file, held.shape[1]) as writer:
            writer.write(held)

    return recorded(folder, ending, rewrite)


def said(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in check(folder):
        found.setdefault(Path(fault.file).name, []).append(fault.what)
    return found


def test_a_value_beyond_the_budget_is_a_fault(copy: Path) -> None:
    say(copy, "INSERT INTO removed VALUES (?, 1)", "x" * (9 << 20))
    assert "SQLite finds: string or blob too big" in said(copy)["catalogue.sqlite"]


@pytest.mark.parametrize("size", [65_536, 100])
def test_ids_that_come_twice(copy: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """In one batch, and far from each other."""
    monkeypatch.setattr("engine.maintenance.integrity.ROW_GROUP", size)
    rows(copy, lambda values: [values[row].update(template_id=values[0]["template_id"]) for row in (1, 700)])
    assert said(copy) == {
        "segment-000001.parquet": ["2 template ids come twice"],
        "segment-000001.labels": ["2 labels are not those of segment-000001.parquet"],
    }


@pytest.mark.parametrize(("length", "wrong"), [(0.9, True), (0.9985, True), (0.9995, False), (1.0005, False), (1.0015, True)])
def test_vectors_that_are_not_of_unit_length(copy: Path, length: float, wrong: bool) -> None:
    """In rows and vectors alike."""

    def scale(values: list[dict[str, Any]]) -> None:
        for row in (3, 500):
            values[row]["vector"] = (np.array(values[row]["vector"]) * length).tolist()

    file = rows(copy, scale)
    scaled = vectors_of(pq.read_table(file))

    def same(held: np.ndarray) -> None:
        held[:] = scaled

    vectors(copy, same)
    assert said(copy) == ({"segment-000001.parquet": ["2 vectors have not the norm 1"]} if wrong else {})


@pytest.mark.parametrize("row", [0, 7, COUNT - 1])
def test_vectors_that_are_not_those_of_the_rows(copy: Path, monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    """Of unit length, and somebody else's; the exact kind shows nothing of it. Repaired, since the rows say what is right."""
    monkeypatch.setattr("engine.maintenance.integrity.ROW_GROUP", 7)

    def swap(held: np.ndarray) -> None:
        held[row] = people(5000, 5001, each=1).vectors[0]

    monkeypatch.setattr("engine.storage.segments.making._PROBES", 100)
    vectors(copy, swap)
    assert said(copy)["segment-000001.vectors.npy"] == ["1 vectors are not those of segment-000001.parquet"]
    repair(copy)
    assert said(copy) == {}
    np.testing.assert_array_equal(Gallery.open(copy).index.vectors(np.array([row]))[0], people(row, row + 1, each=1).vectors[0])


def test_fewer_vectors_than_rows(copy: Path) -> None:
    def cut(file: Path) -> None:
        held = np.array(open_vectors(file))[:-3]
        with VectorWriter(file, held.shape[1]) as writer:
            writer.write(held)

    recorded(copy, ".vectors.npy", cut)
    (told,) = said(copy)["segment-000001.vectors.npy"]
    assert told.endswith(" vectors are not those of segment-000001.parquet")


def test_more_vectors_than_rows(copy: Path) -> None:
    def lengthen(file: Path) -> None:
        held = np.array(open_vectors(file))
        with VectorWriter(file, held.shape[1]) as writer:
            writer.write(np.concatenate([held, held[:2]]))

    recorded(copy, ".vectors.npy", lengthen)
    assert "2 vectors are not those of segment-000001.parquet" in said(copy)["segment-000001.vectors.npy"]


def test_rows_without_identity_and_rows_that_are_missing(copy: Path) -> None:
    rows(copy, lambda values: [values[row].update(identity=None) for row in (3, 4)])
    assert said(copy)["segment-000001.parquet"] == ["2 templates have no identity"]
    rows(copy, lambda values: values.pop())
    assert f"it has {COUNT - 1} rows, {COUNT} were recorded" in said(copy)["segment-000001.parquet"]
    with pytest.raises(GalleryError, match="nothing was done"):
        repair(copy)


def test_rows_of_other_columns(copy: Path) -> None:
    def widen(file: Path) -> None:
        table = pq.read_table(file)
        pq.write_table(table.append_column("more", pa.nulls(len(table))), file)

    recorded(copy, ".parquet", widen)
    assert "its columns are not those of a template file" in said(copy)["segment-000001.parquet"]


@pytest.mark.parametrize(("wrong", "found"), [(COUNT, True), (100, True), (2, False)])
def test_an_index_that_does_not_find_its_vectors(copy: Path, wrong: int, found: bool) -> None:
    """Codes of other vectors: all of them, a tenth, and so few that an honest index misses as many."""
    held = np.array(open_vectors(copy / "segment-000001.vectors.npy"))
    held[np.random.default_rng(0).permutation(COUNT)[:wrong]] = people(5000, 5000 + wrong, each=1).vectors
    before = Gallery.open(copy).index
    assert isinstance(before, Ivf)
    index = Ivf.build(held)
    index.effort = type(index.effort)(8, before.effort.shortlist)
    recorded(copy, ".index", index.save)
    told = said(copy).get("segment-000001.index", [])
    assert [bool(each.startswith("it finds ")) for each in told] == ([True] if found else [])
    assert not found or "templates that were searched for themselves" in told[0]
    repair(copy)
    assert said(copy) == {}


def test_an_exact_index_must_find_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path / "g", index="flat")
    gallery.close()
    search = Flat._search

    def blind(self: Flat, probes: np.ndarray, k: int, stop_near: bool) -> Any:
        found = search(self, probes, k, stop_near)
        found.distances[-1] += 0.5  # one of sixty
        return found

    monkeypatch.setattr(Flat, "_search", blind)
    assert said(gallery.path) == {"segment-000001.index": ["it finds 59 of 60 templates that were searched for themselves"]}


def test_an_index_of_another_kind(copy: Path) -> None:
    recorded(copy, ".index", Flat(open_vectors(copy / "segment-000001.vectors.npy")).save)
    assert said(copy)["segment-000001.index"] == [f"it is flat of {COUNT}, recorded were ivf and {COUNT} templates"]


@pytest.mark.parametrize(
    ("column", "value", "wrong"), [(0, np.nan, True), (1, np.inf, True), (0, -0.1, True), (0, 9.0, True), (0, 0.0, False)]
)
def test_densities_that_cannot_be(copy: Path, column: int, value: float, wrong: bool) -> None:
    """Not numbers, below nothing, or a mean above the next."""

    def spoil(held: np.ndarray) -> None:
        held[COUNT - 1, column] = value

    vectors(copy, spoil, ".density.npy")
    assert said(copy) == ({"segment-000001.density.npy": ["some densities are impossible"]} if wrong else {})


def test_densities_of_fewer_templates(copy: Path) -> None:
    def cut(file: Path) -> None:
        held = np.array(open_vectors(file))[:-3]
        with VectorWriter(file, 2) as writer:
            writer.write(held)

    recorded(copy, ".density.npy", cut)
    assert said(copy)["segment-000001.density.npy"] == [f"it has the shape ({COUNT - 3}, 2), expected ({COUNT}, 2)"]


@pytest.mark.parametrize(("again", "removed"), [("id7#0", False), ("id7#0", True), ("id2000#9", False)])
def test_a_recent_template_under_the_id_of_a_sealed_one(copy: Path, again: str, removed: bool) -> None:
    """That is one template twice, unless the sealed one is gone."""
    if removed:
        say(copy, "INSERT INTO removed VALUES ('segment-000001', 7)")
    change_recent(copy, template_id=again)
    wrong = again == "id7#0" and not removed
    assert said(copy) == ({"catalogue.sqlite": ["1 template ids of recent templates are those of sealed ones"]} if wrong else {})


@pytest.mark.parametrize(("length", "wrong"), [(0.9, True), (0.9985, True), (0.9995, False), (1.0015, True)])
def test_a_recent_vector_that_is_not_of_unit_length(copy: Path, length: float, wrong: bool) -> None:
    change_recent(copy, vector=(people(2001, 2002, each=1).vectors[0] * np.float32(length)).tobytes())
    told = said(copy)
    if wrong:
        assert "a template that was enrolled lately has not the norm 1" in told["catalogue.sqlite"][0]
        with pytest.raises(GalleryError, match="has not the norm 1"):
            Gallery.open(copy)
    else:
        assert told == {}


def change_recent(folder: Path, **values: object) -> None:
    """One recent template, and its checksum with it."""
    columns = ["template_id", "identity", "source", "face", "box", "quality", "detection", "reasons", "vector"]
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database:
        found = database.execute(f"SELECT {', '.join(columns)} FROM recent WHERE template_id = 'id2001#0'").fetchone()  # noqa: S608
    changed = {**dict(zip(columns, found, strict=True)), **values}
    for name, value in changed.items():
        say(folder, f"UPDATE recent SET {name} = ? WHERE number = 3", value)  # noqa: S608
    say(folder, "UPDATE recent SET checksum = ? WHERE number = 3", _checksum(*(changed[name] for name in columns)))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO removed VALUES ('segment-000001', 1040)", "1 removed rows do not exist"),
        ("INSERT INTO removed VALUES ('segment-000001', -1)", "1 removed rows do not exist"),
        ("INSERT INTO renamed VALUES ('segment-000001', 'nobody', 'somebody')", "it renames who is not there"),
        (
            "INSERT INTO segments SELECT 'segment-00000' || n, kind, templates, rows_bytes, rows_sha256, vectors_bytes, "
            "vectors_sha256, index_bytes, index_sha256, operating, density_bytes, density_sha256, labels_bytes, labels_sha256 "
            "FROM segments, "
            "(SELECT 2 AS n UNION SELECT 3)",
            "it names 3 segments, expected 1 or 2",
        ),
        ("DELETE FROM segments", "it names 0 segments, expected 1"),
        ("UPDATE segments SET name = '../segment-000001'", "it names a segment"),
        ("UPDATE segments SET name = 'segment-000001/../../x'", "it names a segment"),
        ("UPDATE segments SET name = '/tmp/segment-000001'", "it names a segment"),
        ("UPDATE segments SET name = 'segment-000001' || char(10)", "it names a segment"),
        ("UPDATE segments SET templates = 0", "it names a segment"),
        ("UPDATE gallery SET value = '0' WHERE key = 'format'", "format 0"),
        ("UPDATE gallery SET value = '5000' WHERE key = 'measured'", ""),
        ("DELETE FROM gallery WHERE key = 'scoring'", "catalogue is damaged"),
    ],
)
def test_a_catalogue_that_says_what_cannot_be(copy: Path, statement: str, expected: str) -> None:
    """A name that leads out of the gallery's folder among it. It is told, and the gallery does not open as if it were whole."""
    say(copy, statement)
    told = " ".join(said(copy).get("catalogue.sqlite", []))
    assert expected in told
    if expected:
        with pytest.raises(OnekError):
            Gallery.open(copy)


def test_small_batches_find_no_fault_where_there_is_none(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    assert check(copy) == []


@pytest.mark.parametrize(("changes", "looks", "found"), [(0, 1, 1), (1, 2, 0), (2, 3, 0), (3, 3, 1), (9, 3, 1)])
def test_what_a_writer_does_meanwhile_is_no_fault(
    copy: Path, monkeypatch: pytest.MonkeyPatch, changes: int, looks: int, found: int
) -> None:
    """A fault that is there while the gallery changes is looked for again, three times at most; one that stays is told."""
    done = 0

    def faults(folder: Path, progress: object) -> list[Fault]:
        nonlocal done
        done += 1
        if done <= changes:
            say(folder, "UPDATE gallery SET value = value + 1 WHERE key = 'version'")
        return [Fault(folder, "torn")] if done <= changes or not changes else []

    monkeypatch.setattr("engine.maintenance.integrity._faults", faults)
    assert (len(check(copy)), done) == (found, looks)


def test_whatever_sqlite_finds_is_told(copy: Path) -> None:
    """A free page that is none, and an index of ids that lacks rows: nothing else would show them."""
    catalogue = copy / "catalogue.sqlite"
    with closing(sqlite3.connect(catalogue)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        other = "(SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_segments_1')"
        database.execute(f"UPDATE sqlite_schema SET rootpage = {other} WHERE name = 'sqlite_autoindex_recent_1'")  # noqa: S608
    (copy / "catalogue.sha256").unlink()
    told = said(copy)["catalogue.sqlite"]
    assert all(each.startswith("SQLite finds: ") for each in told)
    assert any("missing from index sqlite_autoindex_recent_1" in each for each in told), told
    assert len(told) > 1


def test_bytes_that_are_others_are_told_with_both_hashes(copy: Path) -> None:
    file = copy / "segment-000001.density.npy"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    after = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"its bytes have the SHA-256 {after[:12]}, {before[:12]} was recorded" in said(copy)[file.name]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_strays_in_a_gallery_of_a_former_format(tmp_path: Path, number: int) -> None:
    """The index that is not read any more is none."""
    former = Path(shutil.copytree(Path(__file__).parents[2] / "fixtures" / "galleries" / f"format-{number}", tmp_path / "g"))
    assert check(former) == []
    for name in ("notes.txt", "zzz"):
        (former / name).touch()
    assert [(Path(fault.file).name, fault.what) for fault in check(former)] == [
        (name, "it is no file of the gallery's") for name in ("notes.txt", "zzz")
    ]


def test_a_gallery_without_fault_is_looked_at_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though somebody writes all the while."""
    looks = []

    def faults(folder: Path, progress: object) -> list[Fault]:
        looks.append(folder)
        say(folder, "UPDATE gallery SET value = value + 1 WHERE key = 'version'")
        return []

    monkeypatch.setattr("engine.maintenance.integrity._faults", faults)
    assert check(copy) == []
    assert len(looks) == 1
