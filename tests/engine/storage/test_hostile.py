"""Files and names that mean harm, or that nobody thought of."""

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.durability.attacks import ATTACKS, attack_apart
from benchmarks.durability.fuzz import fuzz
from benchmarks.durability.whole_files import READERS
from engine.cli.app import app
from engine.errors import GalleryError, ImageProblem, NameRefused, OnekError, TemplatesError
from engine.faces.images import decode
from engine.files.escaping import shown
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.templates.model import Templates
from engine.templates.names import name_of
from engine.templates.parquet import read_templates
from tests.support.galleries import people

NAMES = {
    "quotes": 'O\'Brien "Bob"',
    "path": "../../etc/passwd",
    "separators": "a/b\\c:d",
    "long": "x" * 10_000,
    "emoji": "👩‍👩‍👧 Zoë",
    "right to left": "\u202egnp.exe\u202c أحمد",
    "sum": "=SUM(A1:A9)",
    "plus": "+1 555",
    "at": "@import",
    "minus": "-2+3",
    "tab": "\t=1+1",
    "markup": "[red]x[/red] [/] :smile:",
    "SQL": "'); DROP TABLE recent; --",
}
NO_NAMES = ["kian\nyounes", "\x1b[2J\x1b]0;owned\x07", "a\x00b", " ", "", "x" * 65_536, "\U0001f600" * 20_000]


@pytest.mark.parametrize("readers", sorted(READERS))
def test_damaged_files_give_an_answer_or_our_error(tmp_path: Path, readers: str) -> None:
    made = fuzz(readers, 60, tmp_path / "fuzz")
    assert made.files >= 60
    assert made.refused > 0


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "encoders" else kind for kind in ATTACKS])
def test_attacks_give_an_answer_or_our_error_and_write_nowhere(tmp_path: Path, kind: str) -> None:
    made = attack_apart(kind, 8, tmp_path / "attacks")
    assert made.faults == ()
    assert made.cases == sum(made.sorts.values()) == 8
    assert made.memory > 0
    assert made.refused > 0 or kind == "names"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_identities_may_have_any_name(tmp_path: Path, name: str) -> None:
    name = name_of(name)
    gallery = Gallery.build(people(0, 20), tmp_path / "g", score="plain")
    around = sorted(file.name for file in tmp_path.iterdir())
    gallery.enroll(people(50, 51).of(name))
    gallery.rename("id3", f"{name}!")
    assert [result.identity for result in gallery.identify(people(50, 51, noise=1), threshold=0.5)] == [name, name]
    gallery.compact()
    assert {name, f"{name}!"} <= set(Gallery.open(gallery.path).identities)
    gallery.close()
    assert check(gallery.path) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == around

    def say(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.exception
        return result.output

    listed = list(csv.reader(io.StringIO(say("list", gallery.path), newline="")))
    cells = {row[0] for row in listed}
    assert {f"{name}!", f"'{name}!"} & cells
    assert not any(cell.startswith(("=", "+", "@", "-", "\t")) for cell in cells)
    renamed, _ = say("rename", "--merge", "-g", gallery.path, "--", "id4", name).splitlines()  # and the threshold
    assert renamed == f"2 templates of id4 are {shown(name)}'s"
    assert "\x1b" not in renamed
    assert "\u202e" not in renamed


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_can_be_nobodys_name_is_refused(tmp_path: Path, name: str) -> None:
    gallery = Gallery.build(people(0, 5), tmp_path / "g")
    with pytest.raises(NameRefused, match=r"cannot have a blank name|holds control characters|at most 65,535 are taken"):
        gallery.rename("id1", name)
    assert "id1" in gallery.identities


def test_the_longest_name_is_read_back_from_a_sealed_segment(tmp_path: Path) -> None:
    """What may be enrolled may be sealed."""
    gallery = Gallery.build(people(0, 5), tmp_path / "g")
    gallery.enroll(people(50, 51).of("x" * 65_535))
    gallery.compact()
    gallery.close()
    assert "x" * 65_535 in Gallery.open(gallery.path).identities
    for what in ("template_ids", "identities"):
        with pytest.raises(OnekError, match="65,536 bytes; at most 65,535 are taken"):
            Templates.from_vectors(np.ones((1, 16)), **{what: ["x" * 65_536]})


@pytest.mark.parametrize("text", ["\ud800", "a\udfff\ud800", "\udcff", "\udcc3\udca9"], ids=ascii)  # noqa: PT014
def test_half_a_character_is_a_name_with_escapes(tmp_path: Path, text: str) -> None:
    """Python has such texts of files' names that are no Unicode, and of JSON; Arrow and SQLite take none."""
    gallery = Gallery.build(people(0, 5), tmp_path / "g")
    templates = Templates.from_vectors(np.ones((1, 16)), [text], [f"{text}#0"])
    gallery.enroll(templates)
    gallery.rename("id1", f"{text}!")
    assert {name_of(text), name_of(f"{text}!")} <= set(gallery.identities)
    gallery.remove([text])
    assert name_of(text) not in gallery.identities
    gallery.close()


def test_half_a_character_in_an_archive_is_an_escape(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", vector=np.ones((2, 16)), identity=np.array(["a\ud800", "b"]), source=np.array(["\udcff", "c"]))
    table = read_templates(tmp_path / "t.npz").table
    assert table["identity"].to_pylist() == ["a\\xed\\xa0\\x80", "b"]


def test_a_digest_of_holes_is_not_read_whole(tmp_path: Path) -> None:
    gallery = Gallery.build(people(0, 5), tmp_path / "g")
    gallery.close()
    with (gallery.path / "catalogue.sha256").open("ab") as stream:
        stream.truncate(1 << 40)
    assert check(gallery.path)


def test_an_error_of_numpy_s_is_one_line(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}".ljust(20_000) + b"\n"
    (tmp_path / "t.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header)
    with pytest.raises(TemplatesError, match="header") as refused:
        read_templates(tmp_path / "t.npy")
    assert "\n" in str(refused.value.__cause__)
    assert "\n" not in str(refused.value)


def picture(kind: str, size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 100 if mode in ("L", "I;16") else None).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (picture("PNG") + b"PK\x03\x04 an archive", (40, 60, 3)),
        (picture("JPEG") + b"<script>alert(1)</script>", (40, 60, 3)),
        (picture("PNG", (1, 1)), (1, 1, 3)),
        (picture("PNG", (30_000, 2)), (2, 30_000, 3)),
        (picture("PNG", mode="I;16"), (40, 60, 3)),
        (picture("JPEG", mode="CMYK"), (40, 60, 3)),
        (picture("WEBP", save_all=True, append_images=[Image.new("RGB", (60, 40), "red")] * 3), (40, 60, 3)),
    ],
    ids=["with an archive", "with a script", "one pixel", "very wide", "16 bit", "CMYK", "animated"],
)
def test_strange_images_are_decoded(tmp_path: Path, data: bytes, shape: tuple[int, ...]) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert decode(tmp_path / "a.jpg").shape == shape


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7" + picture("PNG"), b"GIF89a" + b"\0" * 99, b"<svg/>", b"%!PS"], ids=["PDF", "GIF", "SVG", "PostScript"]
)
def test_others_are_not(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageProblem):
        decode(tmp_path / "a.png")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gallery = Gallery.build(people(0, 60, each=1), tmp_path_factory.mktemp("hostile") / "g")
    gallery.enroll(people(100, 103))
    gallery.close()
    return gallery.path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segments SET name = '../segment-000001'",
        "UPDATE segments SET name = '/etc/passwd'",
        "UPDATE segments SET templates = -5",
        "UPDATE segments SET templates = 'many'",
        "UPDATE segments SET templates = 1000000000000",
        "UPDATE segments SET kind = 'pickle'",
        "UPDATE segments SET operating = '{\"visits\": -1}' ",
        "DELETE FROM segments",
        "INSERT INTO removed VALUES ('segment-000001', -1)",
        "INSERT INTO removed VALUES ('segment-000001', 60)",
        "INSERT INTO removed VALUES ('segment-000001', 'x')",
        "INSERT INTO renamed VALUES ('segment-000001', 'nobody', 'x')",
        "UPDATE recent SET vector = zeroblob(64)",
        "UPDATE recent SET vector = zeroblob(4)",
        "UPDATE recent SET identity = x'ff'",
        "UPDATE gallery SET value = '99' WHERE key = 'format'",
        "UPDATE gallery SET value = '-1' WHERE key = 'format'",
        "UPDATE gallery SET value = 'x' WHERE key = 'version'",
        "UPDATE gallery SET value = '[]' WHERE key = 'scoring'",
        "UPDATE gallery SET value = json_set(value, '$.neighbours', 0) WHERE key = 'scoring'",
        "UPDATE gallery SET value = json_set(value, '$.neighbours', 'x') WHERE key = 'scoring'",
        "UPDATE gallery SET value = json_set(value, '$.dim', 1000000000) WHERE key = 'provenance'",
        "UPDATE gallery SET value = json_set(value, '$.dim', 8) WHERE key = 'provenance'",
        "UPDATE gallery SET value = '{}' WHERE key = 'provenance'",
        "UPDATE gallery SET value = '[1, 2' WHERE key = 'calibration'",
        "UPDATE gallery SET value = json_set(value, '$.tail.scores', json('[]')) WHERE key = 'calibration'",
        "UPDATE gallery SET value = json_set(value, '$.tail.searches', 0) WHERE key = 'calibration'",
        "DROP TABLE recent",
        "DROP TABLE gallery",
    ],
)
def test_a_catalogue_with_impossible_values(whole: Path, tmp_path: Path, statement: str) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "g"))
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute(statement)
    database.close()
    (path / "catalogue.sha256").unlink()

    def ask(question: Callable[[], object]) -> bool:
        try:
            question()
        except GalleryError:
            return False
        return True

    assert not ask(lambda: json.dumps(Gallery.open(path).info().identities)) or "operating" in statement
    assert check(path)
    assert not ask(lambda: Gallery.open(path).info())
    assert not ask(lambda: Gallery.open(path).enroll(people(200, 201))) or "operating" in statement
    assert sorted(file.name for file in tmp_path.iterdir()) == ["g"]


def test_recent_vectors_that_are_none(whole: Path, tmp_path: Path) -> None:
    """With the right checksum."""
    from engine.storage.recent_rows import _checksum

    path = Path(shutil.copytree(whole, tmp_path / "g"))
    for vector in (np.full(16, np.nan, "<f4"), np.full(16, 7, "<f4")):
        with sqlite3.connect(path / "catalogue.sqlite") as database:
            row = database.execute(
                "SELECT number, template_id, identity, source, face, box, quality, detection, reasons FROM recent LIMIT 1"
            ).fetchone()
            values = (*row[1:], vector.tobytes())
            database.execute(
                "UPDATE recent SET vector = ?, checksum = ? WHERE number = ?", (values[-1], _checksum(*values), row[0])
            )
        database.close()
        with pytest.raises(GalleryError, match="not the norm 1"):
            Gallery.open(path)
