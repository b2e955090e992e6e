"""The file that says whose a segment's rows are: what it holds, what a foreign one is refused for, and who mends it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import GalleryError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from engine.storage.catalogue.schema import FORMER_SEGMENTS
from engine.storage.segments.label_file import map_labels, save_labels
from engine.storage.segments.labels import Labels, read_labels
from indexes.files import read_index, write_index
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")
SEGMENT = "segment-000001"
Arrays = dict[str, np.ndarray]


def labels(names: list[str], ids: pa.ChunkedArray, codes: list[int]) -> Labels:
    quality = np.linspace(0, 1, len(codes), dtype=np.float32)
    quality[0] = np.nan
    return Labels(np.array(codes, np.int32), pa.array(names, pa.string()), ids, quality)


@pytest.mark.parametrize(
    "ids",
    [
        pa.chunked_array([["a", "b", "c"]], pa.string()),
        pa.chunked_array([["a"], [], ["b", "c"]], pa.string()),
        pa.chunked_array([["x", "a", "b", "c", "y"]], pa.string()).slice(1, 3),
        pa.chunked_array([["", "né", "名前" * 300]], pa.string()),
    ],
    ids=["one chunk", "several chunks", "a part of one", "no letters, and others than ASCII"],
)
def test_what_is_written_is_mapped(tmp_path: Path, ids: pa.ChunkedArray) -> None:
    said = labels(["Ané", "ben"], ids, [1, 0, 1])
    save_labels(tmp_path / "l", said)
    found = map_labels(tmp_path / "l", 3)
    assert found.identities.equals(said.identities)
    assert found.template_ids.to_pylist() == ids.to_pylist()
    np.testing.assert_array_equal(found.codes, said.codes)
    np.testing.assert_array_equal(found.quality, said.quality)
    assert read_index(tmp_path / "l")[0] == "labels"  # the hash is that of what it holds


def test_the_parts_of_an_identity_that_is_a_part_of_a_column(tmp_path: Path) -> None:
    names = pa.array(["nobody", "a", "b"], pa.string()).slice(1)
    save_labels(tmp_path / "l", Labels(np.array([0, 1], np.int32), names, pa.chunked_array([["1", "2"]]), np.ones(2, np.float32)))
    assert map_labels(tmp_path / "l", 2).identities.to_pylist() == ["a", "b"]


def forge(change: Callable[[Arrays], object], kind: str = "labels") -> Callable[[Path], None]:
    def forged(file: Path) -> None:
        arrays = {name: np.array(array) for name, array in read_index(file)[2].items()}
        change(arrays)
        write_index(file, kind, {}, arrays)

    return forged


def _set(arrays: Arrays, name: str, at: int, value: int) -> None:
    arrays[name][at] = value


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another kind of file": (forge(lambda _: None, "ivf"), "ivf of 120 rows"),
    "no file of arrays": (lambda file: file.write_bytes(b"x" * file.stat().st_size), "not an index file of onek"),
    "a number of nobody": (forge(lambda held: _set(held, "codes", 3, 60)), "from 0 to 60 are not those of 60 identities"),
    "a number below 0": (forge(lambda held: _set(held, "codes", 3, -1)), "from -1 to 59 are not those"),
    "somebody without rows": (forge(lambda held: held["codes"].__setitem__(slice(None), 0)), "from 0 to 0 are not those"),
    "numbers of another type": (forge(lambda held: held.update(codes=held["codes"].astype("<i8"))), "of 0 rows"),
    "no numbers": (forge(lambda held: held.pop("codes")), "of 0 rows"),
    "no qualities": (forge(lambda held: held.pop("quality")), "expected labels of 120 rows"),
    "no names": (forge(lambda held: held.pop("names.0")), "0 names"),
    "no ends of names": (forge(lambda held: held.pop("names.0.offsets")), "of 0 identities"),
    "fewer ids": (forge(lambda held: held.update({"ids.0.offsets": held["ids.0.offsets"][1:]})), "119 ids"),
    "a name that ends before it begins": (forge(lambda held: _set(held, "names.0.offsets", 5, 1)), "monotonic"),
    "a name that begins before the first": (forge(lambda held: _set(held, "names.0.offsets", 0, -8)), "offset"),
    "a name beyond the last": (forge(lambda held: _set(held, "names.0.offsets", -1, 1 << 30)), "names or ids are damaged"),
    "an id beyond the last": (forge(lambda held: _set(held, "ids.0.offsets", -1, 1 << 30)), "names or ids are damaged"),
    "a name that is too long": (
        forge(
            lambda held: held.update({"names.0": np.full(1 << 17, 97, np.uint8)}) or _set(held, "names.0.offsets", -1, 1 << 17)
        ),
        "bytes; at most 65,535 are read",
    ),
    "a name that is no text": (forge(lambda held: _set(held, "names.0", 0, 0xFF)), "UTF8"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Gallery.build(people(0, 60), tmp_path_factory.mktemp("whole") / "g") as gallery:
        return gallery.path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def say(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database, database:
        for statement in statements:
            database.execute(statement)
    (folder / "catalogue.sha256").unlink(missing_ok=True)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_labels_are_refused_in_one_line(copy: Path, foreign: str) -> None:
    """Their size is what the catalogue says, since whoever wrote them wrote that."""
    change, said = FOREIGN[foreign]
    file = copy / f"{SEGMENT}.labels"
    change(file)
    say(copy, f"UPDATE segments SET labels_bytes = {file.stat().st_size}")  # noqa: S608
    with pytest.raises(GalleryError) as refused:
        Gallery.open(copy)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {Path(fault.file) for fault in check(copy)} == {file}
    assert repair(copy) != []
    assert check(copy) == []
    assert Gallery.open(copy).identify(people(3, 4, noise=1))[0].identity == "id3"


@pytest.mark.parametrize("what", ["name", "id", "quality"])
def test_labels_that_are_others_than_the_rows_are_found(copy: Path, what: str) -> None:
    file = copy / f"{SEGMENT}.labels"
    array = {"name": "names.0", "id": "ids.0", "quality": "quality"}[what]
    forge(lambda held: _set(held, array, 0, ord("z")))(file)
    assert [fault.what for fault in check(copy) if "labels are" in fault.what] == [
        f"{2 if what == 'name' else 1} labels are not those of {SEGMENT}.parquet"
    ]


def test_a_letter_that_has_changed_is_found_by_whoever_opens(copy: Path) -> None:
    file = copy / f"{SEGMENT}.labels"
    held = file.read_bytes()
    at = held.index(b"id17")
    file.write_bytes(held[:at] + b"id71" + held[at + 4 :])
    with pytest.raises(GalleryError, match="they have changed; say onek check --repair"):
        Gallery.open(copy)
    repair(copy)
    assert Gallery.open(copy).identify(people(17, 18, noise=1))[0].identity == "id17"


def test_labels_that_are_missing_are_made_anew(copy: Path) -> None:
    (copy / f"{SEGMENT}.labels").unlink()
    with pytest.raises(GalleryError, match=r"labels is missing; say onek check --repair"):
        Gallery.open(copy)
    repair(copy)
    assert check(copy) == []


def test_the_labels_are_those_that_the_rows_say(copy: Path) -> None:
    mapped, read = map_labels(copy / f"{SEGMENT}.labels", 120), read_labels(copy / f"{SEGMENT}.parquet")
    assert mapped.template_ids.equals(read.template_ids)
    assert mapped.identities.equals(read.identities)
    np.testing.assert_array_equal(mapped.codes, read.codes)


def as_format_7(folder: Path) -> None:
    """What an onek would have left that knew no labels: the same without them."""
    columns = (
        "name, kind, templates, rows_bytes, rows_sha256, vectors_bytes, vectors_sha256, index_bytes, index_sha256, operating"
    )
    say(
        folder,
        "ALTER TABLE segments RENAME TO newer",
        FORMER_SEGMENTS[-1],
        f"INSERT INTO segments SELECT {columns}, density_bytes, density_sha256 FROM newer",  # noqa: S608
        "DROP TABLE newer",
        "UPDATE gallery SET value = '7' WHERE key = 'format'",
    )
    for file in folder.glob("*.labels"):
        file.unlink()


def test_a_tail_joins_a_base_that_an_older_onek_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base is not written again, so it stays without labels; the tail has its own."""
    monkeypatch.setattr("engine.storage.sealing.SMALL", 200)
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 50)
    Gallery.build(people(0, 1040, each=1), tmp_path / "g", index="ivf", recall=0.9).close()
    as_format_7(tmp_path / "g")
    assert check(tmp_path / "g") == []
    with Gallery.open(tmp_path / "g") as gallery:
        assert (gallery.info().format, len(gallery)) == (7, 1040)
        gallery.rename("id7", "seven")
        assert gallery.info().format == 8
        gallery.enroll(people(2000, 2060, each=1))
        assert gallery.segment_names == (SEGMENT, "segment-000002")
    assert [file.name for file in sorted((tmp_path / "g").glob("*.labels"))] == ["segment-000002.labels"]
    assert check(tmp_path / "g") == []
    again = Gallery.open(tmp_path / "g")
    assert [found.identity for found in again.identify(people(7, 8, each=1, noise=1), threshold=2.0)] == ["seven"]
    assert [found.identity for found in again.identify(people(2001, 2002, each=1, noise=1), threshold=2.0)] == ["id2001"]
    again.compact()
    assert len(list((tmp_path / "g").glob("*.labels"))) == 1
