"""Who the probes are, which groups people are of, and which images gave no template."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import Templates
from engine.errors import ListError, ListGuess, MetricsError
from engine.evaluation.splits import split
from engine.evaluation.truth import probes_of, read_demographic_groups, read_labelled, read_truth
from engine.templates.model import batch, schema
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance


def templates_file(path: Path, sources: list[str], identities: list[str | None], encoder: str = "one") -> Templates:
    made = Provenance(encoder, encoder[0] * 64, 8)
    vectors = np.random.default_rng(len(sources)).normal(size=(len(sources), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = batch(made, [f"{source}#0" for source in sources], identities, vectors, sources)
    with TemplateWriter(path, made) as writer:
        writer.write(rows)
    return Templates(pa.Table.from_batches([rows], schema=schema(made)), made)


def test_truth_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Probe,identity\na.jpg,kian\nb.jpg,\nlost.jpg,mona\n")
    truth = read_truth(tmp_path / "t.csv")
    assert truth == {"a.jpg": "kian", "b.jpg": None, "lost.jpg": "mona"}
    probes = probes_of(templates_file(tmp_path / "p.parquet", ["a.jpg", "b.jpg"], [None, None]), [], truth, "p")
    # What is in the truth and gave no template is a search that failed.
    assert probes.names == ["a.jpg", "b.jpg", "lost.jpg"]
    assert probes.identities == ["kian", None, "mona"]
    assert probes.rows.tolist() == [0, 1, -1]
    assert not probes.unplaced.any()


def test_truth_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("probe,identity\na.jpg,kian\na.jpg,mona\n")
    with pytest.raises(ListError, match="line 3 says that a.jpg is mona, an earlier line that it is kian"):
        read_truth(tmp_path / "t.csv")
    templates = templates_file(tmp_path / "p.parquet", ["a.jpg", "b.jpg"], [None, None])
    with pytest.raises(MetricsError, match=r"1 of 2 probes have no row in the truth \(such as b.jpg\)"):
        probes_of(templates, [], {"a.jpg": "kian"}, "p.parquet")
    with pytest.raises(MetricsError, match="does not say whose its probes are; pass --truth"):
        probes_of(templates, [], None, "p.parquet")


def test_failures_that_nobody_places_are_the_worst_they_can_be(tmp_path: Path) -> None:
    probes = probes_of(templates_file(tmp_path / "p.parquet", ["a.jpg"], ["kian"]), ["lost.jpg"], None, "p")
    assert probes.identities == ["kian", None]
    assert probes.unplaced.tolist() == [False, True]


def test_images_without_a_template_belong_to_their_folders_people(tmp_path: Path) -> None:
    templates_file(tmp_path / "t.parquet", ["kian/1.jpg", "mona/1.jpg"], ["kian", "mona"])
    (tmp_path / "t.problems.csv").write_text("source,reason\nmona/2.jpg,no face found\n")
    people = read_labelled([tmp_path / "t.parquet"])
    assert people.images == ["kian/1.jpg", "mona/1.jpg", "mona/2.jpg"]
    assert [people.names[code] for code in people.codes] == ["kian", "mona", "mona"]
    assert people.rows[0].tolist() == [0, 1, -1]
    assert people.failures == 1
    templates_file(tmp_path / "u.parquet", ["kian/1.jpg"], ["somebody"])
    (tmp_path / "u.problems.csv").write_text("source,reason\nmona/2.jpg,no face found\n")
    assert read_labelled([tmp_path / "u.parquet"]).codes.tolist() == [0, -1]


def test_two_systems_are_compared_on_what_both_saw(tmp_path: Path) -> None:
    templates_file(tmp_path / "a.parquet", ["k/1.jpg", "k/2.jpg", "m/1.jpg"], ["k", "k", "m"], "one")
    templates_file(tmp_path / "b.parquet", ["k/1.jpg", "m/1.jpg", "m/9.jpg"], ["k", "m", "m"], "two")
    people = read_labelled([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert people.called == ["one", "two"]
    assert people.images == ["k/1.jpg", "k/2.jpg", "m/1.jpg", "m/9.jpg"]
    assert people.able.tolist() == [True, False, True, False]
    templates_file(tmp_path / "c.parquet", ["k/1.jpg"], ["m"], "two")
    with pytest.raises(MetricsError, match=r"k/1.jpg is k in .*a.parquet and m in .*c.parquet"):
        read_labelled([tmp_path / "a.parquet", tmp_path / "c.parquet"])
    templates_file(tmp_path / "d.parquet", ["z/1.jpg"], ["z"], "two")
    with pytest.raises(MetricsError, match="have no photograph in common"):
        read_labelled([tmp_path / "a.parquet", tmp_path / "d.parquet"])


def test_only_images_that_every_system_saw_are_enrolled() -> None:
    codes = np.repeat(np.arange(50), 3)
    able = np.random.default_rng(0).random(150) < 0.6
    parts = split(codes, 0, able=able)
    assert able[parts.enrolled].all()
    assert len(np.unique(codes[parts.enrolled])) == len(parts.enrolled)
    assert not set(codes[parts.enrolled]) & set(codes[parts.strangers])
    assert np.array_equal(split(codes, 3).enrolled, split(codes, 3, able=np.ones(150, bool)).enrolled)


def test_groups_of_any_columns(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("identity;Age;camera 2\nkian;20-29;door\nmona;;yard\n")
    with pytest.warns(ListGuess, match="parted by semicolons"):
        groups = read_demographic_groups(tmp_path / "g.csv")
    assert (groups.key, list(groups.columns)) == ("identity", ["Age", "camera 2"])
    assert groups.values("Age", ["mona", "kian", "nobody", None]).tolist() == ["", "20-29", "", ""]
    (tmp_path / "p.csv").write_text("probe,year\na.jpg,2019\n")
    assert read_demographic_groups(tmp_path / "p.csv").key == "probe"
    (tmp_path / "none.csv").write_text("who,age\nkian,20\n")
    with pytest.raises(ListError, match=r"found the columns who, age; expected identity \(or probe\), and one more"):
        read_demographic_groups(tmp_path / "none.csv")
    (tmp_path / "two.csv").write_text("identity,age\nkian,20\nkian,30\n")
    with pytest.raises(ListError, match="line 3 says age 30 of kian, an earlier line 20"):
        read_demographic_groups(tmp_path / "two.csv")
