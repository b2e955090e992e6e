"""Galleries that people join and leave: against galleries that were built so, and across processes and kills."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from engine.cli.app import app
from engine.embedding.in_memory import embed_images
from engine.errors import EncoderMismatch, GalleryBusy, GalleryError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage.sealing import due, stored
from engine.storage.segments import segment_files
from engine.storage.writer_lock import locked
from engine.templates.model import Templates
from tests.support.galleries import names, people, same_answers

Make = Callable[..., Templates]


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(people(0, 30), tmp_path / "g")


def test_who_joined_is_found_by_every_gallery_that_looks_again(gallery: Gallery) -> None:
    reader = Gallery.open(gallery.path)
    assert names(gallery, 30, 33) == [None] * 3
    done = gallery.enroll(people(30, 33))
    assert (done.templates, done.replaced, done.skipped) == (6, 0, 0)
    for seen in (gallery, Gallery.open(gallery.path)):
        assert names(seen, 30, 33) == ["id30", "id31", "id32"]
    assert names(reader, 30, 33) == [None] * 3
    assert reader.refresh()
    assert not reader.refresh()
    assert names(reader, 30, 33) == ["id30", "id31", "id32"]
    assert reader.info().recent == 6
    assert reader.verify(people(31, 32).vectors[0], "id31", threshold=0.5).same


@pytest.mark.parametrize("kind", ["flat", "flat-codes", "ivf"])
def test_a_gallery_that_grew_and_shrank_is_the_one_built_so(kind: str, tmp_path: Path) -> None:
    start = people(0, 700, each=2)
    grown = Gallery.build(start, tmp_path / "grown", index=kind, recall=0.999, score="plain")
    grown.enroll(people(700, 740))
    grown.remove([f"id{number}" for number in range(650, 700)])
    grown.remove(templates=["id0#0", "id739#1"])
    everybody = start.table.slice(2).to_pylist()
    kept = [row for row in everybody if not 650 <= int(row["identity"][2:]) < 700] + [start.table.slice(1, 1).to_pylist()[0]]
    kept += [row for row in people(700, 740).table.to_pylist() if row["template_id"] != "id739#1"]
    built = Gallery.build(
        Templates.from_vectors(
            np.array([row["vector"] for row in kept]), [row["identity"] for row in kept], [row["template_id"] for row in kept]
        ),
        tmp_path / "built",
        score="plain",
    )
    assert len(grown) == len(built) == len(kept)
    assert grown.identities == built.identities
    assert grown.info().awaiting_erasure == 102
    same_answers(Gallery.open(grown.path), built)
    grown.compact()
    assert (grown.info().recent, grown.info().awaiting_erasure) == (0, 0)
    same_answers(Gallery.open(grown.path), built)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["enroll", "remove", "rename", "compact", "refresh"]), st.integers(0, 20), st.integers(0, 20)),
        max_size=12,
    )
)
def test_any_order_of_changes_leaves_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    gallery = Gallery.build(people(100, 140, each=1), tmp_path_factory.mktemp("steps") / "g", score="plain")
    expected = {f"id{number}#0": f"id{number}" for number in range(100, 140)}
    reader = Gallery.open(gallery.path)
    for what, one, other in steps:
        name, called = f"id{one}", f"id{other}"
        present = set(expected.values())
        if what == "enroll":
            gallery.enroll(people(one, one + 1), on_duplicate="replace")
            expected |= {f"{name}#0": name, f"{name}#1": name}
        elif what == "remove" and name in present:
            gallery.remove([name])
            expected = {key: value for key, value in expected.items() if value != name}
        elif what == "rename" and name in present:
            gallery.rename(name, called, merge=True)
            expected = {key: called if value == name else value for key, value in expected.items()}
        elif what == "compact":
            gallery.compact()
        else:
            reader.refresh()
    reader.refresh()
    for seen in (gallery, reader, Gallery.open(gallery.path)):
        codes = seen.enrolled.members.codes
        owners = dict(zip(seen.template_ids.to_pylist(), seen.identity_names.take(codes).to_pylist(), strict=True))
        assert owners == expected
        assert sorted(set(expected.values())) == seen.identities
        vectors = seen.index.vectors(np.arange(len(seen)))
        assert (np.linalg.norm(vectors[:, None] - vectors[None], axis=2) + 9 * np.eye(len(vectors))).min() > 1e-3


def test_enrolling_an_id_again(gallery: Gallery) -> None:
    moved = people(500, 501, each=1)
    again = Templates.from_vectors(moved.vectors, ["id500"], ["id3#0"])
    assert gallery.enroll(again, on_duplicate="skip").skipped == 1
    with pytest.raises(TemplatesError, match="1 template ids are enrolled already, such as id3#0"):
        gallery.enroll(again, on_duplicate="error")
    for owner in ("id3", "id500"):  # one of the segment, then one of the recent
        other = Templates.from_vectors(moved.vectors, ["somebody"], ["id3#0"])
        with pytest.raises(TemplatesError, match=f"id3#0 is enrolled already as {owner}'s, and would become somebody's"):
            gallery.enroll(other)
        assert gallery.enroll(again, on_duplicate="replace").replaced == 1
        assert len(gallery) == 60
        assert gallery.template_ids.to_pylist().count("id3#0") == 1
        assert names(gallery, 500, 501) == ["id500"]
    with pytest.raises(GalleryError, match="on_duplicate=.sometimes"):
        gallery.enroll(again, on_duplicate="sometimes")


def test_an_id_of_the_former_segment_is_known_in_the_next(gallery: Gallery) -> None:
    gallery.enroll(people(100, 101))
    gallery.compact()
    assert gallery.enroll(people(100, 101)).replaced == 2
    assert len(gallery) == 62


def test_densities_and_calibration_follow_a_gallery_that_grows_tenfold(tmp_path: Path) -> None:
    """People who join one after the other end in the gallery that would have been built of them all."""
    grown = Gallery.build(people(0, 60, each=1, dim=24), tmp_path / "grown")
    for first in range(60, 600, 9):
        grown.enroll(people(first, first + 9, each=1, dim=24))
    built = Gallery.build(people(0, 600, each=1, dim=24), tmp_path / "built")
    assert grown.calibration is not None
    assert grown.calibration.identities > 480
    assert grown.threshold(fpir=0.05) == pytest.approx(built.threshold(fpir=0.05), rel=0.15)
    probes = people(0, 600, each=1, dim=24, noise=3)
    ours, theirs = (gallery.identify(probes, fpir=0.05).table for gallery in (grown, built))
    assert ours["identity"].to_pylist() == theirs["identity"].to_pylist()
    np.testing.assert_allclose(ours["score"].to_numpy(), theirs["score"].to_numpy(), rtol=0.35)
    grown.compact()
    assert grown.threshold(fpir=0.05) == pytest.approx(built.threshold(fpir=0.05), rel=0.05)


def test_a_small_gallery_becomes_one_with_local_scores(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 20), tmp_path / "g")
    assert gallery.info().score == "plain"
    gallery.enroll(people(20, 80))
    assert (gallery.info().score, gallery.info().recent) == ("local", 0)
    assert names(gallery, 0, 80) == [f"id{number}" for number in range(80)]


def test_no_byte_of_who_was_removed_is_left(gallery: Gallery) -> None:
    gallery.enroll(people(40, 44, prefix="secret"))
    leaving = np.concatenate([people(40, 42).vectors, people(3, 4).vectors])
    gallery.remove(["secret40", "secret41", "id3"])

    def held() -> set[str]:
        needles = [vector.astype("<f4").tobytes() for vector in leaving] + [b"secret40", b"id3#0"]
        files = [file for file in gallery.path.iterdir() if file.is_file()]
        return {file.name for file in files for needle in needles if needle in file.read_bytes()}

    assert held()
    gallery.compact()
    assert held() == set()
    assert names(gallery, 42, 44) == [f"secret{number}" for number in (42, 43)]


def test_only_its_owner_may_look_into_a_gallery(gallery: Gallery, tmp_path: Path) -> None:
    gallery.enroll(people(40, 42))
    gallery.compact()
    gallery.enroll(people(42, 44))
    gallery.backup(tmp_path / "copy")
    for folder in (gallery.path, tmp_path / "copy"):
        for file in (folder, *folder.iterdir()):
            assert file.stat().st_mode & 0o077 == 0, file


def test_vectors_without_ids_take_nobodys_place(gallery: Gallery) -> None:
    one, other = people(50, 51, each=1).vectors, people(51, 52, each=1).vectors
    for vectors, name in ((one, "one"), (other, "other"), (one, "one")):
        gallery.enroll(Templates.from_vectors(vectors, [name]))
    assert len(gallery) == 62
    assert names(gallery, 50, 52) == ["one", "other"]


def test_renaming(gallery: Gallery) -> None:
    assert gallery.rename("id1", "kian") == 2
    assert names(gallery, 1, 2) == ["kian"]
    gallery.enroll(people(200, 201, each=1).of("id1"))  # another id1
    assert names(gallery, 200, 201) == ["id1"]
    assert names(gallery, 1, 2) == ["kian"]
    with pytest.raises(GalleryError, match="id2 is enrolled .* already; pass merge=True"):
        gallery.rename("kian", "id2")
    gallery.rename("kian", "id2", merge=True)
    assert names(Gallery.open(gallery.path), 1, 3) == ["id2", "id2"]
    with pytest.raises(GalleryError, match="nobody called kian"):
        gallery.rename("kian", "x")


def test_what_is_refused_changes_nothing(gallery: Gallery) -> None:
    with pytest.raises(EncoderMismatch):
        gallery.enroll(people(0, 1, dim=24))
    with pytest.raises(TemplatesError, match="has no identity"):
        gallery.enroll(Templates.from_vectors(people(50, 51).vectors))
    twice = Templates.from_vectors(people(50, 51).vectors, ["a", "a"], ["t", "t"])
    with pytest.raises(TemplatesError, match="id t comes twice"):
        gallery.enroll(twice)
    with pytest.raises(GalleryError, match="nobody is not enrolled"):
        gallery.remove(["id1", "nobody"])
    with pytest.raises(GalleryError, match="nobody would be left"):
        gallery.remove([f"id{number}" for number in range(30)])
    assert not Gallery.open(gallery.path).snapshot().gone.any()
    assert len(Gallery.open(gallery.path)) == 60


def test_what_a_killed_writer_left_is_cleared_up(gallery: Gallery) -> None:
    gallery.close()
    for name in ("segment-000002.parquet", ".catalogue.sha256.4194303.partial"):
        (gallery.path / name).write_bytes(b"half")
    assert check(gallery.path) == []
    gallery.enroll(people(40, 41))
    gallery.compact()  # looks at every file, and knows all of them
    assert check(gallery.path) == []
    assert not [file for file in gallery.path.iterdir() if file.read_bytes() == b"half"]


def test_a_second_writer_waits_and_then_says_who_writes(gallery: Gallery) -> None:
    holding = subprocess.Popen([sys.executable, "-c", _HOLD, str(gallery.path)], stdout=subprocess.PIPE, text=True)
    assert holding.stdout is not None
    holding.stdout.readline()
    try:
        with pytest.raises(GalleryBusy, match=f"process {holding.pid} .* waited 0.2 s"):
            gallery.enroll(people(50, 51), wait=0.2)
        assert len(Gallery.open(gallery.path)) == 60  # readers do not wait
    finally:
        holding.send_signal(signal.SIGKILL)
        holding.wait()
    gallery.enroll(people(50, 51), wait=5)
    with locked(gallery.path):
        pass


_HOLD = """
import sys, time
from pathlib import Path
from engine.storage.writer_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs a user who may not write")
def test_what_a_writer_left_is_read_where_nothing_can_be_written() -> None:
    """It ended without closing, and the file that readers of a log share is gone: what it acknowledged is seen all the same."""
    code = """
import os, sys
from benchmarks.durability.kills import people
from engine.gallery.gallery import Gallery
if sys.argv[2] == "write":
    Gallery.build(people(range(30)), sys.argv[1]).close()
    kept = Gallery.open(sys.argv[1])
    kept.enroll(people(range(50, 53)))
    os._exit(0)
# Another user may not read the modules: all that will be needed is loaded before.
Gallery.build(people(range(30)), sys.argv[1] + "-other").identify(people(range(1)), threshold=0.5)
if os.geteuid() == 0:
    os.setuid(65534)
gallery = Gallery.open(sys.argv[1])
print(len(gallery), gallery.refresh(), gallery.identify(people(range(51, 52)), threshold=0.001)[0].identity)
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g")
        run = lambda what: subprocess.run(  # noqa: E731
            [sys.executable, "-c", code, path, what], capture_output=True, text=True, check=True
        )
        run("write")
        (path / "catalogue.sqlite-shm").unlink()
        Path(folder).chmod(0o755)
        for file in path.iterdir():
            file.chmod(0o444)
        path.chmod(0o555)
        assert run("read").stdout == "33 False 51\n"
        path.chmod(0o755)


def test_a_large_part_that_joined_is_sealed(gallery: Gallery) -> None:
    view = gallery.snapshot()
    assert not due(view)
    for joined, expected in ((49_999, False), (50_000, True)):
        assert due(replace(view, gone=np.concatenate([view.gone, np.zeros(joined, bool)]))) is expected


@pytest.mark.parametrize("index", ["ivf", "ivf-sq8", "flat-codes", "flat"])
def test_a_large_gallery_is_sealed_behind_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    """As if 200 templates were many."""
    monkeypatch.setattr("engine.storage.sealing.SMALL", 200)
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 300)
    count = 3000 if index.startswith("ivf") else 1000
    gallery = Gallery.build(people(0, count, each=1), tmp_path / "g", index=index)
    gallery.remove(["id3", "id4"])
    gallery.rename("id5", "five")
    gallery.enroll(people(10_000, 10_150, each=1))
    gallery.remove(["id10007"])
    gallery.enroll(people(10_150, 10_299, each=1))
    assert gallery.info().recent == 298
    density, calibration = gallery.enrolled.all_densities(), gallery.calibration
    gallery.enroll(people(10_299, 10_301, each=1))
    gallery.close()
    assert check(gallery.path) == []
    new = Gallery.open(gallery.path)
    assert (new.info().recent, len(new), new.info().awaiting_erasure) == (0, count - 2 + 300, 3)
    assert new.snapshot().segment.measured == count
    assert density is not None
    assert new.enrolled.density is not None
    # Everybody has the densities that were measured, and who joined last has some.
    np.testing.assert_allclose(new.enrolled.density[: len(density)], density, rtol=1e-5)
    assert not np.isnan(new.enrolled.density).any()
    assert new.calibration is not None
    assert calibration is not None
    assert new.calibration.to_json() == calibration.to_json()
    for seen in (gallery, new):
        found = names(seen, 0, 8) + names(seen, 10_005, 10_009)
        assert found[3:6] == [None, None, "five"]
        assert found[8:] == ["id10005", "id10006", None, "id10008"]
    new.enroll(people(10_003, 10_004))  # in the place of one, with a second
    assert len(new) == count - 2 + 301
    for first in range(20_000, 20_000 + count, 400):
        new.enroll(people(first, first + 400, each=1))
    assert new.snapshot().segment.measured > count  # it has doubled: all anew
    new.close()
    assert check(gallery.path) == []


def _first(templates: Templates, count: int) -> Templates:
    rows = [row for row, name in enumerate(templates.table["identity"].to_pylist()) if int(name[6:]) < count]
    return Templates(templates.table.take(rows), templates.provenance)


def test_a_photograph_enrols_somebody(
    drawn: list[np.ndarray], drawn_again: list[np.ndarray], photos: Path, tmp_path: Path
) -> None:
    gallery = Gallery.build(_first(embed_images(photos).templates, 8), tmp_path / "g")
    (photos / "nobody.png").write_bytes(b"no picture")
    done = gallery.enroll([photos / "person10.jpg", photos / "nobody.png"])
    assert (done.templates, [Path(problem.source).name for problem in done.problems]) == (1, ["nobody.png"])
    for number, name in ((11, "eleven"), (9, "nine")):  # one does not take the other's place
        assert gallery.enroll([drawn[number]], identity=name).templates == 1
    assert gallery.enroll([photos / "person8.jpg"], sources=False).templates == 1
    # Drawn people are so alike that a dozen of them keeps most out by itself.
    limit = gallery.match_threshold().distance
    found = [result.identity for result in gallery.identify(drawn_again[8:12], threshold=limit)]
    assert found == ["person8", "nine", "person10", "eleven"]
    known = str([*gallery.template_ids.to_pylist(), *gallery.sources().to_pylist()])
    assert "person10.jpg" in known
    assert "person8.jpg" not in known
    result = CliRunner().invoke(app, ["enroll", str(photos / "nobody.png"), "-g", str(gallery.path)])
    assert result.exit_code == 3
    assert "nobody.png" in (tmp_path / "g.problems.csv").read_text()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_a_gallery_of_a_former_format_opens_and_becomes_one_of_the_present(tmp_path: Path, number: int) -> None:
    """Of `people(0, 60)`, written by the onek of that time; the index of format 4 is FAISS's, of IVF4,SQ8. Of format 5 the last
    five joined lately, and `quality` is 0.9 throughout, which was the detector's confidence. Of formats 6 and 7 one is renamed.
    """
    path = tmp_path / "g"
    shutil.copytree(Path(__file__).parents[2] / "fixtures" / "galleries" / f"format-{number}", path)
    assert check(path) == []
    old = Gallery.open(path)
    assert (old.info().format, old.info().templates, old.info().score) == (number, 120, "plain" if number < 3 else "local")
    assert (old.info().index, old.info().exact, old.info().operating) == ("flat", True, None)
    assert names(old, 0, 3) == ["id0", "id1", "id2"]
    assert names(old, 30, 31) == ["thirty" if number >= 6 else "id30"]
    old.backup(tmp_path / "copy")
    assert check(tmp_path / "copy") == []
    assert names(Gallery.open(tmp_path / "copy"), 0, 3) == ["id0", "id1", "id2"]
    old.enroll(people(60, 61))
    old.remove(["id0"])
    old.close()
    new = Gallery.open(path)
    assert names(new, 0, 2) + names(new, 59, 62) == [None, "id1", "id59", "id60", None]
    assert (new.info().format, new.info().score, new.info().index) == (8, "local", "factory" if number == 4 else "flat")
    kept = pa.concat_tables([part.table for part in stored(new.snapshot(), path)])
    assert kept["quality"].null_count == len(new)
    assert kept["detection"].drop_null().to_pylist() == [pytest.approx(0.9)] * (118 if number == 5 else 0)
    assert check(path) == []
    new.compact()
    assert {file.name for file in path.iterdir() if "segment" in file.name} == {
        file.name for file in segment_files(path, f"segment-{2 if number >= 5 else 3:06}")
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_a_gallery_of_a_former_format_is_compacted(tmp_path: Path, number: int) -> None:
    path = tmp_path / "g"
    shutil.copytree(Path(__file__).parents[2] / "fixtures" / "galleries" / f"format-{number}", path)
    gallery = Gallery.open(path)
    gallery.compact()
    assert {file.name.split(".")[0] for file in path.iterdir() if "segment" in file.name} == {"segment-000002"}
    assert (gallery.info().format, names(gallery, 0, 3)) == (8, ["id0", "id1", "id2"])
    gallery.close()
    assert check(path) == []


def test_the_commands(gallery: Gallery, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    def say(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result
        return result.output

    pq.write_table(people(70, 72).table, tmp_path / "new.parquet")
    assert "4 templates enrolled (0 in the place of others), 0 skipped" in say(
        "enroll", tmp_path / "new.parquet", "-g", gallery.path
    )
    assert "2 templates removed" in say("remove", "id4", "-g", gallery.path)
    (tmp_path / "leaving.txt").write_text("id5\nid6\n")
    assert "5 templates removed" in say("remove", "--from", tmp_path / "leaving.txt", "--template", "id7#0", "-g", gallery.path)
    assert "2 templates of id8" in say("rename", "id8", "=cmd()", "-g", gallery.path)
    listed = say("list", gallery.path).splitlines()
    assert listed[0] == "identity,templates"
    assert "'=cmd(),2" in listed
    assert "id7,1" in listed
    assert not any(line.startswith(("id4,", "id5,", "id6,", "id8,")) for line in listed)
    assert "removed ones erased" in say("compact", gallery.path)
    assert len(Gallery.open(gallery.path)) == 57
