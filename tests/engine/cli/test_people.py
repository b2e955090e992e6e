"""`onek list`, `show` and `erase`: what they find, and that nothing is left of whoever is erased."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.forgetting import look_for_bytes
from engine.templates.model import Templates, batch
from engine.workflows.locations import open_gallery

RUNNER = CliRunner()


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Templates:
    """Twelve people of two templates each, Zoë of three, in t.parquet and the gallery g."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    names = [f"id{row // 2:02}" for row in range(24)] + ["Zoë"] * 3
    made = Templates.from_vectors(random.normal(size=(12, 16)).repeat(2, axis=0) + 0.01 * random.normal(size=(24, 16)))
    made = Templates.from_vectors(np.concatenate([made.vectors, random.normal(size=(3, 16)).astype(np.float32)]))
    sources = [f"photo{row}.jpg" for row in range(27)]
    rows = batch(made.provenance, [f"{each}#0" for each in sources], names, made.vectors, sources)
    made = Templates(made.table.from_batches([rows]), made.provenance)
    pq.write_table(made.table, "t.parquet")
    Gallery.build(made, "g")
    return made


def say(*words: str) -> str:
    answer = RUNNER.invoke(app, words)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.stdout


def said_apart(*words: str) -> str:
    """What a process of its own says: an embedded Milvus outlives a call, and writes to where that wrote."""
    onek = str(Path(sys.executable).with_name("onek"))
    return subprocess.run([onek, *words], capture_output=True, text=True, check=True).stdout


def test_a_list_is_filtered_sorted_and_counted(people: Templates) -> None:
    assert say("list", "g").splitlines()[:2] == ["identity,templates", "Zoë,3"]
    assert say("list", "g", "--match", "id0[12]") == "identity,templates\nid01,2\nid02,2\n"
    assert say("list", "g", "--sort", "templates").splitlines()[1:3] == ["Zoë,3", "id00,2"]
    assert say("list", "g", "--least", "3") == "identity,templates\nZoë,3\n"
    assert say("list", "g", "--count", "--match", "id*") == "12 identities, 24 templates\n"
    assert json.loads(say("list", "g", "--json", "--least", "3"))["identities"] == [{"identity": "Zoë", "templates": 3}]
    assert isinstance(RUNNER.invoke(app, ["list", "g", "--sort", "age"]).exception, OnekError)


def test_all_that_is_stored_about_one_is_shown(people: Templates) -> None:
    say("remove", "--template", "photo25.jpg#0", "-g", "g")
    say("rename", "Zoë", "Zoe", "-g", "g")
    say("enroll", "t.parquet", "-g", "g", "--on-duplicate", "skip")  # brings photo25 back, under the old name
    told = json.loads(say("show", "Zoe", "-g", "g", "--json"))
    assert [(each["template_id"], each["source"], each["enrolled_as"]) for each in told["templates"]] == [
        ("photo24.jpg#0", "photo24.jpg", "Zoë"),
        ("photo26.jpg#0", "photo26.jpg", "Zoë"),
    ]
    assert np.allclose(told["templates"][1]["vector"], people.vectors[26])
    again = json.loads(say("show", "Zoë", "-g", "g", "--json"))
    assert [each["template_id"] for each in again["templates"]] == ["photo25.jpg#0"]
    assert again["awaiting_erasure"] == 1
    assert "photo25.jpg" in say("show", "Zoë", "-g", "g")
    assert isinstance(RUNNER.invoke(app, ["show", "nobody", "-g", "g"]).exception, GalleryError)


def test_nothing_is_left_of_whoever_is_erased(people: Templates) -> None:
    for ending in ("parquet", "csv", "json", "jsonl"):
        say("identify", "t.parquet", "-g", "g", "-o", f"r.{ending}", "--threshold", "0.9", "--top", "13", "--overwrite")
    files = ["t.parquet", "r.parquet", "r.csv", "r.json", "r.jsonl"]
    before = json.loads(Path("r.json").read_text(encoding="utf-8"))
    told = json.loads(say("erase", "Zoe\u0308", "g", *files, "--receipt", "receipt.json", "--json"))
    receipt = json.loads(Path("receipt.json").read_text(encoding="utf-8"))
    assert {**receipt, "decides": told["decides"], "decided_before": told.get("decided_before")} == {
        "decided_before": None,
        **told,
    }
    assert [(each["place"], each["erased"]) for each in receipt["places"]] == [("g", 3), ("t.parquet", 3)] + [
        (name, 27) for name in files[1:]
    ]
    assert all(each["vectors_found"] == 0 for each in receipt["places"][0]["files"])
    for file in ["t.parquet", "r.csv", "r.json", "r.jsonl", *(f"g/{each.name}" for each in Path("g").iterdir())]:
        assert "Zoë".encode() not in Path(file).read_bytes(), file
    after = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert [row["probe"] for row in after] == [row["probe"] for row in before[:24]]
    assert [len(row["candidates"]) for row in after] == [12] * 24
    assert pq.read_table("r.parquet").to_pylist()[0]["candidates"][0] == pq.read_table("r.parquet")["candidates"][0].as_py()[0]
    assert len(Gallery.open("g")) == 24
    assert not any("Zoë" in str(row) for row in pq.read_table("r.parquet").to_pylist())
    assert pq.read_schema("t.parquet").metadata[b"onek.format"]


def test_what_is_left_is_found(people: Templates) -> None:
    with pytest.raises(GalleryError, match="still holds 1 of the vectors"):
        look_for_bytes(Path("g"), people.vectors[:1])
    assert all(each["vectors_found"] == 0 for each in look_for_bytes(Path("g"), people.vectors[:1] * 2))


@pytest.mark.parametrize("name", ["notes.txt", "list.csv", "broken.parquet", "gone.csv"])
def test_files_that_are_not_ours_are_refused_before_anything_goes(people: Templates, name: str) -> None:
    if name != "gone.csv":
        Path(name).write_text("path,identity\na.jpg,Zoë\n", encoding="utf-8")
    answer = RUNNER.invoke(app, ["erase", "Zoë", "g", name])
    assert isinstance(answer.exception, OnekError)
    assert name in str(answer.exception)
    assert len(Gallery.open("g")) == 27


def test_where_a_place_fails_the_others_are_done_and_the_receipt_says_so(people: Templates) -> None:
    say("build-index", "t.parquet", "-o", "h")
    say("remove", "Zoë", "-g", "h")
    answer = RUNNER.invoke(app, ["erase", "Zoë", "h", "g", "t.parquet", "--receipt", "receipt.json"])
    assert isinstance(answer.exception, OnekError)
    assert str(answer.exception).startswith("1 of 3 places failed; the first: nobody called Zoë is enrolled in h")
    receipt = json.loads(Path("receipt.json").read_text(encoding="utf-8"))
    assert [(each["place"], each["erased"], "failed" in each) for each in receipt["places"]] == [
        ("h", None, True),
        ("g", 3, False),
        ("t.parquet", 3, False),
    ]
    assert "Zoë" not in Gallery.open("g")


def test_a_person_leaves_a_gallery_in_milvus(people: Templates, tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    place = f"milvus-lite:{tmp_path / 'm.db'}/g"
    said_apart("build-index", "t.parquet", "-o", place)
    told = json.loads(said_apart("erase", "Zoë", place, "--receipt", "receipt.json", "--json"))
    assert [(each["kind"], each["erased"]) for each in told["places"]] == [("gallery in Milvus", 3)]
    assert "their bytes stay in milvus-lite's files until the gallery is built anew" in told["places"][0]["verified"]
    with open_gallery(place) as opened:
        assert "Zoë" not in opened
        assert opened.identity_count > 1
