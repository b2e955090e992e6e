"""`onek evaluate` in its three forms, from files to a report; and `onek report` of its raw searches."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.data.drawn_people import Shot, draw_files
from benchmarks.data.synthetic_templates import Population
from engine import Gallery, Templates, embed_images
from engine.cli.app import app
from engine.errors import MetricsError, OnekError, OutputError
from engine.templates.model import batch
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from tests.support.people import crowded

pytestmark = pytest.mark.usefixtures("one_thread")


def write(path: Path, images: range, *, first: int = 0, people: int = 150, encoder: str = "drawn", noise: float = 0.0) -> Path:
    drawn, random = Population(crowded()), np.random.default_rng(1)
    made = Provenance(encoder, encoder[0] * 64, 128, threshold=0.425)
    with TemplateWriter(path, made) as writer:
        for image in images:
            vectors = drawn.templates(first, people, image)
            vectors = vectors + noise * random.normal(size=vectors.shape).astype(np.float32)
            vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
            names = [f"id{first + at}" for at in range(people)]
            sources = [f"{name}/{image}.jpg" for name in names]
            writer.write(batch(made, [f"{source}#0" for source in sources], names, vectors, sources))
    return path


def evaluate(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_gallery_and_probes_with_their_truth(tmp_path: Path) -> None:
    gallery = Gallery.build([write(tmp_path / "t.parquet", range(1))], tmp_path / "g")
    limit = gallery.threshold(fpir=0.1)
    gallery.close()
    write(tmp_path / "probes.parquet", range(1, 2), people=250)
    truth = [f"id{at}/1.jpg,{f'id{at}' if at < 150 else ''}" for at in range(250)]
    (tmp_path / "truth.csv").write_text("probe,identity\n" + "\n".join(truth) + "\nlost.jpg,id3\n")
    (tmp_path / "groups.csv").write_text("probe,site\n" + "\n".join(f"id{at}/1.jpg,{'NS'[at % 2]}" for at in range(250)))
    out = tmp_path / "report"
    asked = ("--truth", tmp_path / "truth.csv", "--groups", tmp_path / "groups.csv", "--fpir", "10%", "--out", out)
    said = evaluate(tmp_path / "g", tmp_path / "probes.parquet", *asked)
    for label in ("People: 150 enrolled", "Asked for: a name for 10 %", "Obtained: ", "Missed: ", "What to change: "):
        assert label in said
    assert {path.name for path in out.iterdir()} == {
        *("report.html", "report.json", "figures.csv", "curves.csv", "searches.parquet", "comparisons.parquet"),
    }
    raw = pq.read_table(out / "searches.parquet").to_pylist()
    whole = [row for row in raw if row["k"] == 150 and row["system"].endswith("local")]
    wrong = [
        row for row in whole if row["mated"] and not (row["rank"] == 1 and row["score"] is not None and row["score"] <= limit)
    ]
    told = json.loads((out / "report.json").read_text())
    figures = {(row["system"], row["k"], row["name"], row["group"]): row for row in told["figures"]}
    main = told["about"]["systems"][0]["name"]
    # What gave no template is a search that missed.
    assert figures[main, 150, "fnir@asked=0.1", ""]["searches"] == 151
    assert figures[main, 150, "fnir@asked=0.1", ""]["value"] == pytest.approx(len(wrong) / 151)
    assert (main, 150, "fpir@asked=0.1", "site=N") in figures

    again = tmp_path / "again"
    done = CliRunner().invoke(app, ["report", str(out / "searches.parquet"), "--out", str(again), "--fpir", "3%"])
    assert done.exit_code == 0, done.output
    anew = json.loads((again / "report.json").read_text())
    assert anew["asked"] == 0.03
    known = {(row["system"], row["k"], row["name"], row["group"]): row["value"] for row in anew["figures"]}
    assert known[main, 150, "rank1", ""] == figures[main, 150, "rank1", ""]["value"]


def test_photographs_are_probes_and_what_shows_no_face_is_a_miss(tmp_path: Path) -> None:
    people = [f"p{number}" for number in range(41)]
    draw_files([Shot(tmp_path / "known" / f"{name}.jpg", number, 0) for number, name in enumerate(people)], nuisance=0.3)
    Gallery.build(embed_images(tmp_path / "known").templates, tmp_path / "g").close()
    seen = [Shot(tmp_path / "seen" / f"{number}.jpg", number, 1) for number in range(50)]
    draw_files(seen, nuisance=0.3)
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "seen" / "50.jpg")
    truth = [f"{tmp_path}/seen/{number}.jpg,{people[number] if number < 41 else ''}" for number in range(50)]
    (tmp_path / "truth.csv").write_text("\n".join(["probe,identity", *truth, f"{tmp_path}/seen/50.jpg,p3"]))
    evaluate(tmp_path / "g", tmp_path / "seen", "--truth", tmp_path / "truth.csv", "--fpir", "10%", "--out", tmp_path / "r")
    raw = pq.read_table(tmp_path / "r" / "searches.parquet").to_pylist()
    whole = [row for row in raw if row["k"] == 41 and "plain" not in row["system"]]
    assert len(whole) == 51
    assert [Path(row["probe"]).name for row in whole if row["failed"]] == ["50.jpg"]
    assert sum(row["rank"] == 1 for row in whole) >= 35  # of people who are drawn alike, some look alike


def test_one_labelled_set_and_two_encoders_of_it(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet", range(2), people=120)
    (tmp_path / "one.problems.csv").write_text("source,reason\nid5/7.jpg,no face found\n")
    two = write(tmp_path / "two.parquet", range(2), people=120, encoder="worse", noise=0.05)
    said = evaluate(one, "--splits", 2, "--fpir", "10%", "--out", tmp_path / "alone")
    assert "90 enrolled of 120 people, in 2 splits" in said
    assert "1 of 241 images gave no template" in said
    evaluate(one, two, "--splits", 2, "--fpir", "30%", "--score", "plain", "--out", tmp_path / "both")
    told = json.loads((tmp_path / "both" / "report.json").read_text())
    assert [system["name"] for system in told["about"]["systems"]] == ["drawn", "worse"]
    raw = pq.read_table(tmp_path / "both" / "searches.parquet", columns=["system", "split", "k", "probe", "mated"]).to_pylist()
    searched = {name: {tuple(list(row.values())[1:]) for row in raw if row["system"] == name} for name in ("drawn", "worse")}
    assert searched["drawn"] == searched["worse"]  # the same people, enrolled and searched for
    difference = next(row for row in told["figures"] if row["name"] == "difference:fnir@fpir=0.3")
    assert difference["group"] == "worse - drawn"
    assert difference["value"] > 0
    # A second run into the same folder says what changed.
    evaluate(one, two, "--splits", 1, "--fpir", "30%", "--score", "plain", "--out", tmp_path / "both")
    assert json.loads((tmp_path / "both" / "report.json").read_text())["changes"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["g"], "expected a gallery and its probes, or labelled templates"),
        (["t.parquet", "--truth", "x.csv"], "--truth and --encoder go with a gallery and its probes"),
        (["g", "t.parquet", "--splits", "3"], "--splits 3 goes with labelled templates"),
        (["t.parquet", "--score", "cosine"], "--score cosine: expected plain, local or quality"),
        (["few.parquet"], "12 identities; accuracy is measured from 40 on"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(arguments: list[str], says: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("t.parquet"), range(1), people=45)
    write(Path("few.parquet"), range(2), people=12)
    with pytest.raises(OnekError, match=says):
        CliRunner().invoke(app, ["evaluate", *arguments, "--out", "report"], catch_exceptions=False)


def test_inputs_are_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", range(2), people=45)
    with pytest.raises(OutputError, match="holds"):
        evaluate(tmp_path / "t.parquet", "--out", tmp_path)
    Templates.from_vectors(np.eye(50, dtype=np.float32))
    np.save(tmp_path / "unlabelled.npy", np.eye(50, dtype=np.float32))
    with pytest.raises(MetricsError, match="have no identity"):
        evaluate(tmp_path / "unlabelled.npy", "--out", tmp_path / "r")
