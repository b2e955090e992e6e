"""Names that do something to terminals, spreadsheets, paths, statements or pages, of any length."""

import csv
import io
import os
import random
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typer.testing import CliRunner

from benchmarks.attacks.case import DIM, OfGallery, Place, ask_all
from engine.cli.app import app
from engine.errors import OnekError
from engine.files.escaping import shown
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.parquet import read_templates

# By what they are called; a name is made of one to three of them.
FRAGMENTS = {
    "terminal": ["\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;http://x\x07", "\x9b31m", "\x08" * 9, "\r", "\x0c", "\x7f"],
    "direction": ["\u202e", "\u2066", "\u200f", "\u061c", "\u2069"],
    "unseen": ["\u200b", "\ufeff", "\u00ad", "\u2060", "\ue000", "\U000e0041", "\u115f"],
    "lines": ["\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b"],
    "formula": ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "'=1", "=HYPERLINK(1)", "\uff1d1"],
    "path": ["../../canary/precious", "/etc/passwd", "..", ".", "a/b", "C:\\x", "~", "con", "file:///x", "s3://b/k", "-g"],
    "nothing": ["\0", "", " ", "\u3000", "\t"],
    "markup": ["[red]", "[/]", "[link=http://x]", "<script>alert(1)</script>", "&amp;", "{{x}}", "%s%n", "${x}", ":smile:"],
    "statement": ["'); DROP TABLE recent; --", '"', "`id`", "$(id)", ";", "%00", "\\"],
    "broken": ["\ud800", "\udcff", "\udfff\ud800"],
    "combined": ["e" + "\u0301" * 400, "\U0001f469\u200d" * 40, "\ufdfa" * 9],
    "long": ["x" * 65_536, "x" * 1_000_000, "\U0001f600" * 100_000, "x" * 10_000_000],
}


class Names(OfGallery):
    """Each sort of name by each way in which one comes: a table, a list, a file's name, a command, a program, a gallery."""

    def lay(self, place: Place, chance: random.Random) -> str:
        self.copied(place, chance)
        sort = chance.choice(list(FRAGMENTS))
        (place.work / "sort").write_text(sort)
        return sort

    def ask(self, place: Place, chance: random.Random) -> None:
        sorts = [(place.work / "sort").read_text(), *chance.choices(list(FRAGMENTS), k=chance.choice([0, 1, 2]))]
        name = "".join(chance.choice(FRAGMENTS[sort]) for sort in chance.sample(sorts, len(sorts)))
        ways = [_by_program, _by_command, _by_list, _by_table, _by_file, _by_gallery, _by_arrays]
        path = place.work / "g"
        around = sorted(place.work.iterdir())
        ask_all([lambda: chance.choice(ways)(path, name), lambda: _tell(path)])
        left = {each.name for each in place.work.iterdir()} - {each.name for each in around} - {"photographs", "table"}
        if left:
            raise AssertionError(f"a name became a file: {sorted(left)[:3]}")


def _one(name: str) -> Templates:
    return Templates.from_vectors(np.ones((1, DIM)), [name], [f"{name[:99]}#0"])


def _by_program(path: Path, name: str) -> None:
    gallery = Gallery.open(path)
    gallery.enroll(_one(name))
    gallery.rename("id1", f"{name}!")
    gallery.identify(np.ones((1, DIM)), threshold=0.5)
    gallery.remove([f"{name}!"])
    gallery.close()


def _by_arrays(path: Path, name: str) -> None:
    file = path.with_name("arrays.npz")
    np.savez(
        file, vector=np.ones((2, DIM), np.float32), identity=np.array([name[:100_000], "b"]), template_id=np.array(["1", "2"])
    )
    try:
        Gallery.open(path).enroll(read_templates(file))
    finally:
        file.unlink()


def _by_command(path: Path, name: str) -> None:
    if "\0" in name or len(name) > 100_000:  # no command line holds these
        return
    given = os.fsdecode(os.fsencode(name.encode("utf-8", "surrogatepass")))
    _run("rename", "-g", str(path), "--", "id3", given)
    _run("rename", "-g", str(path), "--", given, "id3")
    _run("remove", "-g", str(path), "--", given)


def _by_list(path: Path, name: str) -> None:
    folder = path.with_name("photographs")
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.jpg")
    with (folder / "list.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as stream:
        csv.writer(stream).writerows([["path", "identity"], ["a.jpg", name], ["absent.jpg", "kian"]])
    _run("embed", str(folder / "list.csv"), "--out", str(folder / "t.parquet"))
    (folder / "names.txt").write_bytes(f"{name}\n".encode("utf-8", "surrogatepass"))
    _run("remove", "-g", str(path), str(folder / "names.txt"))


def _by_table(path: Path, name: str) -> None:
    folder = path.with_name("table")
    folder.mkdir()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(2 * DIM, np.float32)), DIM)
    held = pa.array([name.encode("utf-8", "surrogatepass"), b"b"], pa.binary())
    pq.write_table(pa.table({"vector": vectors, "identity": held, "source": held}), folder / "t.parquet")
    _run("enroll", "-g", str(path), str(folder / "t.parquet"))


def _by_file(path: Path, name: str) -> None:
    folder = path.with_name("photographs")
    given = os.fsencode(name.encode("utf-8", "surrogatepass")).replace(b"/", b"_").replace(b"\0", b"_")[:200]
    if given in (b"", b".", b".."):
        return
    whose = os.fsencode(folder) + b"/" + given
    Path(os.fsdecode(whose)).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(Path(os.fsdecode(whose), "a.jpg"))
    _run("embed", str(folder), "--out", str(folder / "t.parquet"), "--labels", "folder")


def _by_gallery(path: Path, name: str) -> None:
    """As somebody writes it who hands over a gallery: nothing of ours has looked at it."""
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as database, database:
        database.execute(
            "INSERT INTO renamed VALUES ('segment-000001', 'id9', CAST(? AS TEXT))", (name.encode("utf-8", "surrogatepass"),)
        )
    (path / "catalogue.sha256").unlink(missing_ok=True)


def _tell(path: Path) -> None:
    """What commands say of a gallery, and the table of who is enrolled."""
    listed = _run("list", str(path))
    csv.field_size_limit(1 << 30)
    for row in csv.reader(io.StringIO(listed, newline="")):
        for cell in row:
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                raise AssertionError(f"a spreadsheet would run {cell!r}"[:300])
    _run("info", str(path))
    _run("check", str(path))


def _run(*arguments: str) -> str:
    """What a command says, of which nothing may do anything to a terminal."""
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, OnekError | SystemExit):
        raise done.exception
    said = done.output if arguments[0] != "list" else ""
    if isinstance(done.exception, OnekError):
        said += shown(str(done.exception))
    for each in said:
        if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") and each not in "\n\t":
            raise AssertionError(f"{arguments[0]} shows {each!r}: {said[:300]!r}")
    return done.output
