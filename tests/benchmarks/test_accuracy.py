"""The accuracy benchmark on synthetic people, its raw scores and its figures; shifts; LFW's protocols on a folder like it."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks.accuracy.curves import accuracy_table, alarms_table, draw, fixed_table
from benchmarks.accuracy.domain_shift import CLEAN, measure_shifts
from benchmarks.accuracy.sweep import Row, Summary, Without, line, of_shares, people_of, rows_of, summary, sweep
from benchmarks.accuracy.verification import Pair, of_vectors
from benchmarks.cli.app import benchmark
from benchmarks.data.degraded_photographs import DEGRADATIONS
from benchmarks.data.lfw import find_list, known_pairs, open_set, read_lfw_pairs
from benchmarks.data.planted_errors import measure_audit
from benchmarks.data.synthetic_templates import Population
from engine import Templates
from engine.cli.console import _Plain
from engine.errors import ListError, MetricsError, PhotographsError, TemplatesError
from engine.evaluation.splits import sizes, split
from engine.templates.model import batch, schema, with_vectors
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance
from tests.support.people import crowded


def labelled(images: int = 2, identities: int = 400) -> Templates:
    people = Population(crowded())
    vectors = np.concatenate([people.templates(0, identities, image) for image in range(images)])
    names = [f"id{row % identities}" for row in range(len(vectors))]
    sources = [f"{name}/{name}_{row // identities + 1:04d}.jpg" for row, name in enumerate(names)]
    made = Provenance("synthetic", "f" * 64, 128, threshold=0.425)
    rows = batch(made, [f"{source}#0" for source in sources], names, vectors, sources)
    return Templates(pa.Table.from_batches([rows], schema=schema(made)), made)


def test_splits_are_disjoint_and_nested() -> None:
    codes = np.repeat(np.arange(100), 3)
    parts = split(codes, seed=4)
    assert (len(parts.enrolled), len(parts.mated), len(parts.strangers)) == (75, 150, 25)
    assert not set(codes[parts.enrolled]) & set(codes[parts.strangers])
    assert set(codes[parts.mated]) == set(codes[parts.enrolled])
    assert not set(parts.mated) & set(parts.enrolled)
    assert not np.array_equal(split(codes, seed=5).enrolled, parts.enrolled)


def test_sizes() -> None:
    assert sizes(3021) == [10, 30, 100, 300, 1000, 3021]
    assert sizes(300) == [10, 30, 100, 300]
    assert sizes(1_000_000)[-2:] == [300_000, 1_000_000]


def test_a_sweep_keeps_raw_scores_and_resumes(tmp_path: Path) -> None:
    people = people_of(labelled())
    extra = Population(crowded(), seed=1).templates(0, 700)
    assert sweep(people, ["plain", "local"], tmp_path, splits=2, distractors=extra) > 1
    files = sorted(tmp_path.glob("encoder=synthetic/score=local/k=*/split=*.parquet"))
    assert {path.parts[-2] for path in files} == {"k=10", "k=30", "k=100", "k=300", "k=1000"}
    raw = pq.read_table(tmp_path / "encoder=synthetic" / "score=local" / "k=300" / "split=00.parquet")
    assert raw.num_rows == 300 + 100
    before = {path: path.stat().st_mtime_ns for path in files}
    assert sweep(people, ["plain", "local"], tmp_path, splits=2, distractors=extra) is None
    assert {path: path.stat().st_mtime_ns for path in files} == before

    rows = {(row.score, row.identities): row for row in rows_of(tmp_path)}
    largest = rows["local", 300]
    mated = np.asarray(raw["mated"])
    by_hand = np.mean(np.asarray(raw["rank"])[mated] == 1)
    assert largest.splits == 2
    assert largest.figures["rank1"].mean == pytest.approx(by_hand, abs=0.05)
    assert largest.figures["rank5"].mean >= largest.figures["rank1"].mean
    assert largest.figures["tpir@fpir=0.1"].mean >= largest.figures["tpir@fpir=0.01"].mean
    assert "tpir@fpir=0.001" not in largest.figures  # of 100 strangers, none is a thousandth
    assert rows["local", 1000].figures["rank1"].mean < rows["local", 10].figures["rank1"].mean
    assert rows["plain", 300].figures["fixed"].mean > rows["plain", 30].figures["fixed"].mean
    assert 0 < rows["plain", 300].figures["obtained@fpir=0.1"].mean < 0.3
    assert "foretold@fpir=0.1" in rows["local", 1000].figures
    for table in (
        accuracy_table([*rows.values()]),
        alarms_table([*rows.values()], "obtained", "x"),
        fixed_table([*rows.values()]),
    ):
        assert table.row_count > 2
        # A cell without a figure is no blank, and the table says what it means.
        assert all(str(cell) for column in table.columns for cell in column.cells)
        assert ("-" in {str(cell) for column in table.columns for cell in column.cells}) == (table.caption is not None)
    for path in draw([*rows.values()], tmp_path / "accuracy"):
        assert path.stat().st_size > 10_000


def test_summaries_and_lines_by_hand() -> None:
    made = summary([0.1, 0.2, 0.3])
    assert made.mean == pytest.approx(0.2)
    assert made.high - made.mean == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)
    rows = [Row("e", "plain", 10**power, 1, {"rank1": Summary(1 - 0.1 * power, 0, 0)}) for power in (2, 3, 4)]
    assert of_shares([0.99, 1.0, 1.0]).high == 1
    assert of_shares([0.0, 0.0, 0.01]).low == 0
    slope, explained = line(rows, "rank1") or (0, 0)
    assert (slope, explained) == (pytest.approx(-0.1), pytest.approx(1))
    assert line(rows[:2], "rank1") is None


def test_mistakes_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "kind,identity,other,template_id,source,likely\n"
        "two names,id1,id2,x,,True\ntwo names,id3,id4,x,,False\nwrong image,id5,id6,id5/id5_0001.jpg#0,id5/id5_0001.jpg,True\n"
    )
    whole, cut = people_of(labelled()), people_of(labelled(), Without.read(tmp_path / "a.csv"))
    assert len(whole.vectors) - len(cut.vectors) == 3
    assert whole.codes.max() - cut.codes.max() == 1
    with pytest.raises(TemplatesError, match="3 identities; accuracy is measured from 40 on"):
        people_of(labelled(identities=3))


def test_shifted_probes(tmp_path: Path) -> None:
    clean = labelled(images=2, identities=300)
    noise = np.random.default_rng(0).normal(size=(600, 128)) * 0.01
    worse = clean.vectors + noise
    worse /= np.linalg.norm(worse, axis=1, keepdims=True)
    table = with_vectors(clean.table, worse, clean.provenance)
    kinds = {CLEAN: clean, "noisy": Templates(table, clean.provenance)}
    shifts = measure_shifts(kinds, "local", identities=120, splits=2)
    assert [(shift.enrolled, shift.probes) for shift in shifts] == [
        ("clean", "clean"),
        ("clean", "noisy"),
        ("noisy", "clean"),
        ("mixed", "mixed"),
        ("clean", "mixed"),
        ("mixed", "clean"),
    ]
    for shift in shifts:
        assert 0.2 < shift.obtained[0.1].mean < 3
        assert 0.2 < shift.cohort[0.1].mean < 3
        assert 0.3 < shift.found.mean <= 1


@pytest.mark.parametrize("kind", sorted(DEGRADATIONS))
def test_degraded_pictures(kind: str, drawn: list[np.ndarray]) -> None:
    picture = drawn[0]
    worse = DEGRADATIONS[kind](picture)
    assert (worse.shape, worse.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(worse, DEGRADATIONS[kind](picture))
    if kind == "darkened":
        assert worse.mean() < 0.6 * picture.mean()
    else:
        # Detail goes, brightness stays.
        assert abs(worse.mean() - picture.mean()) < 3
        assert cv2.PSNR(worse, picture) < 40
    if kind in ("blurred", "small"):
        assert cv2.Laplacian(worse, cv2.CV_64F).var() < 0.5 * cv2.Laplacian(picture, cv2.CV_64F).var()


def test_lists_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "lfw" / "A_B").mkdir(parents=True)
    (tmp_path / "pairs.txt").write_text("10\t300\nA_B\t1\t2\nA_B\t1\tC\t3\n\n")
    assert find_list(tmp_path / "lfw") == tmp_path / "pairs.txt"
    assert find_list(tmp_path / "lfw" / "A_B") is None
    pairs = read_lfw_pairs(tmp_path / "pairs.txt")
    assert pairs == [Pair("A_B/A_B_0001.jpg", "A_B/A_B_0002.jpg", True), Pair("A_B/A_B_0001.jpg", "C/C_0003.jpg", False)]
    for number in (1, 2):
        (tmp_path / "lfw" / "A_B" / f"A_B_000{number}.jpg").touch()
    assert known_pairs(tmp_path / "lfw", pairs) == pairs[:1]
    (tmp_path / "wrong.txt").write_text("A B C\n")
    with pytest.raises(ListError, match="line 1 is 'A B C', expected NAME 1 2"):
        read_lfw_pairs(tmp_path / "wrong.txt")


def test_pairs_of_templates() -> None:
    templates = labelled(images=2, identities=100)
    same = [Pair(f"id{i}/id{i}_0001.jpg", f"id{i}/id{i}_0002.jpg", True) for i in range(100)]
    other = [Pair(f"id{i}/id{i}_0001.jpg", f"id{i + 1}/id{i + 1}_0002.jpg", False) for i in range(99)]
    assert of_vectors(Path(), same + other, templates).mean > 0.95


def test_open_set_protocols() -> None:
    """120 people with four images, 100 with two, 100 with one."""
    people = Population(crowded())
    parts = [(0, 120, 4), (1000, 100, 2), (2000, 100, 1)]
    vectors, names = [], []
    for first, count, images in parts:
        for image in range(images):
            vectors.append(people.templates(first, count, image))
            names += [f"id{first + i}" for i in range(count)]
    stacked = np.concatenate(vectors)
    made = Provenance("synthetic", "f" * 64, 128)
    sources = [f"{name}/{row:05d}" for row, name in enumerate(names)]
    templates = Templates(pa.Table.from_batches([batch(made, sources, names, stacked, sources)], schema=schema(made)), made)
    rows = open_set(templates, "local", fuse=2)
    assert [(row.protocol, row.identities, row.mated, row.strangers) for row in rows] == [
        ("O1", 120, 120, 200),
        ("O2", 120, 120, 100),
        ("O3", 120, 120, 300),
    ]
    for row in rows:
        rank1 = row.figures["rank1"]
        assert 0.9 < rank1.low <= rank1.mean <= rank1.high <= 1
        assert row.figures["tpir@fpir=0.1"].mean > 0.5
        assert 0 <= row.figures["obtained@fpir=0.1"].mean < 0.35
    with pytest.raises(PhotographsError, match="0 identities with 4 images or more"):
        open_set(labelled(), "plain")


def test_the_command_prints_figures_and_keeps_curves(tmp_path: Path) -> None:
    templates = labelled(identities=120)
    with TemplateWriter(tmp_path / "t.parquet", templates.provenance) as writer:
        for rows in templates.table.to_batches():
            writer.write(rows)
    arguments = [
        "--templates",
        str(tmp_path / "t.parquet"),
        "--splits",
        "2",
        "--out",
        str(tmp_path / "out"),
        "--distractors",
        "100",
    ]
    done = CliRunner().invoke(benchmark, ["accuracy", *arguments])
    assert done.exit_code == 0, done.output
    for words in ("FPIR obtained / asked for", "synthetic, local", "times its largest K", "rank1 moves by"):
        assert words in done.output
    assert {path.name for path in (tmp_path / "out").glob("accuracy.*")} == {"accuracy.png", "accuracy.svg"}
    again = CliRunner().invoke(benchmark, ["accuracy", *arguments])
    assert "everything was there already" in again.output
    assert "nan" not in again.output
    refused = CliRunner().invoke(benchmark, ["accuracy", "--out", str(tmp_path / "out")])
    assert isinstance(refused.exception, PhotographsError)
    np.save(tmp_path / "wide.npy", np.eye(7))
    wrong = CliRunner().invoke(benchmark, ["accuracy", *arguments[:-1], str(tmp_path / "wide.npy")])
    assert "the distractors have 7 dimensions, the templates 128" in str(wrong.exception)


def test_no_name_is_cut_and_no_share_is_drawn_beyond_1(tmp_path: Path) -> None:
    name = "an-encoder-with-a-name-that-is-longer-than-eighty-letters-" + "x" * 40
    figures = {each: Summary(0.99, 0.98, 1.0) for each in ("rank1", "tpir@fpir=0.01", "fixed", "law")}
    rows = [Row(name, "local", size, 3, figures) for size in (100, 1000)]
    console = _Plain(file=io.StringIO(), width=80)
    console.print(accuracy_table(rows))
    assert f"{name}, local" in console.file.getvalue()
    short = [replace(row, encoder="e") for row in rows]
    svg = next(path for path in draw(short, tmp_path / "accuracy") if path.suffix == ".svg").read_text()
    ticks = [float(tick) for tick in re.findall(r"<!-- ([\d.]+) -->", svg)]
    assert max(ticks) == 1


def test_too_few_people_are_found_before_anybody_is_embedded(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "photos" / f"p{number}").mkdir(parents=True)
        for image in (1, 2):
            (tmp_path / "photos" / f"p{number}" / f"{image}.jpg").write_bytes(b"no picture, so that embedding it would fail")
    done = CliRunner().invoke(benchmark, ["accuracy", "--photos", str(tmp_path / "photos"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, MetricsError)
    assert "12 identities; this is measured from 40 on" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_benchmark_ends_in_a_report_and_says_what_changed(tmp_path: Path) -> None:
    templates = labelled(identities=60)
    with TemplateWriter(tmp_path / "t.parquet", templates.provenance) as writer:
        for rows in templates.table.to_batches():
            writer.write(rows)
    for splits in ("1", "2"):
        arguments = ["--templates", str(tmp_path / "t.parquet"), "--splits", splits, "--score", "plain"]
        folders = ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "report")]
        done = CliRunner().invoke(benchmark, ["accuracy", *arguments, *folders])
        assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (told["kind"], told["name"]) == ("benchmark", "accuracy")
    assert any(row["table"].startswith("Found: rank-1") and row["column"] == "r-1" for row in told["figures"])
    assert any(change["column"] == "r-1" for change in told["changes"])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Since the run of" in page
    assert "<svg" in page
    assert "<script" not in page
    assert (tmp_path / "report" / "table1.csv").read_text().startswith('"encoder, score",K,r-1')
    assert all(
        "--report" in [option for each in get_command(benchmark).commands[name].params for option in each.opts]
        for name in ("search", "lfw", "kills")
    )


def test_planted_mistakes_are_counted(tmp_path: Path) -> None:
    made = measure_audit(labelled(images=4, identities=120), tmp_path / "g", seed=0, count=8, most=20)
    assert (made.planted, made.listed, made.names) == (8, 20, 8)
    assert made.images >= 7
    assert 8 <= made.last_name <= 20
    with pytest.raises(TemplatesError, match="0 identities have 4 templates"):
        measure_audit(labelled(images=2, identities=60), tmp_path / "g", seed=0)
