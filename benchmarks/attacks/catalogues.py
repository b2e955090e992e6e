"""Catalogues with a schema that is not ours, values that ours never has, and logs and journals beside them."""

import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from benchmarks.attacks.case import OfGallery, Place

_TABLES = ("gallery", "segments", "removed", "renamed", "recent")
_RECENT = ("number", "template_id", "identity", "source", "face", "box", "quality", "detection", "reasons", "checksum")
_KEYS = ("format", "id", "version", "provenance", "asked", "scoring", "calibration", "measured", "created")
_ENDLESS = "WITH RECURSIVE r(a, b) AS (SELECT 'format', '5' UNION ALL SELECT a, b FROM r) SELECT a, b FROM r"
# What is done to a catalogue, by what it is called; `{...}` are chosen anew for each.
STATEMENTS = {
    "trigger that deletes": "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {other}; END",
    "trigger that copies": (
        "CREATE TABLE kept AS SELECT * FROM {other}; "
        "CREATE TRIGGER t AFTER DELETE ON {table} BEGIN INSERT INTO kept SELECT * FROM {other}; END"
    ),
    "trigger of a temporary name": "CREATE TRIGGER [sqlite_x] AFTER UPDATE ON {table} BEGIN SELECT 1; END",
    "view for a table": "ALTER TABLE {table} RENAME TO x; CREATE VIEW {table} AS SELECT * FROM x",
    "endless view": f"ALTER TABLE {{table}} RENAME TO x; CREATE VIEW {{table}} AS {_ENDLESS}",
    "view of files": "CREATE VIEW more AS SELECT readfile('{path}'), load_extension('{path}'), writefile('{path}', 'x')",
    "generated column": "ALTER TABLE {table} ADD COLUMN more TEXT AS (hex({number}))",
    "stored default": "ALTER TABLE {table} ADD COLUMN more TEXT DEFAULT 'x'",
    "index on an expression": "CREATE INDEX more ON {table}(hex({number}))",
    "partial index": "CREATE INDEX more ON {table}(1) WHERE {number} < 0",
    "virtual table": "CREATE VIRTUAL TABLE more USING {module}",
    "shadow table": "CREATE VIRTUAL TABLE more USING fts5(a); INSERT INTO more_config VALUES ('{path}', zeroblob({small}))",
    "check": "CREATE TABLE more (a CHECK (a > {number}))",
    "reference": "CREATE TABLE more (a REFERENCES {table} ON DELETE CASCADE)",
    "name of an attached file": "CREATE TABLE [main.{table}] (a); CREATE TABLE [{path}] (a)",
    "statistics": "ANALYZE",
    "schema written by hand": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'TEXT', '{string}') WHERE name = '{table}'"
    ),
    "root page of another": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = {page} WHERE name = '{table}'; "
        "PRAGMA writable_schema = RESET"
    ),
    "no such table": "DROP TABLE {table}",
    "nothing in a table": "DELETE FROM {table}",
    "number for a value": "UPDATE gallery SET value = '{number}' WHERE key = '{key}'",
    "deep value": "UPDATE gallery SET value = '{deep}' WHERE key = '{key}'",
    "blob for a text": "UPDATE gallery SET value = x'ff{hex}' WHERE key = '{key}'",
    "huge value": "UPDATE gallery SET value = {huge} WHERE key = '{key}'",
    "huge value in a row": "UPDATE {table} SET {column} = {huge}",
    "many rows": (
        "WITH RECURSIVE r(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM r WHERE a < {rows}) INSERT OR IGNORE INTO removed "
        "SELECT 'segment-000001', a FROM r"
    ),
    "many renamed": (
        "WITH RECURSIVE r(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM r WHERE a < {rows}) INSERT OR IGNORE INTO renamed "
        "SELECT 'segment-000001', 'id' || a, 'id' || (a + 1) FROM r"
    ),
    "factory": "UPDATE gallery SET value = json_set(value, '$.index', 'factory', '$.factory', '{string}') WHERE key = 'asked'",
    "dimensions": "UPDATE gallery SET value = json_set(value, '$.dim', {number}) WHERE key = 'provenance'",
    "encoder": (
        "UPDATE gallery SET value = json_set(value, '$.encoder', '{path}', '$.projection', '{path}', '$.weights', '{path}') "
        "WHERE key = 'provenance'"
    ),
    "scoring": "UPDATE gallery SET value = json_set(value, '$.fuse', {number}, '$.neighbours', {number}) WHERE key = 'scoring'",
    "calibration": "UPDATE gallery SET value = json_set(value, '$.{tail}', json('{tails}')) WHERE key = 'calibration'",
    "segment elsewhere": "UPDATE segments SET name = '{path}'",
    "segment of another": "INSERT INTO segments SELECT 'segment-000002', kind, templates, rows_bytes, rows_sha256, "
    "vectors_bytes, vectors_sha256, index_bytes, index_sha256, operating, density_bytes, density_sha256, labels_bytes, "
    "labels_sha256 FROM segments",
    "kind": "UPDATE segments SET kind = '{path}'",
    "templates": "UPDATE segments SET templates = {number}",
    "operating": "UPDATE segments SET operating = '{deep}'",
    "sizes": "UPDATE segments SET {sizes} = {number}",
    "removed": "INSERT INTO removed VALUES ('segment-000001', {number})",
    "renamed": "INSERT INTO renamed VALUES ('segment-000001', 'id1', '{path}')",
    "recent": "UPDATE recent SET {recent} = {number}",
    "recent vector": "UPDATE recent SET vector = zeroblob({small})",
    "marks of the file": "PRAGMA user_version = {small}; PRAGMA application_id = {small}",
    "pages of another size": "PRAGMA journal_mode = DELETE; PRAGMA page_size = {pages}; VACUUM",
    "another encoding": "PRAGMA encoding = 'UTF-16le'; VACUUM",
}
NUMBERS = (-(1 << 63), -1, 0, 1, 7, 255, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1)
_FACTORIES = (
    "IVF99999999,Flat",
    "HNSW999999",
    "PQ8x30",
    "IMI4x16,Flat",
    "LSH",
    "(",
    "IVF8(" * 9,
    "LSQ8x8",
    "PQ4x4",
    "SQ8",
    "NSG64",
)
_FILES = ("rows", "vectors", "index", "density", "labels")
_MODULES = ("rtree(id, a, b)", "fts5(a)", "fts4(a)", "fts5vocab(main, x, row)", "dbstat", "sqlite_dbpage")


class Catalogues(OfGallery):
    """One to two changes to a catalogue, its digest there or not; or a file beside it that SQLite goes by."""

    def lay(self, place: Place, chance: random.Random) -> str:
        path = self.copied(place, chance)
        if chance.random() < 0.5:
            (path / "catalogue.sha256").unlink(missing_ok=True)
        if chance.random() < 0.1:
            return _beside(path, place, chance)
        done = "nothing that SQLite takes"
        with closing(sqlite3.connect(path / "catalogue.sqlite")) as database:
            for _ in range(chance.choice([1, 1, 2])):
                sort = chance.choice(list(STATEMENTS))
                try:
                    database.executescript(STATEMENTS[sort].format(**_values(place, chance)))
                    done = sort
                except sqlite3.Error:
                    database.rollback()
        return done


def _values(place: Place, chance: random.Random) -> dict[str, object]:
    deep = chance.choice([1, 900, 90_000])
    size = chance.choice([1_000_000] * 12 + [30_000_000] * 3 + [250_000_000])
    return {
        "table": chance.choice(_TABLES),
        "other": chance.choice(_TABLES),
        "number": chance.choice(NUMBERS),
        "small": chance.choice([0, 4, 63, 64, 65, 4096]),
        "key": chance.choice(_KEYS),
        "deep": "[" * deep + "]" * deep,
        "hex": "00" * chance.randrange(40),
        "huge": chance.choice([f"zeroblob({size})", f"replace(hex(zeroblob({size // 2})), '0', '9')"]),
        "rows": chance.choice([1000, 300_000]),
        "string": chance.choice(_FACTORIES),
        "module": chance.choice(_MODULES),
        "page": chance.choice([0, 1, 2, 3, 5, 1 << 30]),
        "pages": chance.choice([512, 1024, 65536]),
        "path": chance.choice([f"../../{place.canary.name}/precious", str(place.canary / "precious"), "s3://bucket/net.onnx"]),
        "column": chance.choice(["key", "name", "segment", "identity", "template_id", "source", "vector"]),
        "sizes": chance.choice([f"{file}_{what}" for file in _FILES for what in ("bytes", "sha256")]),
        "recent": chance.choice(
            ["number", "template_id", "identity", "source", "face", "box", "quality", "detection", "reasons", "checksum"]
        ),
        "tail": chance.choice(["tail", "pairs", "tail.scores", "tail.searches", "identities", "source"]),
        "tails": chance.choice(["[]", "{}", "null", "[1e308]", "-1", '"x"', "[[[]]]"]),
    }


def _beside(path: Path, place: Place, chance: random.Random) -> str:
    """A log or journal that SQLite takes for its own."""
    database = path / "catalogue.sqlite"
    sort = chance.choice(["journal that names a file", "log", "index of a log", "journal"])
    if sort == "journal that names a file":
        (path / "catalogue.sqlite-journal").write_bytes(journal_of(database, place.canary / "precious"))
    elif sort == "journal":
        (path / "catalogue.sqlite-journal").write_bytes(chance.randbytes(2000))
    elif sort == "index of a log":
        (path / "catalogue.sqlite-shm").write_bytes(struct.pack("<3I", 3_007_000, 0, 1) + chance.randbytes(32_756))
        (path / "catalogue.sqlite-wal").write_bytes(_log(path, chance))
    else:
        (path / "catalogue.sqlite-wal").write_bytes(_log(path, chance))
    return sort


def _log(path: Path, chance: random.Random) -> bytes:
    """What a log of a foreign change holds, whole or cut; as SQLite writes it, so that it is taken."""
    copy = path.with_name("log.sqlite")
    copy.write_bytes((path / "catalogue.sqlite").read_bytes())
    database = sqlite3.connect(copy)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript("CREATE TRIGGER t AFTER INSERT ON recent BEGIN DELETE FROM gallery; END")
    data = copy.with_name("log.sqlite-wal").read_bytes()
    database.close()
    for file in path.parent.glob("log.sqlite*"):
        file.unlink()
    return data[: chance.choice([len(data), len(data), len(data) - 1, 40])]


_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_SECTOR, _PAGE = 512, 4096
# No page is kept at this byte, which SQLite locks; its number says that what follows is a name.
_PENDING = 0x40000000


def journal_of(database: Path, named: Path) -> bytes:
    """A rollback journal of a database in which nothing is to be rolled back, but whose whole transaction is said to be `named`:
    whoever rolls it back removes that file (https://www.sqlite.org/fileformat2.html#the_rollback_journal).
    """
    name = bytes(named)
    head = _MAGIC + struct.pack(">5I", 0, 0, database.stat().st_size // _PAGE, _SECTOR, _PAGE)
    tail = struct.pack(">I", _PENDING // _PAGE + 1) + name + struct.pack(">2I", len(name), sum(name)) + _MAGIC
    return head.ljust(_SECTOR, b"\0") + tail
