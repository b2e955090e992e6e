"""What compact says of erasure is true: beside readers, with strays about, with names in a calibration."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.errors import GalleryBusy, GalleryError
from engine.gallery.gallery import Gallery
from engine.maintenance.erasure import erase
from engine.maintenance.integrity import check
from engine.storage.writer_lock import Writer
from engine.templates.model import Templates
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(people(0, 30), tmp_path / "g")


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Somebody in the middle of a read."""
    with closing(
        sqlite3.connect(f"{(folder / 'catalogue.sqlite').as_uri()}?mode=ro", uri=True, isolation_level=None)
    ) as database:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM recent").fetchone()
        yield


def held(folder: Path, *needles: bytes) -> set[str]:
    """The files in which one of these bytes stands."""
    return {file.name for file in folder.iterdir() for needle in needles if needle in file.read_bytes()}


def of(gallery: Gallery, identity: str) -> tuple[list[str], np.ndarray]:
    """The template ids and the vectors of an identity."""
    rows = np.flatnonzero(gallery.enrolled.members.codes == gallery.identity_names.to_pylist().index(identity))
    return [gallery.template_ids[int(row)].as_py() for row in rows], gallery.index.vectors(rows)


def test_compact_beside_a_reader_does_not_say_that_it_erased(gallery: Gallery) -> None:
    gallery.enroll(people(40, 42, prefix="secret"))
    gallery.remove(["secret40"])
    needles = [vector.astype("<f4").tobytes() for vector in people(40, 41).vectors]
    with reading(gallery.path):
        with pytest.raises(GalleryBusy, match="is being read just now, so its log cannot be cleared; say onek compact again"):
            gallery.compact()
        gallery.refresh()
        assert held(gallery.path, *needles, b"secret40")
        assert gallery.info().awaiting_erasure == 2  # as long as bytes are there, it is said
        assert "secret40" not in gallery.identities
        assert len(gallery) == 62
    gallery.compact()
    assert gallery.info().awaiting_erasure == 0
    assert held(gallery.path, *needles, b"secret40") == set()
    assert len(Gallery.open(gallery.path)) == 62


def test_a_reader_that_is_open_but_idle_hinders_nobody(gallery: Gallery) -> None:
    reader = Gallery.open(gallery.path)
    assert len(reader.identify(people(0, 3), threshold=0.5)) == 6
    gallery.remove(["id3"])
    gallery.compact()
    assert held(gallery.path, *[vector.astype("<f4").tobytes() for vector in people(3, 4).vectors]) == set()
    reader.refresh()
    assert "id3" not in reader.identities


def test_every_kind_of_leaving_is_erased(gallery: Gallery) -> None:
    """Removed by name, by id, replaced, renamed; of the segment and of those who joined since; and sealed in between."""
    gallery.enroll(people(40, 43, prefix="secret"))
    gallery.enroll(Templates.from_vectors(people(80, 81, each=1).vectors, ["secret41"], ["secret41#0"]))
    gallery.enroll(Templates.from_vectors(people(81, 82).vectors[:1], ["id4"], ["id4#0"]))
    gallery.remove(["secret40", "id7"], templates=["secret42#1", "id8#0"])
    gallery.rename("id9", "nine")
    gone = [*people(40, 41).vectors, people(41, 42).vectors[0], people(42, 43).vectors[1]]
    gone += [people(4, 5).vectors[0], *people(7, 8).vectors, people(8, 9).vectors[0]]
    needles = [vector.astype("<f4").tobytes() for vector in gone]
    assert gallery.info().awaiting_erasure == len(gone)
    assert all(held(gallery.path, needle) for needle in needles)
    gallery.compact()
    assert held(gallery.path, *needles, b"secret40", b"secret42#1", b"id8#0", b"id7#") == set()
    # Who stayed is there, to the bit.
    stayed = {"id8": people(8, 9).vectors[1], "nine": people(9, 10).vectors[0], "id4": people(81, 82).vectors[0]}
    for name, vector in stayed.items():
        assert (of(gallery, name)[1] == vector).all(axis=1).any(), name
    gallery.close()
    assert check(gallery.path) == []


def test_a_calibration_names_nobody_who_was_removed(gallery: Gallery) -> None:
    """A cohort's is kept, but for the names that it left out."""
    strangers = people(200, 400, each=1, prefix="stranger")
    double = people(3, 4, each=1).vectors[0] + 0.004
    near = np.concatenate([strangers.vectors, [double]])
    ids = [*strangers.table["template_id"].to_pylist(), "double"]
    made = gallery.calibrate(Templates.from_vectors(near, None, ids))
    assert any("id3#0" in (pair.template_id, pair.other) for pair in made.left_out)
    gallery.remove(["id3"])
    assert held(gallery.path, b"id3#0")
    gallery.compact()
    assert gallery.calibration is not None
    assert gallery.calibration.source == "strangers"
    assert held(gallery.path, b"id3#0") == set()


def test_a_file_that_may_hold_who_was_removed_is_named(gallery: Gallery) -> None:
    stray = gallery.path / "copy-of-vectors.npy"
    stray.write_bytes((gallery.path / "segment-000001.vectors.npy").read_bytes())
    gallery.remove(["id3"])
    with pytest.raises(GalleryError, match=r"copy-of-vectors\.npy is no file of the gallery's and may hold what was removed"):
        gallery.compact()
    stray.unlink()
    gallery.compact()
    assert len(Gallery.open(gallery.path)) == 58


def test_what_is_still_there_is_said(gallery: Gallery) -> None:
    """Looked for in the catalogue: here in the row of somebody who was enrolled and not removed."""
    new = people(50, 51)
    gallery.enroll(new)
    gallery.close()
    writer = Writer(gallery.path)
    with writer.holding(), pytest.raises(GalleryError, match=r"catalogue\.sqlite still holds a removed vector"):
        erase(writer, new.vectors[:1])
    writer.close()


@pytest.mark.parametrize("who", [0, 29])
def test_who_has_the_vector_of_somebody_removed_may_stay(gallery: Gallery, who: int) -> None:
    """One picture under two names, of which one goes."""
    twin = people(who, who + 1, each=1)
    gallery.enroll(Templates.from_vectors(twin.vectors, ["twin"], ["twin#0"]))
    gallery.remove(["twin"])
    gallery.compact()
    assert of(gallery, f"id{who}")[0] == [f"id{who}#0", f"id{who}#1"]
    assert held(gallery.path, b"twin") == set()


def test_a_catalogue_that_was_not_cleared_is_said(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free pages may hold what was removed, whatever became of the order to clear them."""
    gallery.enroll(people(50, 120))
    gallery.remove([f"id{number}" for number in range(50, 120)])
    gallery.close()

    class Idle:
        def __init__(self, database: sqlite3.Connection) -> None:
            self._database = database

        def execute(self, statement: str) -> sqlite3.Cursor:
            return self._database.execute("SELECT 1" if statement == "VACUUM" else statement)

    connection = Writer.connection

    @contextmanager
    def idle(self: Writer) -> Iterator[Idle]:
        with connection(self) as database:
            yield Idle(database)

    writer = Writer(gallery.path)
    with writer.holding(), monkeypatch.context() as patch:
        with writer.connection() as database:
            database.execute("DELETE FROM recent")
        patch.setattr(Writer, "connection", idle)
        with pytest.raises(GalleryError, match=r"catalogue\.sqlite still has \d+ free pages; say onek compact again"):
            erase(writer, np.empty((0, 16), np.float32))
    with writer.holding():
        erase(writer, np.empty((0, 16), np.float32))
    writer.close()
