"""The tables of a catalogue, and its formats, the present one and those before it."""

from engine.storage import recent_rows as recent

FORMAT = 8
# Formats 1 and 2 knew no scores: only their rows are read. Formats 1 to 3 lack the tables of changes, which the first change
# adds. Up to format 4 an index was a file of FAISS's, which may name any other file, and FAISS opens that for writing: none is
# read, and every vector is searched. The first change of such a gallery seals it anew before. Up to format 5 templates did not
# say what they are worth; rows that were sealed then stay as they are. Up to format 6 there was one segment. Up to format 7
# whose the rows are was in the rows alone.
ROWS_ONLY, UNCHANGEABLE, UNINDEXED, UNLABELLED = (1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5, 6, 7)
TABLES = """
CREATE TABLE gallery (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
SEGMENTS = """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT,
    density_bytes INTEGER, density_sha256 TEXT, labels_bytes INTEGER, labels_sha256 TEXT
);
"""
# What formats 1 and 2 had in its place, and formats 3 to 7.
FORMER_SEGMENTS = (
    """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL
);
""",
    """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT
);
""",
    """
CREATE TABLE segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, templates INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_sha256 TEXT NOT NULL, vectors_bytes INTEGER NOT NULL, vectors_sha256 TEXT NOT NULL,
    index_bytes INTEGER NOT NULL, index_sha256 TEXT NOT NULL, operating TEXT,
    density_bytes INTEGER, density_sha256 TEXT
);
""",
)
# Beside `recent.TABLE`: rows that no search returns, numbered on from the base's to the tail's, under the name of the base; and
# what identities have been called since a segment was sealed, until the one behind it was, or until now.
CHANGES = """
CREATE TABLE IF NOT EXISTS removed (segment TEXT, row INTEGER, PRIMARY KEY (segment, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renamed (
    segment TEXT, identity TEXT, name TEXT NOT NULL, PRIMARY KEY (segment, identity)
) WITHOUT ROWID;
"""
# All that a catalogue may hold.
KNOWN = (TABLES, SEGMENTS, *FORMER_SEGMENTS, CHANGES, recent.TABLE, recent.FORMER_TABLE)
