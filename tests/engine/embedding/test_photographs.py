import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embedding.photographs import find_photographs
from engine.errors import OnekError, PhotographsError
from engine.faces.image_formats import NAMES
from engine.faces.images import LeftOut


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"\xff\xd8\xff")


def found(*inputs: str, labels: str | None = None) -> dict[str, str | None]:
    return {photograph.source: photograph.identity for photograph in find_photographs([Path(name) for name in inputs], labels)}


def test_one_folder_per_identity() -> None:
    put("p/kian/1.jpg", "p/kian/2.jpg", "p/dan/deep/3.jpg")
    assert found("p") == {"p/kian/1.jpg": "kian", "p/kian/2.jpg": "kian", "p/dan/deep/3.jpg": "dan"}


def test_a_flat_folder_goes_by_stem() -> None:
    put("p/kian.jpg", "p/dan.png")
    assert found("p") == {"p/dan.png": "dan", "p/kian.jpg": "kian"}
    assert found("p", labels="folder") == {"p/dan.png": "p", "p/kian.jpg": "p"}
    assert found("p", labels="none") == {"p/dan.png": None, "p/kian.jpg": None}


def test_several_flat_folders_are_identities() -> None:
    put("p/kian/1.jpg", "p/dan/1.jpg")
    assert found("p/kian", "p/dan") == {"p/kian/1.jpg": "kian", "p/dan/1.jpg": "dan"}


def test_single_files() -> None:
    put("p/kian.jpg")
    assert found("p/kian.jpg") == {"p/kian.jpg": "kian"}
    assert found("p/kian.jpg", labels="folder") == {"p/kian.jpg": "p"}


def test_a_mixed_folder_is_refused() -> None:
    put("p/kian/1.jpg", "p/stray.jpg")
    with pytest.raises(PhotographsError, match=r"stray\.jpg.*labels="):
        found("p")
    assert found("p", labels="stem") == {"p/kian/1.jpg": "1", "p/stray.jpg": "stray"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_lists_start_at_their_own_folder(ending: str) -> None:
    put("p/a.jpg", "p/b.jpg")
    if ending == "csv":
        Path("p/list.csv").write_text("path,identity\na.jpg,kian\nb.jpg,\n")
    else:
        pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "identity": ["kian", None]}), "p/list.parquet")
    photographs = find_photographs([Path(f"p/list.{ending}")])
    assert [(p.source, p.image, p.identity) for p in photographs] == [
        ("a.jpg", Path("p/a.jpg"), "kian"),
        ("b.jpg", Path("p/b.jpg"), None),
    ]


def test_a_rule_overrules_a_list() -> None:
    put("p/a.jpg")
    Path("p/list.csv").write_text("path,identity\na.jpg,kian\n")
    for rule, identity in (("none", None), ("stem", "a"), ("folder", "p")):
        assert found("p/list.csv", labels=rule) == {"a.jpg": identity}


def test_a_label_file() -> None:
    put("p/a.jpg", "p/b.jpg")
    Path("labels.csv").write_text("path,identity\np/a.jpg,kian\np/b.jpg,dan\n")
    assert found("p", labels="labels.csv") == {"p/a.jpg": "kian", "p/b.jpg": "dan"}
    Path("labels.csv").write_text("path,identity\np/a.jpg,kian\n")
    with pytest.raises(PhotographsError, match=r"no row for p/b\.jpg"):
        found("p", labels="labels.csv")


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (["gone"], None, "gone: no such"),
        (["empty"], None, "empty: no images"),
        ([], None, "no photographs were named"),
        (["p/a.jpg"], "stemm", "did you mean stem"),
        (["p/a.jpg"], "gone.csv", r"gone\.csv: no such file"),
        (["p/a.jpg", "p/a.jpg"], None, "named twice"),
        (["bad.csv"], None, r"found the columns name, x; expected path \(or file"),
        (["bad.parquet"], None, "cannot be read"),
        (["none.csv"], None, "empty"),
    ],
)
def test_what_is_refused(inputs: list[str], labels: str | None, message: str) -> None:
    put("p/a.jpg")
    Path("empty").mkdir()
    Path("bad.csv").write_text("name,x\n1,2\n")
    Path("none.csv").write_text("path,identity\n")
    Path("bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(OnekError, match=message):
        found(*inputs, labels=labels)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_that_are_no_unicode() -> None:
    Path("p").mkdir()
    with open(os.fsencode("p/") + b"k\xe4thi.jpg", "wb") as stream:  # noqa: PTH123
        stream.write(b"\xff\xd8\xff")
    (photograph,) = find_photographs([Path("p")])
    assert photograph.source == "p/k\\xe4thi.jpg"
    assert photograph.identity == "k\\xe4thi"
    photograph.source.encode("utf-8")


def test_what_is_left_out_of_folders_is_told() -> None:
    put("p/kian/1.jpg", "p/kian/@eaDir/1.jpg", "q/dan/__MACOSX/2.jpg")
    left: list[LeftOut] = []
    assert [photograph.source for photograph in find_photographs([Path("p")], left_out=left.append)] == ["p/kian/1.jpg"]
    assert [each.path for each in left] == [Path("p/kian/@eaDir/1.jpg")]
    with pytest.raises(PhotographsError) as caught:
        found("q")
    said = "left out: images in folders that machines make (1, first q/dan/__MACOSX/2.jpg)"
    assert str(caught.value) == f"q: no images in this folder or below it (looked for {NAMES}); {said}"


def test_linked_folders_are_identities() -> None:
    put("store/1/a.jpg", "p/dan/b.jpg")
    Path("p/kian").symlink_to(Path("store/1").absolute())
    assert found("p") == {"p/dan/b.jpg": "dan", "p/kian/a.jpg": "kian"}


def test_what_cannot_be_decoded_is_a_photograph() -> None:
    put("p/kian.CR3", "p/dan.heic")
    Path("p/gone.jpg").symlink_to("nowhere.jpg")
    assert found("p") == {"p/dan.heic": "dan", "p/gone.jpg": "gone", "p/kian.CR3": "kian"}
