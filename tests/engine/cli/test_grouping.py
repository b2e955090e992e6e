from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.grouping.groups_file import read_groups
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from tests.support.unnamed_faces import SFACE, faces_of


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def written(path: Path, templates: Templates) -> Path:
    with TemplateWriter(path, templates.provenance) as writer:
        for rows in templates.table.to_batches():
            writer.write(rows)
    return path


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return written(tmp_path / "faces.parquet", faces_of([4, 3, 3, 2, 1]))


def test_the_way_from_faces_to_a_gallery(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("group", faces, "--out", "groups.parquet", "--sheet", "people/")
    assert "13 faces: 4 groups, 0 named; 1 face is alone, in groups.parquet" in said
    assert "encoder's impostors" in said
    assert Path("people/groups-001.html").is_file()
    assert Path("groups.pairs.csv").is_file()
    run("group", "--name", "1", "Anna", "--join", "2", "3", "--apart", "p003/0#0", "p003/1#0", "groups.parquet")
    groups = read_groups(Path("groups.parquet"))
    assert groups.names == {1: "Anna", 2: None}
    assert groups.apart == (("p003/0#0", "p003/1#0"),)
    more = written(tmp_path / "more.parquet", faces_of([3] * 30, first=40))
    run("group", more, "--into", "groups.parquet")
    grown = read_groups(Path("groups.parquet"))
    assert len(grown) == 13 + 90
    assert grown.names[1] == "Anna"
    run("group", "--name", "3", "Bert", "groups.parquet") if 3 in grown.members else None
    people = written(tmp_path / "people.parquet", faces_of([2] * 12, first=200).of("Cleo"))
    run("build-index", people, "--out", "gallery")
    run("enroll", "groups.parquet", "-g", "gallery")
    assert "Anna,4" in run("list", "gallery")
    assert " taken for people of gallery" in run("group", "groups.parquet", "-g", "gallery")
    assert Path("groups.people.csv").is_file()


def test_a_run_over_groups_keeps_what_was_corrected(faces: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "groups.parquet", tmp_path / "again.parquet"
    run("group", faces, "--out", out)
    run("group", "--name", "2", "Anna", out)
    run("group", out, "--out", again, "--wrong", "5%")
    assert read_groups(again).names[2] == "Anna"
    assert read_groups(again).cut.asked == 0.05


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["faces.parquet"], "expected --out"),
        (["--name", "1", "Anna", "faces.parquet"], "holds none"),
        (["groups.parquet", "faces.parquet", "--out", "x.parquet"], "expected it alone"),
        (["--name", "9", "Anna", "groups.parquet"], "no group 9"),
        (["--name", "1", "Anna", "--wrong", "1%", "groups.parquet"], "corrections go without"),
        (["faces.parquet", "--into", "groups.parquet", "--wrong", "1%"], "--into takes new templates"),
        (["faces.parquet", "--into", "faces.parquet"], "holds no groups"),
        (["other.parquet", "--into", "groups.parquet"], "made by"),
        (["faces.parquet", "other.parquet", "--out", "x.parquet"], "made by"),
        (["faces.parquet", "--out", "groups.parquet"], "--overwrite"),
        (["faces.parquet", "--out", "faces.parquet", "--overwrite"], "is read"),
        (["faces.parquet", "--out", "x.parquet", "--wrong", "2"], "rate"),
        (["nothing.parquet", "--out", "x.parquet"], "no such template file"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(faces.parent)
    other = Provenance("sface", "1" * 64, 128, alignment=SFACE.alignment)
    written(tmp_path / "other.parquet", faces_of([2], made=other))
    run("group", "faces.parquet", "--out", "groups.parquet")
    before = Path("groups.parquet").read_bytes()
    done = CliRunner().invoke(app, ["group", *arguments])
    assert done.exit_code != 0
    assert said in str(done.exception) + done.output
    assert Path("groups.parquet").read_bytes() == before
    assert not Path("x.parquet").exists()


def test_templates_that_were_not_measured_are_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    foreign = Templates.from_vectors(faces_of([3] * 80).vectors)
    written(tmp_path / "foreign.parquet", foreign)
    assert "not for templates by an encoder that is not named" in run("group", "foreign.parquet", "--out", "g.parquet")


def test_templates_that_do_not_suit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "dlib.parquet", faces_of([2, 2], made=Provenance("dlib-resnet", "2" * 64, 128)))
    done = CliRunner().invoke(app, ["group", "dlib.parquet", "--out", "g.parquet"])
    assert "--encoder sface" in str(done.exception)
    assert not Path("g.parquet").exists()
