"""A gallery of somebody else's, whose index is a file of FAISS's that names a file of ours: FAISS would write into that."""

import hashlib
import logging
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from engine.errors import GalleryError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from indexes.files import open_vectors
from tests.indexes.hostile import FAISS, faiss_bytes, former, on_disk
from tests.support.galleries import names, people

_PRECIOUS = b"dear diary" * 20_000
_RIGHT = ["id0", "id1", "id2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an approximate index, and recent templates that join it whenever the gallery is opened."""
    gallery = Gallery.build(people(0, 60), tmp_path_factory.mktemp("foreign") / "g", factory="IVF4,SQ8")
    gallery.enroll(people(100, 103))
    gallery.close()
    return gallery.path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "g"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "victim").write_bytes(_PRECIOUS)
    return tmp_path / "victim"


def put_index(path: Path, data: bytes, number: int) -> Path:
    """Let FAISS's bytes be the index of a gallery that says it is of format `number`, and every hash be right."""
    file = path / "segment-000001.index"
    if number < 5:
        former(file, "factory", data, effort={"visits": 2, "shortlist": 4}, factory="IVF4,Flat")
    else:
        file.write_bytes(data)
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        recorded = (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
        database.execute("UPDATE segments SET index_bytes = ?, index_sha256 = ?", recorded)
        database.execute("UPDATE gallery SET value = ? WHERE key = 'format'", (str(number),))
    database.close()
    (path / "catalogue.sha256").unlink()
    return file


def vectors_of(path: Path) -> np.ndarray:
    return np.array(open_vectors(path / "segment-000001.vectors.npy"))


def test_faiss_writes_nowhere_for_a_gallery_of_a_former_format(
    path: Path, victim: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = on_disk(victim, vectors_of(path), tmp_path / "scratch")
    put_index(path, data, 4)
    with caplog.at_level(logging.WARNING):
        gallery = Gallery.open(path)
    assert "every vector is searched until onek compact" in caplog.text
    assert (gallery.info().exact, names(gallery, 0, 3), names(gallery, 100, 101)) == (True, _RIGHT, ["id100"])
    assert check(path) == []
    assert repair(path) == []
    gallery.backup(tmp_path / "copy")
    copy = Gallery.open(tmp_path / "copy")
    assert names(copy, 0, 3) == _RIGHT
    assert not (tmp_path / "copy" / "segment-000001.index").exists()
    copy.compact()
    assert (copy.info().exact, copy.info().format, names(copy, 0, 3), check(copy.path)) == (False, 8, _RIGHT, [])
    merged = Gallery.merge([path], tmp_path / "merged")
    assert names(merged, 0, 3) == _RIGHT
    gallery.enroll(people(103, 104))
    gallery.close()
    assert (gallery.info().exact, names(Gallery.open(path), 0, 3), check(path)) == (False, _RIGHT, [])
    assert victim.read_bytes() == _PRECIOUS


def test_nor_for_one_that_says_it_is_of_the_present(path: Path, victim: Path, tmp_path: Path) -> None:
    file = put_index(path, on_disk(victim, vectors_of(path), tmp_path / "scratch"), 5)
    for question in (
        lambda: Gallery.open(path),
        lambda: Gallery.merge([path], tmp_path / "merged"),
    ):
        with pytest.raises(GalleryError, match="not an index file of onek.*say onek check --repair") as refused:
            question()
        assert "\n" not in str(refused.value)
    assert [fault.file for fault in check(path)] == [file]
    assert repair(path)
    assert (names(Gallery.open(path), 0, 3), check(path)) == (_RIGHT, [])
    assert victim.read_bytes() == _PRECIOUS


@pytest.mark.parametrize("name", FAISS)
def test_no_index_of_faiss_is_read(path: Path, name: str) -> None:
    data = faiss_bytes(name, vectors_of(path))
    put_index(path, data, 4)
    assert names(Gallery.open(path), 0, 3) == _RIGHT
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute("UPDATE gallery SET value = '5' WHERE key = 'format'")
    database.close()
    with pytest.raises(GalleryError, match="an index file of format 1; this onek reads formats 2 and 3"):
        Gallery.open(path)
