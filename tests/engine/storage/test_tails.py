"""A tail behind a large gallery's base: the same answers as of one segment, the base left alone, and nothing foreign believed."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import GalleryError, GalleryReplaced, OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.person import stored_about
from engine.maintenance.repair import repair
from engine.storage import sealing
from engine.storage.catalogue import read_catalogue
from engine.storage.sealing import stored
from indexes.approximate.tail_file import load_tail, save_tail
from indexes.exact.flat import Flat
from indexes.files import VectorWriter, open_vectors
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread", "as_if_large")
COUNT = 1040
_COLUMNS = {".parquet": "rows", ".vectors.npy": "vectors", ".index": "index", ".density.npy": "density", ".labels": "labels"}
BASE, TAIL = "segment-000001", "segment-000002"


@pytest.fixture(autouse=True, scope="module")
def as_if_large() -> Iterator[None]:
    """As if 200 templates were many, of which 50 that joined are sealed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.storage.sealing.SMALL", 200)
        patch.setattr("engine.storage.sealing.SEAL_AT", 52)
        patch.setattr("engine.storage.segments.making._PROBES", 200)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists of codes with local scores; people with two templates, nobody sealed since."""
    gallery = Gallery.build(people(0, COUNT // 2), tmp_path_factory.mktemp("base") / "g", index="ivf", recall=0.9)
    gallery.close()
    return gallery.path


@pytest.fixture(scope="module")
def tailed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a tail: in it who was removed and joined again, a name that was another's, further pictures of one; recent ones."""
    gallery = Gallery.open(shutil.copytree(base, tmp_path_factory.mktemp("tailed") / "g"))
    live(gallery)
    gallery.enroll(people(2000, 2003))
    gallery.close()
    return gallery.path


def live(gallery: Gallery) -> None:
    """Changes before a tail, which is sealed when they are made."""
    gallery.remove(["id3"], templates=["id4#0"])
    gallery.rename("id5", "five")
    gallery.rename("id6", "five", merge=True)
    gallery.enroll(people(3, 4, noise=7))
    gallery.enroll(people(900, 901, each=1).of("id5"))
    gallery.enroll(people(7, 8, each=3, noise=7), on_duplicate="replace")
    gallery.enroll(people(1000, 1025))
    assert gallery.info().recent == 0


@pytest.fixture
def copy(tailed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tailed, tmp_path / "copy"))


def everything(gallery: Gallery) -> list[dict[str, Any]]:
    parts = [part.table for part in stored(gallery.snapshot(), gallery.path)]
    return sorted(pa.concat_tables(parts).to_pylist(), key=lambda row: row["template_id"])


def same(one: Gallery, other: Gallery) -> None:
    """To the bit, in the order of rows too."""
    probes = pa.concat_tables([part.table for part in (people(0, 30, noise=9), people(995, 1030, noise=9), people(2990, 3010))])
    vectors = np.concatenate([part.vectors for part in (people(0, 30, noise=9), people(995, 1030, noise=9), people(2990, 3010))])
    assert len(probes) == len(vectors)
    ours, theirs = (gallery.identify(vectors, threshold=0.9, top=5).table for gallery in (one, other))
    assert ours.equals(theirs)
    for column in ("template_ids", "identity_names"):
        assert getattr(one, column).to_pylist() == getattr(other, column).to_pylist()
    np.testing.assert_array_equal(one.enrolled.members.codes, other.enrolled.members.codes)
    np.testing.assert_array_equal(one.enrolled.all_densities(), other.enrolled.all_densities())
    np.testing.assert_array_equal(one.enrolled.counted, other.enrolled.counted)
    assert one.sources().to_pylist() == other.sources().to_pylist()
    assert everything(one) == everything(other)


@pytest.mark.parametrize("index", ["ivf", "ivf-sq8"])
@pytest.mark.parametrize("score", ["plain", "local"])
def test_a_gallery_with_a_tail_answers_as_one_whose_segment_was_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, score: str
) -> None:
    made = [
        Gallery.build(people(0, COUNT // 2), tmp_path / name, index=index, score=score, recall=0.9) for name in ("tail", "whole")
    ]
    for gallery in made:
        if gallery is made[1]:
            monkeypatch.setattr("engine.storage.sealing.InvertedLists", Flat)  # nobody's index has lists now
        live(gallery)
    tail, whole = made
    assert [len(gallery.segment_names) for gallery in made] == [2, 1]
    assert check(tail.path) == check(whole.path) == []
    for one, other in ((tail, whole), *((Gallery.open(each.path), whole) for each in made)):
        same(one, other)
    # And with what joins and leaves beside it.
    for gallery in made:
        gallery.remove(["id1001", "five"])
        gallery.rename("id8", "eight")
        gallery.enroll(people(3000, 3003))
    same(tail, whole)
    same(Gallery.open(tail.path), whole)


def test_the_base_is_not_written_again(base: Path, tmp_path: Path) -> None:
    gallery = Gallery.open(shutil.copytree(base, tmp_path / "g"))
    files = {file: (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in gallery.path.glob(f"{BASE}.*")}
    density, calibration = gallery.enrolled.density, gallery.calibration
    live(gallery)
    gallery.enroll(people(4000, 4030))
    for file, (inode, when, held) in files.items():
        assert (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) == (inode, when, held)
    # Of the second tail, which has the rows of the first before its own.
    assert gallery.segment_names == (BASE, "segment-000003")
    assert {file.name for file in gallery.path.glob("segment-*")} == {
        f"{name}{ending}" for name in gallery.segment_names for ending in _COLUMNS
    }
    sizes = [sum(file.stat().st_size for file in gallery.path.glob(f"{name}.*")) for name in gallery.segment_names]
    assert sizes[1] < 0.3 * sizes[0]
    assert gallery.snapshot().segment.measured == COUNT
    info = gallery.info()
    assert (info.segments, info.index, info.recent, info.operating is None) == (2, "ivf", 0, False)
    assert density is not None
    assert gallery.enrolled.density is not None
    assert not np.isnan(gallery.enrolled.density).any()
    assert calibration is not None
    assert gallery.calibration is not None
    assert gallery.calibration.to_json() == calibration.to_json()


def test_who_is_in_a_tail_is_somebody_like_others(tailed: Path, copy: Path, tmp_path: Path) -> None:
    gallery = Gallery.open(copy)
    assert gallery.segment_names == (BASE, TAIL)
    held = dict(gallery.templates_by_identity())
    assert (held["id3"], held["id4"], held["five"], held["id5"], held["id7"], held["id1000"]) == (2, 1, 4, 1, 3, 2)
    assert "id6" not in held
    again = {row["template_id"]: np.array(row["vector"], np.float32) for row in stored_about(gallery.snapshot(), "id3").templates}
    np.testing.assert_allclose(again["id3#0"], people(3, 4, noise=7).vectors[0], atol=1e-6)
    assert [row["enrolled_as"] for row in stored_about(gallery.snapshot(), "five").templates] == ["id5"] * 2 + ["id6"] * 2
    assert gallery.sources().to_pylist() == [None] * len(gallery)
    # Removed, it is not there twice; an id of the tail is refused, left or replaced as any.
    assert gallery.remove(templates=["id3#0"]) == 1
    with pytest.raises(GalleryError, match="id3#0 is not enrolled"):
        gallery.remove(templates=["id3#0"])
    done = gallery.enroll(people(1000, 1001, noise=3))
    assert (done.templates, done.replaced, done.skipped) == (2, 2, 0)
    assert gallery.enroll(people(1000, 1002), on_duplicate="skip").skipped == 4
    with pytest.raises(OnekError, match="the template id1003#0 is enrolled already as id1003's"):
        gallery.enroll(people(1003, 1004).of("somebody"))
    gallery.rename("id1003", "somebody")
    gallery.enroll(people(1003, 1004, noise=2).of("somebody"))
    gallery.backup(tmp_path / "backup")
    for seen in (gallery, Gallery.open(copy), Gallery.open(tmp_path / "backup")):
        held = dict(seen.templates_by_identity())
        assert (held["id3"], held["id1000"], held["somebody"]) == (1, 2, 2)
        assert len(set(seen.template_ids.to_pylist())) == len(seen)
    gallery.close()
    assert check(copy) == check(tmp_path / "backup") == []
    assert check(tailed) == []


def test_names_and_ids_that_change_hands_through_many_tails(copy: Path) -> None:
    """Each time sealed, and looked at anew: a name that was lost is somebody else's, before and behind the base."""
    gallery = Gallery.open(copy)
    held = {row["template_id"]: (row["identity"], row["vector"]) for row in everything(gallery)}

    def moved(old: str, new: str) -> None:
        gallery.rename(old, new, merge=True)
        held.update({key: (new if who == old else who, vector) for key, (who, vector) in held.items()})

    def joined(first: int, last: int, noise: int, of: str | None = None) -> None:
        some = people(first, last, noise=noise)
        some = some if of is None else some.of(of)
        gallery.enroll(some, on_duplicate="replace")
        for row in some.table.to_pylist():
            held[row["template_id"]] = (row["identity"], row["vector"])

    def left(name: str) -> None:
        gallery.remove([name])
        for key in [key for key, (who, _) in held.items() if who == name]:
            del held[key]

    for turn in range(6):
        moved("five", f"five-{turn}")  # of the base, once and again
        joined(5, 6, turn, "five")  # whose first name another takes, with an id of the base
        moved("id9", "id10") if turn == 1 else moved(f"id{turn + 20}", "id1000")
        joined(9, 10, turn)
        left(f"id{1001 + turn}")
        joined(1001 + turn, 1002 + turn, turn, "id1000" if turn % 2 else None)
        moved(f"five-{turn}", "five" if turn % 2 else "six")
        if turn % 2 == 0:
            moved("six", "five")
        joined(5000 + 40 * turn, 5038 + 40 * turn, 0)
        gallery = gallery if turn % 2 else Gallery.open(copy)
        assert (gallery.info().segments, gallery.info().recent) == (2, 0)
        for seen in (gallery, Gallery.open(copy)):
            rows = {row["template_id"]: (row["identity"], row["vector"]) for row in everything(seen)}
            assert rows == held
            owners = seen.identity_names.take(pa.array(seen.enrolled.members.codes)).to_pylist()
            assert dict(zip(seen.template_ids.to_pylist(), owners, strict=True)) == {key: who for key, (who, _) in held.items()}
            assert seen.identities == sorted({who for who, _ in held.values()})
            found = seen.index.search(seen.index.vectors(np.arange(len(seen))), 1)
            np.testing.assert_array_equal(found.distances, 0)
    assert gallery.segment_names[1] > TAIL
    gallery.close()
    assert check(copy) == []
    gallery.compact()
    assert {row["template_id"]: (row["identity"], row["vector"]) for row in everything(gallery)} == held
    assert len(gallery.segment_names) == 1


def test_compaction_leaves_one_segment_and_no_byte_of_who_was_removed(copy: Path) -> None:
    gallery = Gallery.open(copy)
    gallery.remove(["id1000"])
    before = gallery.snapshot()
    removed = sealing.removed_vectors(before)
    assert gallery.info().awaiting_erasure == len(removed) == 7
    assert gallery.compact() == 7
    assert (gallery.segment_names, gallery.info().awaiting_erasure) == (("segment-000003",), 0)
    assert {file.name.split(".")[0] for file in copy.glob("segment-*")} == {"segment-000003"}
    held = b"".join(file.read_bytes() for file in copy.iterdir())
    assert not any(vector.tobytes() in held for vector in removed)


def test_a_gallery_that_has_doubled_has_no_tail_any_more(copy: Path) -> None:
    gallery = Gallery.open(copy)
    sealed = []
    for first in range(6000, 6000 + COUNT // 2, 100):
        gallery.enroll(people(first, first + 100))
        assert gallery.info().recent == 0
        sealed.append((gallery.info().segments, gallery.snapshot().segment.measured))
    assert sealed == [(2, COUNT)] * 4 + [(1, 2097), (2, 2097)]
    gallery.close()
    assert check(copy) == []


def test_readers_go_on_while_a_tail_takes_the_place_of_another(copy: Path) -> None:
    reader, writer = Gallery.open(copy), Gallery.open(copy)
    before = reader.identify(people(1000, 1005), threshold=0.9).table
    writer.enroll(people(7000, 7030))
    assert writer.segment_names == (BASE, "segment-000003")
    assert reader.identify(people(1000, 1005), threshold=0.9).table.equals(before)
    with pytest.raises(GalleryReplaced, match="sealed anew while it was being read"):
        reader.snapshot().sources()
    assert reader.refresh()
    assert reader.sources().to_pylist() == [None] * len(reader)
    assert "id7000" in reader.identities


def test_what_a_killed_writer_left_of_a_tail_goes_with_the_next_change(copy: Path) -> None:
    for ending in _COLUMNS:
        shutil.copyfile(copy / f"{TAIL}{ending}", copy / f"segment-000003{ending}")
    assert check(copy) == []
    Gallery.open(copy).remove(["id1002"])
    assert {file.name.split(".")[0] for file in copy.glob("segment-*")} == {BASE, TAIL}


def say(folder: Path, statement: str, *values: object) -> None:
    """Into the catalogue, whose digest is gone as after a kill."""
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database, database:
        database.execute(statement, values)
    (folder / "catalogue.sha256").unlink(missing_ok=True)


def record(folder: Path, ending: str, name: str = TAIL) -> None:
    """Let the catalogue record what a file is now."""
    held = (folder / f"{name}{ending}").read_bytes()
    column, digest = _COLUMNS[ending], hashlib.sha256(held).hexdigest()
    say(folder, f"UPDATE segments SET {column}_bytes = ?, {column}_sha256 = ? WHERE name = ?", len(held), digest, name)  # noqa: S608


def _forge_index(
    change: Callable[[dict[str, np.ndarray]], object], kind: str = "ivf", first: int = COUNT
) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        entries = load_tail(folder / f"{TAIL}.index", "ivf", COUNT)
        change(entries)
        save_tail(folder / f"{TAIL}.index", kind, first, entries)
        record(folder, ".index")

    return forge


def _forge_vectors(ending: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        held = change(np.array(open_vectors(folder / f"{TAIL}{ending}")))
        with VectorWriter(folder / f"{TAIL}{ending}", held.shape[1]) as writer:
            writer.write(held)
        record(folder, ending)

    return forge


def _base_for_tail(folder: Path) -> None:
    for ending in _COLUMNS:
        shutil.copyfile(folder / f"{BASE}{ending}", folder / f"{TAIL}{ending}")
        record(folder, ending)
    say(folder, "UPDATE segments SET templates = ? WHERE name = ?", COUNT, TAIL)


_OTHERS = (
    "rows_bytes, rows_sha256, vectors_bytes, vectors_sha256, index_bytes, index_sha256, operating, "
    "density_bytes, density_sha256, labels_bytes, labels_sha256"
)
FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "two tails": (
        lambda folder: say(
            folder,
            f"INSERT INTO segments SELECT 'segment-000009', kind, templates, {_OTHERS} FROM segments WHERE name = ?",  # noqa: S608
            TAIL,
        ),
        "names 3 segments, expected 1 or 2",
    ),
    "a tail without a base": (
        lambda folder: say(folder, "DELETE FROM segments WHERE name = ?", BASE),
        "an index of kind tail of ivf; this onek knows flat",
    ),
    "nothing": (lambda folder: say(folder, "DELETE FROM segments"), "names 0 segments, expected 1 or 2"),
    "two bases": (_base_for_tail, "expected one of kind tail of ivf behind 1040 vectors"),
    "the tail before the base": (
        lambda folder: [
            (folder / f"{BASE}{ending}").rename(folder / f"segment-000003{ending}")
            for ending in _COLUMNS
            if ending == ".index" or not say(folder, "UPDATE segments SET name = 'segment-000003' WHERE name = ?", BASE)
        ],
        "an index of kind tail of ivf; this onek knows flat",
    ),
    "another kind": (
        lambda folder: say(folder, "UPDATE segments SET kind = 'flat' WHERE name = ?", TAIL),
        "a second segment, of kind flat, behind an index of kind ivf",
    ),
    "no index": (
        lambda folder: say(folder, "UPDATE segments SET index_bytes = 0, index_sha256 = '' WHERE name = ?", TAIL),
        "a second segment, of kind ivf, behind an index of kind ivf",
    ),
    "a base that is searched whole": (
        lambda folder: say(folder, "UPDATE segments SET index_bytes = 0, index_sha256 = '', kind = 'flat' WHERE name = ?", BASE),
        "a second segment, of kind ivf, behind an index of kind flat",
    ),
    "more templates than rows": (
        lambda folder: say(folder, "UPDATE segments SET templates = templates + 1 WHERE name = ?", TAIL),
        "expected labels of 57 rows",
    ),
    "none": (lambda folder: say(folder, "UPDATE segments SET templates = 0 WHERE name = ?", TAIL), "of 0 templates"),
    "removed rows that do not exist": (
        lambda folder: say(folder, "INSERT INTO removed VALUES (?, ?)", BASE, COUNT + 57),
        "it removes rows that do not exist",
    ),
    "renamed who is not there": (
        lambda folder: say(folder, "INSERT INTO renamed VALUES (?, 'nobody', 'somebody')", TAIL),
        "it renames who is not there",
    ),
    "lists that do not exist": (_forge_index(lambda held: held["lists"].__setitem__(0, 10_000)), "rows in lists"),
    "lists before the first": (_forge_index(lambda held: held["lists"].__setitem__(0, -1)), "rows in lists -1"),
    "fewer entries than rows": (_forge_index(lambda held: held.update(lists=held["lists"][1:])), "expected <i4"),
    "no codes": (_forge_index(lambda held: held.pop("codes")), "lacks the array codes"),
    "rows that overlap": (_forge_index(lambda _: None, first=COUNT - 1), "behind 1040 vectors"),
    "a tail of another kind": (_forge_index(lambda _: None, kind="ivf-sq8"), "expected one of kind tail of ivf"),
    "other dimensions": (_forge_vectors(".vectors.npy", lambda held: np.ascontiguousarray(held[:, :8])), "of the shape"),
    "fewer vectors": (_forge_vectors(".vectors.npy", lambda held: held[1:]), "expected <i4"),
    "fewer densities": (_forge_vectors(".density.npy", lambda held: held[1:]), "has the shape"),
    "no densities": (
        lambda folder: (
            (folder / f"{TAIL}.density.npy").unlink(),
            say(folder, "UPDATE segments SET density_bytes = NULL, density_sha256 = NULL WHERE name = ?", TAIL),
        ),
        "density.npy",
    ),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_foreign_tail_is_refused_in_one_line(copy: Path, foreign: str) -> None:
    forge, said = FOREIGN[foreign]
    forge(copy)
    with pytest.raises(GalleryError) as refused:
        Gallery.open(copy).identify(people(1000, 1005), threshold=0.9)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert check(copy) != []


@pytest.mark.parametrize("ending", list(_COLUMNS))
def test_a_damaged_tail_is_found_and_mended_where_rows_allow(copy: Path, ending: str) -> None:
    before = everything(Gallery.open(copy))
    file = copy / f"{TAIL}{ending}"
    for damage in ("missing", "cut", "flipped"):
        held = bytearray(file.read_bytes())
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(held[:-1] if damage == "cut" else held[:-9] + bytes([held[-9] ^ 16]) + held[-8:])
            with pytest.raises(GalleryError) if damage == "cut" else _either():
                Gallery.open(copy).identify(people(1000, 1005), threshold=0.9)
        assert file.name in {Path(fault.file).name for fault in check(copy)}
        if damage != "flipped":
            file.write_bytes(held)
    if ending == ".parquet":
        with pytest.raises(GalleryError, match="that cannot be made anew"):
            repair(copy)
        return
    assert repair(copy)
    assert check(copy) == []
    gallery = Gallery.open(copy)
    assert (everything(gallery), gallery.segment_names) == (before, ("segment-000003",))
    held_now = dict(gallery.templates_by_identity())
    assert (held_now["id3"], held_now["five"], held_now["id5"], held_now["id7"]) == (2, 4, 1, 3)
    gallery.rename("five", "5")  # and lives on
    gallery.enroll(people(7000, 7030))
    assert gallery.info().segments == 2
    gallery.close()
    assert check(copy) == []


class _either:  # noqa: N801
    """An answer or our error."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is None or issubclass(kind, OnekError)


def test_ids_that_come_twice_among_the_living_are_faults(copy: Path) -> None:
    """As if the one in the base had not been removed."""
    say(copy, "DELETE FROM removed WHERE row = 6")
    assert [fault.what for fault in check(copy)] == ["1 template ids of the tail are those of sealed ones before it"]


def test_segments_are_read_in_the_order_of_their_numbers(copy: Path) -> None:
    """After a million tails a name is longer than that of the base."""
    for ending in _COLUMNS:
        (copy / f"{TAIL}{ending}").rename(copy / f"segment-1000000{ending}")
    say(copy, "UPDATE segments SET name = 'segment-1000000' WHERE name = ?", TAIL)
    say(copy, "UPDATE renamed SET segment = 'segment-1000000' WHERE segment = ?", TAIL)
    assert [segment.name for segment in read_catalogue(copy).segments] == [BASE, "segment-1000000"]
    assert "id1000" in Gallery.open(copy).identities
