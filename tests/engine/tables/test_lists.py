"""Lists as people have them: each cell of these tables is read right, or refused in a line that says where and why."""

import codecs
import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from engine.cli.app import app
from engine.embedding.photographs import find_photographs
from engine.errors import ListError, ListGuess
from engine.files.escaping import harmless, plainly
from engine.tables import lists, text_lines
from engine.tables.lists import IDENTITY, MAYBE_IDENTITY, PATH, read_list, read_names
from engine.tables.sheets import Sheet

PEOPLE = [("a.jpg", "Zoë"), ("b.jpg", "kian")]
PLAIN = "path,identity\na.jpg,Zoë\nb.jpg,kian\n"
TABLES: dict[str, tuple[str | bytes, str]] = {
    "as it should be": (PLAIN, ""),
    "no end of line at the end": (PLAIN.rstrip(), ""),
    "a mark before UTF-8": (PLAIN.encode("utf-8-sig"), ""),
    "UTF-16, little end first": (codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"), ""),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), ""),
    "ends of lines of Windows": (PLAIN.replace("\n", "\r\n"), ""),
    "ends of lines of old Macs": (PLAIN.replace("\n", "\r"), ""),
    "semicolons": (PLAIN.replace(",", ";"), "columns parted by semicolons"),
    "tabs": (PLAIN.replace(",", "\t"), "columns parted by tabs"),
    "tabs of Excel's Unicode text": (PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"), "columns parted by tabs"),
    "blanks behind commas": (PLAIN.replace(",", ", "), ""),
    "blanks behind": (PLAIN.replace("\n", "  \n"), ""),
    "large letters": (PLAIN.replace("path,identity", "Path,IDENTITY"), ""),
    "a blank in the heading": (PLAIN.replace("path,", "path, "), ""),
    "quotes all over": ('"path","identity"\n"a.jpg","Zoë"\n"b.jpg","kian"\n', ""),
    "blanks before quotes": ('path, identity\na.jpg, "Zoë"\nb.jpg, "kian"\n', ""),
    "label": (PLAIN.replace("identity", "label"), "the column label taken for identity"),
    "file and name": (PLAIN.replace("path,identity", "file,name"), "the column file taken for path, name taken for identity"),
    "File_Name and Person": (
        PLAIN.replace("path,identity", "File_Name,Person"),
        "the column File_Name taken for path, Person taken for identity",
    ),
    "another order, and more columns": ("id,identity,width,path\n1,Zoë,3,a.jpg\n2,kian,4,b.jpg\n", ""),
    "both identity and name": ("path,name,identity\na.jpg,x,Zoë\nb.jpg,y,kian\n", ""),
    "empty lines": ("\n" + PLAIN.replace("\n", "\n\n"), ""),
    "empty rows, as spreadsheets leave them": (PLAIN + ",\n,\n", ""),
    "one row twice": (PLAIN + "b.jpg,kian\n", ""),
    "one path written twice": (PLAIN + "./b.jpg,kian\nc/../a.jpg,Zoë\n", ""),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read(tmp_path: Path, name: str) -> None:
    text, guess = TABLES[name]
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if guess:
        with pytest.warns(ListGuess) as said:
            found = find_photographs([path])
        assert [str(each.message) for each in said] == [f"{path}: {guess}"]
    else:
        found = find_photographs([path])  # a guess would be an error here
    assert [(photograph.source, photograph.identity) for photograph in found] == PEOPLE


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "an empty file; expected a first line with the headings path (or file,"),
    "nothing but blanks": (" \n\n", "an empty file"),
    "headings alone": ("path,identity\n", "the list is empty; expected one row per photograph"),
    "no headings": ("a.jpg,Zoë\nb.jpg,kian\n", "found the columns a.jpg, Zoë; expected path (or file, filename,"),
    "headings nobody knows": ("pfad,wer\na.jpg,Zoë\n", "found the columns pfad, wer; expected path (or"),
    "two columns of paths": ("file,photo\na.jpg,b.jpg\n", "the columns file and photo might each be the path; call one path"),
    "a comma without quotes": (PLAIN + "c.jpg,Sandler, Adam\n", "line 4 has 3 cells for 2 headings; put text that holds a comma"),
    "a row too short": (PLAIN + "c.jpg\n", "line 4 has 1 cells for 2 headings"),
    "a quote that is never closed": (PLAIN + 'c.jpg,"dan\nd.jpg,eve\n', "line 4 to 5: a quote is not closed"),
    "a quote that the next one closes": (PLAIN + 'c.jpg,"dan\nd.jpg,"eve"\n', "line 4 to 5: a quote is not closed"),
    "text behind a quote": (PLAIN + 'c.jpg,"dan" the man\n', "line 4: a quote is not closed, or text follows one"),
    "two people": (PLAIN + "a.jpg,kian\n", "a.jpg is Zoë in line 2 and kian in line 4"),
    "two people, the path written otherwise": (PLAIN + "./a.jpg,kian\n", "./a.jpg is Zoë in line 2 and kian in line 4"),
    "a person and nobody": (PLAIN + "a.jpg,\n", "a.jpg is Zoë in line 2 and nobody in line 4"),
    "no path": (PLAIN + ",dan\n", "line 4 has no path"),
    "Latin-1": (PLAIN.encode("latin-1"), "line 2 is not UTF-8 (byte 0xeb after 'a.jpg,Zo'); save it as UTF-8"),
    "half of a letter": (PLAIN.encode()[:23], "line 2 is not UTF-8 (byte 0xc3"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "line 1 holds a NUL, which no text has (a workbook? UTF-16"),
    "UTF-16 cut": (PLAIN.encode("utf-16")[:-1], "not the UTF-16 that its first bytes say, after line"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "line 1 holds a NUL"),
    "a value without end": (PLAIN + "c.jpg," + "x" * 200_000 + "\n", "text follows one (field larger"),
    "a heading without end": ("x" * 200_000, "expected path (or file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_are_refused_in_a_line(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ListError) as caught:
        find_photographs([path])
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_list_without_identities_says_so(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,width\na.jpg,3\n")
    with pytest.warns(ListGuess, match="of the columns path, width none is identity, label, name, .*: whose the photographs are"):
        (photograph,) = find_photographs([path])
    assert photograph.identity is None
    assert [each.identity for each in find_photographs([path], "none")] == [None]
    path.write_text("path\na.jpg\n")
    assert find_photographs([path])[0].identity is None
    with pytest.raises(ListError, match="expected path .* and identity"):
        find_photographs([path], str(path))


def test_identities_do_not_matter_where_a_rule_says_whose(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,identity\na.jpg,Zoë\na.jpg,kian\n")
    assert [(each.source, each.identity) for each in find_photographs([path], "stem")] == [("a.jpg", "a")]


def test_a_label_file_is_read_as_a_list_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    labels = tmp_path / "labels.csv"
    labels.write_bytes("File;Name\r\na.jpg;Sandler, Adam\r\n".encode("utf-16"))
    with pytest.warns(ListGuess, match="semicolons; the column File taken for path, Name taken for identity"):
        (photograph,) = find_photographs([tmp_path], str(labels))
    assert photograph.identity == "Sandler, Adam"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "labels.csv").write_text("path,identity\n../a.jpg,kian\n")
    assert [each.identity for each in find_photographs([tmp_path / "a.jpg"], str(tmp_path / "lists" / "labels.csv"))] == ["kian"]


NAMES: dict[str, tuple[str | bytes, list[str]]] = {
    "one a line": ("Zoë\nkian\n", ["Zoë", "kian"]),
    "a mark": ("Zoë\nkian\n".encode("utf-8-sig"), ["Zoë", "kian"]),
    "UTF-16": ("Zoë\r\nkian\r\n".encode("utf-16"), ["Zoë", "kian"]),
    "old Macs": ("Zoë\rkian", ["Zoë", "kian"]),
    "blanks and empty lines": ("  Zoë \n\n\tkian\t\n  \n", ["Zoë", "kian"]),
    "a comma": ("Sandler, Adam\nkian\n", ["Sandler, Adam", "kian"]),
    "quotes": ('"Sandler, Adam"\n"Ada ""the first"" Byron"\n', ["Sandler, Adam", 'Ada "the first" Byron']),
    "a quote inside": ('Ada "the first" Byron\n', ['Ada "the first" Byron']),
    "what onek list prints": ("identity,templates\nZoë,3\n'=cmd(),1\n", ["Zoë", "=cmd()"]),
    "a list of photographs": ("path;identity\na.jpg;Zoë\nb.jpg;\n", ["Zoë"]),
}


@pytest.mark.filterwarnings("ignore::engine.errors.ListGuess")
@pytest.mark.parametrize("name", NAMES)
def test_names_are_read(tmp_path: Path, name: str) -> None:
    text, names = NAMES[name]
    path = tmp_path / "leaving.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert read_names(path) == names


def test_a_heading_of_names_is_said(tmp_path: Path) -> None:
    path = tmp_path / "leaving.txt"
    path.write_text("Identity\nkian\n")
    with pytest.warns(ListGuess, match="its first line, Identity, is taken for a heading"):
        assert read_names(path) == ["kian"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Zoë\n".encode("latin-1"), r"line 1 is not UTF-8 \(byte 0xeb after 'Zo'\)"),
        (b'kian\n"Zoe\ndan\n', "line 2: a quote is not closed"),
        (b'"kian",3\n', "line 1 has 2 cells, and no heading says which is the identity"),
        (b"k\0ian\n", "line 1 holds a NUL"),
    ],
)
def test_names_are_refused_in_a_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "leaving.txt"
    path.write_bytes(data)
    with pytest.raises(ListError, match=message):
        read_names(path)


def test_lists_that_are_not_there(tmp_path: Path) -> None:
    for read in (read_names, lambda path: read_list(path, [PATH])):
        for name in ("gone.csv", "gone.parquet"):
            with pytest.raises(ListError, match=rf"{name}: no such file; expected a list"):
                read(tmp_path / name)
        with pytest.raises(ListError, match="Is a directory"):
            read(tmp_path)


def test_too_long_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.csv"
    path.write_text(PLAIN)
    monkeypatch.setattr(text_lines, "LARGEST", path.stat().st_size)
    assert len(read_list(path, [PATH]).rows) == 2
    path.write_text(PLAIN + "\n")
    with pytest.raises(ListError, match="a list of more than 0 MiB; cut it in pieces"):
        read_list(path, [PATH])


PARQUET: dict[str, Callable[[], pa.Table]] = {
    "text": lambda: pa.table({"path": ["a.jpg", "b.jpg"], "identity": ["Zoë", "kian"]}),
    "other headings": lambda: pa.table({"File Path": ["a.jpg", "b.jpg"], "Label": ["Zoë", "kian"]}),
    "large text": lambda: pa.table({"path": ["a.jpg", "b.jpg"], "identity": pa.array(["Zoë", "kian"], pa.large_string())}),
    "a dictionary": lambda: pa.table({"path": ["a.jpg", "b.jpg"], "identity": pa.array(["Zoë", "kian"]).dictionary_encode()}),
}


@pytest.mark.filterwarnings("ignore::engine.errors.ListGuess")
@pytest.mark.parametrize("name", PARQUET)
def test_parquet_lists_are_read(tmp_path: Path, name: str) -> None:
    pq.write_table(PARQUET[name](), tmp_path / "list.parquet", row_group_size=1)
    assert [(each.source, each.identity) for each in find_photographs([tmp_path / "list.parquet"])] == PEOPLE
    assert read_names(tmp_path / "list.parquet") == ["Zoë", "kian"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": ["a.jpg"], "identity": [["Zoë"]]}, "the column identity holds list<.*>, expected text or whole numbers"),
        ({"path": ["a.jpg"], "identity": [1.5]}, "the column identity holds double, expected text or whole numbers"),
        ({"path": ["a.jpg", None], "identity": ["Zoë", "kian"]}, "row 1 has no path"),
        ({"path": ["a.jpg", "a.jpg"], "identity": ["Zoë", "kian"]}, "a.jpg is Zoë in row 0 and kian in row 1"),
        ({"path": ["a.jpg"], "label": ["Zoë"], "name": ["Zoë"]}, "the columns label and name might each be the identity"),
        ({"x": ["a.jpg"]}, r"found the columns x; expected path \(or"),
        ({"path": ["a.jpg"], "identity": ["x" * 200_000]}, "identity holds a text of 200,000 bytes; at most 65,535 are read"),
    ],
)
def test_parquet_lists_are_refused_in_a_line(tmp_path: Path, table: dict[str, list[object]], message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "list.parquet")
    with pytest.raises(ListError, match=message):
        find_photographs([tmp_path / "list.parquet"])


def test_whole_numbers_are_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "identity": [7, None]}), tmp_path / "list.parquet")
    assert [each.identity for each in find_photographs([tmp_path / "list.parquet"])] == ["7", None]


def test_a_parquet_list_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"path": [f"{number:>9}.jpg" for number in range(1000)]}), tmp_path / "list.parquet")
    monkeypatch.setattr(lists, "LARGEST", 8000)
    with pytest.raises(ListError, match="its columns unpack to 0 MiB, more than 0; cut it in pieces"):
        read_list(tmp_path / "list.parquet", [PATH])


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=5))
def test_what_onek_writes_it_reads(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("l") / "l.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        sheet = Sheet(stream, ["path", "identity"])
        for row in rows:
            sheet.write(row)
    read = read_list(path, [PATH, MAYBE_IDENTITY]).rows
    assert [(row.values["path"], row.values["identity"]) for row in read] == rows
    text = path.read_bytes().decode()
    assert [tuple(map(plainly, row)) for row in csv.reader(io.StringIO(text, newline=""))][1:] == rows


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''=1", "'", "'x", "x", ""])
def test_formulas_are_made_harmless_and_read_back(text: str) -> None:
    said = str(harmless(text))
    assert not said.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert plainly(said) == text


@given(st.binary(max_size=80), st.sampled_from([b"", PLAIN.encode(), codecs.BOM_UTF16_LE, codecs.BOM_UTF8]))
@pytest.mark.filterwarnings("ignore::engine.errors.ListGuess")
def test_any_bytes_give_rows_or_a_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, begin: bytes) -> None:
    path = tmp_path_factory.mktemp("l") / "l.csv"
    path.write_bytes(begin + data)
    for read in (read_names, lambda each: read_list(each, [PATH, IDENTITY])):
        with suppress(ListError):
            read(path)


def test_the_command_line_prints_guesses(tmp_path: Path) -> None:
    path = tmp_path / "leaving.csv"
    for text, guess in (
        ("Identity\nkian\n", "its first line, Identity, is taken for a heading"),
        ("a;name\n1;kian\n", "semicolons"),
    ):
        path.write_text(text)
        for _ in range(2):  # each time, not the first time alone
            answer = CliRunner().invoke(app, ["remove", "--from", str(path), "-g", str(tmp_path / "gone")])
            assert "no such gallery" in str(answer.exception)
            (line,) = answer.output.splitlines()
            assert line.startswith(f"{path}: ")
            assert guess in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
@pytest.mark.parametrize("text", ["\nkian\nyou, nes\n", 'identity,age\nkian,3\n"you, nes",4\n'])
def test_a_list_comes_out_of_a_pipe(tmp_path: Path, text: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(text,), daemon=True)
    writer.start()
    assert read_names(pipe) == ["kian", "you, nes"]
    writer.join()
