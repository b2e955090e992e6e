"""Whose a template is: ids that two pictures do not share, faces that were not looked at, faces of another name."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from engine import embed_images, read_templates
from engine.cli.app import app
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import Encoder, load_encoder
from engine.errors import GalleryError, OutputError, PhotographsError, TemplatesError
from engine.files.content_ids import of_picture, of_vectors
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.names import doubts
from engine.templates.problems import Problem, Unseen, add_problems
from engine.templates.provenance import Provenance
from engine.workflows.embed_files import embed_to_file, partial_folder

Save = Callable[[np.ndarray, str], Path]
DIM = 24
MADE = Provenance(encoder="pixels", fingerprint="f" * 64, dim=DIM, threshold=0.4)


def say(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def people(first: int, last: int, noise: int = 0, each: int = 1, made: Provenance | None = MADE) -> Templates:
    """Templates of people `first` to `last`, the same for the same `noise`."""
    centres = np.random.default_rng(1).normal(size=(1000, DIM))[first:last]
    vectors = centres[:, None] + 0.1 * np.random.default_rng([2, noise, first]).normal(size=(last - first, each, DIM))
    names = [f"id{number}" for number in range(first, last) for _ in range(each)]
    return Templates.from_vectors(vectors.reshape(-1, DIM), names, None, made)


@pytest.fixture
def album(drawn: list[np.ndarray], save: Save, tmp_path: Path) -> Path:
    """Three photographs: of one person, of three, and of two about as large."""
    save(drawn[0], "album/one.png")
    small = [cv2.resize(each, (150, 150)) for each in drawn[2:4]]
    save(np.hstack([drawn[1], np.vstack([*small, np.zeros((200, 150, 3), np.uint8)])[:250]]), "album/three.png")
    save(np.hstack(drawn[4:6]), "album/two.png")
    return tmp_path / "album"


# Ids.


def test_a_photograph_is_called_after_its_bytes(drawn: list[np.ndarray], save: Save, tmp_path: Path) -> None:
    one, other = save(drawn[0], "a/kian.png"), save(drawn[1], "b/kian.png")
    moved = tmp_path / "c/called otherwise.png"
    moved.parent.mkdir()
    shutil.copyfile(one, moved)
    ids = [embed_images(path, "pixels", faces="none").templates.table["template_id"].to_pylist() for path in (one, other, moved)]
    assert ids[0] == ids[2] != ids[1]
    in_memory = [
        embed_images([picture], "pixels", faces="none").templates.table["template_id"][0].as_py() for picture in drawn[:2]
    ]
    assert in_memory == [f"{of_picture(picture)}#0" for picture in drawn[:2]]
    assert of_picture(np.zeros((2, 3, 3), np.uint8)) != of_picture(np.zeros((3, 2, 3), np.uint8))


def test_one_file_name_is_two_people(drawn: list[np.ndarray], save: Save, photos: Path, tmp_path: Path) -> None:
    gallery = Gallery.build(embed_images(photos, "pixels", faces="none").templates, tmp_path / "g")
    snapshots = [save(picture[:, ::-1], f"{place}/snapshot.png") for place, picture in zip("ab", drawn, strict=False)]
    for path, name in zip(snapshots, ("New1", "New2"), strict=True):
        assert gallery.enroll(path, identity=name, on_match="ignore").templates == 1
    assert {"New1", "New2"} <= set(gallery.identities)
    assert gallery.enroll(snapshots[0], identity="New1").replaced == 1  # the same photograph
    assert len(gallery) == 14
    with pytest.raises(TemplatesError, match=r"\(of .*a/snapshot\.png\) is enrolled already as New1's, and would become New2's"):
        gallery.enroll(snapshots[0], identity="New2", on_match="ignore")
    assert gallery.enroll(snapshots[0], identity="New2", on_match="ignore", on_duplicate="skip").skipped == 1
    assert gallery.enroll(snapshots[0], identity="New2", on_match="ignore", on_duplicate="replace").replaced == 1
    assert "New1" not in gallery.identities


def test_whose_an_id_is_follows_a_renaming(tmp_path: Path) -> None:
    everybody = people(0, 60)
    gallery = Gallery.build(everybody, tmp_path / "g")
    again = Templates(everybody.table.slice(5, 1), MADE)
    gallery.rename("id5", "somebody else")
    with pytest.raises(TemplatesError, match="already as somebody else's, and would become id5's"):
        gallery.enroll(again, on_match="ignore")
    assert gallery.enroll(again.of("somebody else"), on_match="ignore").replaced == 1


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet"])
def test_vector_files_of_one_name(ending: str, tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 60, made=None), tmp_path / "g")
    files = []
    for number, place in enumerate(("a", "b")):
        (tmp_path / place).mkdir()
        files.append(tmp_path / place / f"emb.{ending}")
        vectors = people(100 + number, 101 + number, made=None).vectors
        if ending == "parquet":
            pq.write_table(pa.table({"vector": vectors.tolist()}), files[-1])
        else:
            (np.save if ending == "npy" else lambda path, values: np.savez(path, vector=values))(files[-1], vectors)
        assert say("enroll", files[-1], "-g", gallery.path, "--identity", f"New{number}").exit_code == 0
        assert say("enroll", files[-1], "-g", gallery.path, "--identity", f"New{number}").exit_code == 0  # again
    gallery.refresh()
    assert dict(gallery.templates_by_identity()).items() >= {"New0": 1, "New1": 1}.items()
    both = [read_templates(file).of(name) for file, name in zip(files, ("A", "B"), strict=True)]
    built = Templates(pa.concat_tables([each.table for each in both]), both[0].provenance)
    assert Gallery.build(built, tmp_path / "both").identities == ["A", "B"]


def test_vectors_are_called_after_their_numbers() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 8))
    ids = of_vectors(vectors)
    assert ids == of_vectors(vectors.astype(np.float32)) != of_vectors(vectors[::-1])
    assert of_vectors(vectors[2:], 2) == ids[2:]
    assert len(set(of_vectors(np.ones((5, 8))))) == 5
    for scale in (1e300, 1e-300):  # neither fits float32
        assert len({name[:32] for name in of_vectors(vectors * scale)}) == 4
    probes = Templates.from_vectors(vectors)
    assert probes.table["source"].to_pylist() == [f"vectors:{row}" for row in range(4)]


def test_a_photograph_twice_in_one_run(drawn: list[np.ndarray], save: Save, tmp_path: Path) -> None:
    for name in ("kian/1.png", "kian/copy.png", "dan/1.png"):
        save(drawn[0], f"p/{name}")
    made = embed_images(tmp_path / "p", "pixels", faces="none")
    first = tmp_path / "p/dan/1.png"
    assert made.templates.table["identity"].to_pylist() == ["dan"]
    of = f"the same photograph as {first}, which is labelled as dan"
    assert list(made.problems) == [Problem(str(tmp_path / f"p/kian/{name}.png"), of) for name in ("1", "copy")]
    probes = embed_images(tmp_path / "p", "pixels", faces="none", labels="none")
    ids = probes.templates.table["template_id"].to_pylist()
    assert (probes.problems, len(set(ids)), len({name[:32] for name in ids})) == ((), 3, 1)


def test_a_run_that_goes_on_knows_the_photographs_before(
    drawn: list[np.ndarray], save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, picture in enumerate([*drawn[:4], drawn[0], drawn[5]]):
        save(picture, f"p/{number}.png")
    photographs, embedder = find_photographs(tmp_path / "p"), Embedder(load_encoder("pixels"), "none")
    monkeypatch.setattr("engine.workflows.embed_files.PART", 2)
    monkeypatch.setattr("engine.embedding.embedder.BATCH", 2)
    out = tmp_path / "t.parquet"

    def stop(_: int) -> None:
        if len(list(partial_folder(out).glob("*.parquet"))) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_to_file(photographs, embedder, out, progress=stop)
    notes = partial_folder(out) / "run.json"
    ours = notes.read_text()
    notes.write_text(json.dumps({**json.loads(ours), "ids": "another"}))
    with pytest.raises(OutputError, match="older onek, which called templates otherwise, or said less of them; pass --overwrite"):
        embed_to_file(photographs, embedder, out, resume=True)
    notes.write_text(ours)
    made = embed_to_file(photographs, embedder, out, resume=True)
    assert (made.images, made.templates, made.problems) == (6, 5, 1)
    (problem,) = csv.DictReader(made.problems_file.open())
    assert problem["source"] == str(tmp_path / "p/4.png")
    assert problem["reason"] == f"the same photograph as {tmp_path / 'p/0.png'}, which is labelled as 0"


# Rules of labels.


@pytest.mark.parametrize(
    ("names", "labels", "rule"),
    [
        (["p/kian/1.png", "p/dan/1.png"], (), "2 images of 2 identities: each sub-folder is an identity (--labels folder)"),
        (["p/kian.png", "p/dan.png"], (), "2 images of 2 identities: each file's name is an identity (--labels stem)"),
        (["p/1.png", "p/2.png"], ("--labels", "folder"), "2 images of 1 identity: each photograph's folder is an identity"),
        (["p/1.png", "p/2.png"], ("--labels", "none"), "2 images of 0 identities: nobody said whose they are (--labels none)"),
        (["p/1.png", "p/2.png"], ("--labels", "l.csv"), "2 images of 1 identity: as l.csv says"),
    ],
)  # fmt: skip
def test_embed_says_whose_the_photographs_are(
    drawn: list[np.ndarray],
    save: Save,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    labels: tuple[str, ...],
    rule: str,
) -> None:
    for picture, name in zip(drawn, names, strict=False):
        save(picture, name)
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("path,identity\np/1.png,kian\np/2.png,\n")
    result = say("embed", "p", "-o", "t.parquet", "--encoder", "pixels", "--faces", "none", *labels)
    assert result.exit_code == 0
    assert rule in result.output
    assert "warning" not in result.output


def test_a_folder_of_badges_does_not_become_one_person_silently(
    drawn: list[np.ndarray], save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(24):
        save(np.roll(drawn[number % 12], number, 0), f"office/badges/{chr(97 + number)}.png")
    monkeypatch.chdir(tmp_path / "office")
    result = say("embed", ".", "-o", "t.parquet", "--encoder", "pixels", "--faces", "none")
    assert "24 images of 1 identity: each sub-folder is an identity" in result.output
    assert "warning: 24 of 24 images are taken for one person, badges; --labels says otherwise" in result.output
    assert "warning: 24 of 24 templates are taken for one person, badges" in say("build-index", "t.parquet", "-o", "g").output


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["2021", "2022", "2023"], "3 of 3 identities are called as cameras or calendars"),
        (["2023-05-01", "2023-05-02 birthday"], "calendars call things, as 2023-05-01 is"),
        (["DCIM"] * 3, "as DCIM is"),
        (["100APPLE", "101APPLE"], "as 100APPLE is"),
        (["IMG_0001", "IMG_0002 (1)", "kian"], "2 of 3"),
        (["20230501_120000", "PXL_20230501_1"], "2 of 2"),
        (["kian"] * 57 + ["dan"] * 3, "57 of 60 images are taken for one person, kian"),
        (
            [f"{name}_{at}" for name in ("kian", "dan") for at in range(12)],
            "24 people whose names differ by a number, such as kian_0",
        ),
        (["kian", "dan", "Image of God", "April", "Photios", "Tess", "Imgard"], None),
        ([f"person {chr(97 + at)}" for at in range(24)], None),
        (["kian"] * 19, None),
        ([None] * 60, None),
        ([], None),
    ],
)
def test_what_looks_wrong(names: list[str | None], said: str | None) -> None:
    found = " ".join(doubts(names))
    assert said in found if said else not found


# Faces that were not looked at.


def test_faces_that_were_not_looked_at_are_counted(album: Path, sface: Encoder, tmp_path: Path) -> None:
    made = embed_images(album, sface, labels="none")
    assert (len(made.templates), made.unseen) == (3, Unseen(3, 2))
    assert len(embed_images(album, sface, faces="all").templates) == 6
    embedded = say("embed", album, "-o", tmp_path / "t.parquet")
    said = "at least 3 more faces in 2 photographs were not looked at"
    assert f"{said}; --faces all looks at them" in embedded.output
    assert embedded.exit_code == 0
    gallery = Gallery.build([tmp_path / "t.parquet"], tmp_path / "g")
    assert gallery.identify(album, threshold=0.9).unseen == Unseen(3, 2)
    for faces, more in ((), True), (("--faces", "all"), False):
        found = say(
            "identify", album, "-g", tmp_path / "g", "-o", tmp_path / "r.csv", "--overwrite", "--threshold", "0.9", *faces
        )
        assert (said in found.output) == more


def test_nobody_is_enrolled_by_a_photograph_of_two(album: Path, sface: Encoder, photos: Path, tmp_path: Path) -> None:
    gallery = Gallery.build(embed_images(photos, sface).templates, tmp_path / "g")
    done = gallery.enroll([album / "two.png", album / "three.png"], identity="X", on_match="ignore")
    assert (done.templates, done.unseen) == (1, Unseen(2, 1))
    assert str(done.labelling) == "2 images of 1 identity: all of one identity, as was said (--identity)"
    assert done.problems[0].reason.startswith("2 faces about as large, so it is unclear whose template it would be")
    several = gallery.enroll(album / "three.png", identity="Y", faces="all", on_match="ignore")
    assert several.templates == 0
    assert several.problems[0].reason == "3 faces, but the photograph is labelled as one identity (Y)"
    result = say("enroll", album / "three.png", "-g", gallery.path, "--identity", "X")
    assert "at least 2 more faces in 1 photograph were not looked at: of each photograph the largest face" in result.output


# Faces of another name.


def test_a_face_that_is_enrolled_already_is_said(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 80, each=2), tmp_path / "g")
    again = people(7, 9, noise=3).of("New").table
    newcomer = people(200, 201).table
    joining = Templates(pa.concat_tables([again, newcomer, people(9, 10, noise=3).table]), MADE)
    with pytest.raises(TemplatesError, match=r"as New, looks like id7 \(score .*\) \(and 1 more\); nothing was enrolled"):
        gallery.enroll(joining, on_match="refuse")
    assert len(gallery) == 160
    done = gallery.enroll(joining)
    assert [(match.identity, match.enrolled_as) for match in done.matches.found] == [("New", "id7"), ("New", "id8")]
    assert done.templates == 4
    assert done.matches.threshold == pytest.approx(gallery.threshold(), rel=0.2)
    assert all(match.score <= done.matches.threshold for match in done.matches.found)
    ignored = gallery.enroll(people(20, 21, noise=4).of("New"), on_match="ignore")
    assert (ignored.matches.found, ignored.matches.threshold) == ((), None)


def test_many_are_looked_for_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.answers.already_enrolled._BATCH", 3)
    gallery = Gallery.build(people(0, 80, each=2), tmp_path / "g")
    joining = people(10, 20, noise=3)
    names = pa.array([f"New {name}" for name in joining.table["identity"].to_pylist()])
    done = gallery.enroll(Templates(joining.table.set_column(1, joining.table.schema.field(1), names), MADE))
    assert [(match.identity, match.enrolled_as) for match in done.matches.found] == [
        (f"New id{at}", f"id{at}") for at in range(10, 20)
    ]


def test_the_same_face_under_another_id_is_counted(tmp_path: Path) -> None:
    """As an older onek called it after its file."""
    old = people(0, 80)
    ids = pa.array([f"photos/{at}.jpg#0" for at in range(80)])
    gallery = Gallery.build(Templates(old.table.set_column(0, old.table.schema.field(0), ids), MADE), tmp_path / "g")
    done = gallery.enroll(people(0, 5))
    assert (done.templates, done.replaced, done.matches.again, done.matches.found) == (5, 0, 5, ())
    done = gallery.enroll(people(0, 5))
    assert (done.templates, done.replaced) == (5, 5)


def test_the_command_says_whom_a_face_was_taken_for(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 80, made=None), tmp_path / "g")
    np.save(tmp_path / "new.npy", people(7, 8, noise=3).vectors)
    arguments = ("enroll", tmp_path / "new.npy", "-g", gallery.path, "--identity", "New")
    refused = say(*arguments, "--on-match", "refuse")
    assert isinstance(refused.exception, TemplatesError)
    said = say(*arguments)
    assert said.exit_code == 0
    assert "warning: new.npy:0, as New, looks like id7 (score" in said.output
    assert "looks like" not in say(*arguments, "--on-match", "ignore").output


def test_where_no_threshold_is_known_that_is_said(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 5, made=None), tmp_path / "g")
    np.save(tmp_path / "new.npy", people(7, 8).vectors)
    arguments = ("enroll", tmp_path / "new.npy", "-g", gallery.path, "--identity", "New")
    said = say(*arguments)
    assert said.exit_code == 0
    assert "whether a face is enrolled under another name was not looked at: no threshold is known" in said.output
    assert "looked at" not in say(*arguments, "--on-match", "ignore").output
    with pytest.raises(GalleryError, match="on_match='refuse': no default threshold"):
        gallery.enroll(people(8, 9, made=None), on_match="refuse")


# What enrolling keeps.


def test_templates_are_enrolled_without_sources(photos: Path, tmp_path: Path) -> None:
    made = embed_images(photos, "pixels", faces="none").templates
    old = made.table.set_column(
        0, made.table.schema.field(0), pa.array([f"{source}#0" for source in made.table["source"].to_pylist()])
    )
    gallery = Gallery.build(Templates(made.table.slice(0, 6), made.provenance), tmp_path / "g")
    pq.write_table(made.table.slice(6, 3), tmp_path / "new.parquet")
    pq.write_table(old.slice(9, 3), tmp_path / "old.parquet")
    for name in ("new", "old"):
        assert say("enroll", tmp_path / f"{name}.parquet", "-g", gallery.path, "--no-source").exit_code == 0
    gallery.refresh()
    assert gallery.sources().to_pylist()[6:] == [None] * 6
    assert gallery.template_ids.to_pylist()[:9] == made.table["template_id"].to_pylist()[:9]
    assert not any("person" in name for name in gallery.template_ids.to_pylist())
    named = "goes with photographs; those to enrol are templates already"
    with pytest.raises(PhotographsError, match=f"faces='none' {named}"):
        gallery.enroll(made, faces="none")
    refused = say("enroll", tmp_path / "new.parquet", "-g", gallery.path, "--faces", "none")
    assert str(refused.exception) == f"--faces none {named}"


def test_problems_of_each_enrolment_stay(photos: Path, tmp_path: Path) -> None:
    gallery = Gallery.build(embed_images(photos, "pixels", faces="none").templates, tmp_path / "g")
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(b"")
        assert say("enroll", tmp_path / f"{name}.jpg", "-g", gallery.path).exit_code == 3
    kept = (tmp_path / "g.problems.csv").read_text()
    assert kept == "source,reason\n" + "".join(f"{tmp_path}/{name}.jpg,the file is empty\n" for name in "ab")
    (tmp_path / "g.problems.csv").write_text("my own notes\n")
    refused = say("enroll", photos / "person1.jpg", "-g", gallery.path)
    assert isinstance(refused.exception, OutputError)
    with pytest.raises(OutputError, match=r"g\.problems\.csv is no list of problems"):
        add_problems(tmp_path / "g", [Problem("a", "b")])
    assert (tmp_path / "g.problems.csv").read_text() == "my own notes\n"
