"""A few kilobytes that would become gigabytes: refused before they are unpacked. Files as people have them are read."""

import contextlib
import io
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.encoders.projection import read_projection
from engine.errors import GalleryError, OnekError, TemplatesError
from engine.files.parquet_pages import pages
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.person import stored_about
from engine.templates.parquet import read_templates
from tests.support.galleries import people

_READ = """
import resource, sys, time
from pathlib import Path
from engine.errors import OnekError
from engine.templates.parquet import read_templates
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_templates(Path(sys.argv[1]))
    said = "taken"
except OnekError as error:
    said = str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10, time.perf_counter() - began, said)
"""
ROWS = 12_000


def vectors(rows: int = ROWS, dim: int = 4) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows * dim, np.float32)), dim).cast(pa.list_(pa.float32()))


def repeated(folder: Path, length: int, **options: object) -> Path:
    """One name, in every row."""
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), pa.array(["x" * length]))
    pq.write_table(pa.table({"vector": vectors(), "identity": names}), folder / "t.parquet", compression="zstd", **options)
    return folder / "t.parquet"


def wide(folder: Path, dim: int, rows: int) -> Path:
    pq.write_table(pa.table({"vector": vectors(rows, dim)}), folder / "t.parquet", compression="zstd")
    return folder / "t.parquet"


def archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "t.npz", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("vector.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 19, 128)})
        for _ in range(128):
            stream.write(bytes(1 << 21))
    return folder / "t.npz"


def prefixes(folder: Path) -> Path:
    """Each id is the one before and one letter more."""
    text = pa.array(["x" * 30_000 + str(row) for row in range(6000)])
    table = pa.table({"vector": vectors(6000), "identity": text})
    pq.write_table(table, folder / "t.parquet", use_dictionary=False, column_encoding={"identity": "DELTA_BYTE_ARRAY"})
    return folder / "t.parquet"


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a repeated name of 1 MB": (lambda folder: repeated(folder, 1_000_000), "a text of 1,000,000 bytes; at most 65,535 are read"),
    "a repeated name of 60 KB": (
        lambda folder: repeated(folder, 60_000),
        "bytes unpack to .* or more; at most 16,.* of this size",
    ),
    "pages of version 2": (lambda folder: repeated(folder, 60_000, data_page_version="2.0"), "bytes unpack to"),
    "names with much in common": (prefixes, "bytes unpack to"),
    "a million dimensions": (lambda folder: wide(folder, 1_000_000, 50), "bytes unpack to"),
    "70,000 dimensions": (lambda folder: wide(folder, 70_000, 2), "vectors of 70,000 dimensions; at most 65,536 are read"),
    "an archive of zeros": (archive, "bytes unpack to 268,435,.* or more"),
}


@pytest.mark.parametrize(("build", "message"), BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_before_they_go_off(tmp_path: Path, build: Callable[[Path], Path], message: str) -> None:
    path = build(tmp_path)
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True)
    added, took, said = done.stdout.strip().split(" ", 2)
    assert str(path) in said
    with pytest.raises(TemplatesError, match=message):
        read_templates(path)
    assert "\n" not in said
    assert int(added) < 100
    assert float(took) < 5


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
def test_files_as_people_have_them_are_read(tmp_path: Path, compression: str) -> None:
    """Few names for many rows, long paths, every codec and both kinds of pages."""
    made = people(0, 300, each=20)
    sources = pa.array([f"photographs/of/a/long/name/{row}.jpg" for row in range(len(made))])
    table = made.table.set_column(2, made.table.schema.field("source"), sources)
    for version in ("1.0", "2.0"):
        pq.write_table(table, tmp_path / "t.parquet", compression=compression, data_page_version=version, row_group_size=1000)
        assert read_templates(tmp_path / "t.parquet").table.equals(table)


def test_what_the_footer_says_is_not_believed(tmp_path: Path) -> None:
    """The sizes in the footer are made small; those in the headers of pages, which a reader goes by, are as they are."""
    path = repeated(tmp_path, 60_000)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = path.read_bytes()
    said = varint(chunk.total_uncompressed_size)
    assert data.count(said, len(data) // 2) >= 1
    at = data.index(said, len(data) // 2)
    path.write_bytes(data[:at] + varint(9, len(said)) + data[at + len(said) :])
    with pytest.raises(TemplatesError, match="bytes unpack to"):
        read_templates(path)


def varint(value: int, length: int | None = None) -> bytes:
    """A number as a Parquet footer has it, in so many bytes."""
    value, made = value << 1, bytearray()
    while value > 127 or (length is not None and len(made) < length - 1):
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def test_damaged_pages_are_one_line(tmp_path: Path) -> None:
    path = repeated(tmp_path, 100)
    whole = path.read_bytes()
    for at in range(4, 60):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        os.utime(path, ns=(at, at))
        with contextlib.suppress(TemplatesError):
            read_templates(path)


def test_a_page_is_never_longer_than_its_file(tmp_path: Path) -> None:
    """Memory for as much as a page's header says is asked for when it is read."""
    path = repeated(tmp_path, 10)
    whole, chunk = path.read_bytes(), pq.read_metadata(path).row_group(0).column(1)
    start, refused = chunk.dictionary_page_offset, 0
    for at in range(start, start + 16):
        # The largest number that a header can hold, in place of one of its bytes.
        path.write_bytes(whole[:at] + b"\xfe\xff\xff\xff\x0f" + whole[at + 1 :])
        with path.open("rb") as stream:
            try:
                assert all(page.at + page.packed <= len(whole) + 4 for page in pages(stream, chunk))
            except ValueError:
                refused += 1
    assert refused > 0


def test_a_projection_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    with pytest.raises(OnekError, match="bytes unpack to"):
        read_projection(archive(tmp_path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    gallery = Gallery.build(people(0, 20), tmp_path / "g", score="plain")
    gallery.close()
    return gallery.path


def test_rows_of_a_gallery_that_unpack_to_gigabytes(path: Path) -> None:
    rows = path / "segment-000001.parquet"
    made = pq.read_table(rows)
    big = pa.concat_tables([made] * 300)
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(big), np.int32)), pa.array(["x" * 60_000]))
    pq.write_table(big.set_column(1, "identity", names), rows, compression="zstd")
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute("UPDATE segments SET rows_bytes = ?", (rows.stat().st_size,))
    database.close()
    # Who is enrolled is known without the rows; whatever reads these refuses them.
    with Gallery.open(path) as gallery:
        assert len(gallery) == len(made)
        for read in (gallery.sources, gallery.compact):
            with pytest.raises(GalleryError, match=r"segment-000001\.parquet: .* bytes unpack to"):
                read()
        with pytest.raises(GalleryError, match=r"segment-000001\.parquet.* bytes unpack to"):
            stored_about(gallery.snapshot(), "id1")
    assert any("unpack to" in str(fault) for fault in check(path))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("IVF100000000,Flat", "asks for IVF100000000; the most that is made is IVF1048576"),
        ("HNSW1000000", "HNSW512"),
        ("PQ8x30", "x16"),
        ("IMI2x14,Flat", "MultiIndexQuantizer cannot be kept"),
        ("LSH100000", "LSH64"),
        ("OPQ" * 100, "300 characters; at most 200"),
    ],
)
def test_strings_of_a_foreign_gallery_take_no_memory(path: Path, factory: str, message: str) -> None:
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute("UPDATE gallery SET value = json_set(value, '$.factory', ?) WHERE key = 'asked'", (factory,))
    database.close()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(OnekError, match=message):
        Gallery.open(path).compact()
    with pytest.raises(OnekError, match=message):
        Gallery.merge([path], path.with_name("merged"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("key", ["calibration", "provenance", "scoring", "asked"])
def test_lists_in_lists_in_lists(path: Path, tmp_path: Path, key: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with sqlite3.connect(path / "catalogue.sqlite") as database:
        database.execute("INSERT OR REPLACE INTO gallery VALUES (?, ?)", (key, deep))
    database.close()
    with pytest.raises(GalleryError, match="its catalogue is damaged"):
        Gallery.open(path)
    table = people(0, 3).table
    metadata = {**table.schema.metadata, b"onek.provenance": json.dumps(json.loads("[" * 500 + "]" * 500)).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    with pytest.raises(TemplatesError, match="does not say how its templates were made"):
        read_templates(tmp_path / "t.parquet")


@pytest.mark.parametrize("kind", ["<f4", "|V1000000000", "<U100000"])
def test_arrays_that_claim_more_than_is_there(tmp_path: Path, kind: str) -> None:
    """NumPy would ask for what a header speaks of before it looks for it."""
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as packed, packed.open("vector.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": (1 << 38,)})
    for read in (read_templates, read_projection):
        with pytest.raises(OnekError, match="unpack to [0-9,]{15,} or more"):
            read(path)


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_whose_packing_is_damaged_are_one_line(tmp_path: Path, way: int) -> None:
    whole = io.BytesIO()
    np.save(whole, np.random.default_rng(0).normal(size=(20, 8)))
    with zipfile.ZipFile(tmp_path / "t.npz", "w", way) as archive:
        archive.writestr("vector.npy", whole.getvalue())
    data = (tmp_path / "t.npz").read_bytes()
    refused = 0
    for at in range(40, 200, 3):
        (tmp_path / "t.npz").write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
        try:
            read_templates(tmp_path / "t.npz")
        except TemplatesError:
            refused += 1
    assert refused > 40
