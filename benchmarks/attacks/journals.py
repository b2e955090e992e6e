"""Rollback journals of SQLite that name a file elsewhere: whoever rolls one back removes that file."""

import struct
from pathlib import Path

_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_SECTOR, _PAGE = 512, 4096
# No page is kept at this byte, which SQLite locks; its number says that what follows is a name.
_PENDING = 0x40000000


def journal_of(database: Path, named: Path) -> bytes:
    """A journal of a database in which nothing is to be rolled back, but whose whole transaction is said to be `named`
    (https://www.sqlite.org/fileformat2.html#the_rollback_journal).
    """
    name = bytes(named)
    head = _MAGIC + struct.pack(">5I", 0, 0, database.stat().st_size // _PAGE, _SECTOR, _PAGE)
    tail = struct.pack(">I", _PENDING // _PAGE + 1) + name + struct.pack(">2I", len(name), sum(name)) + _MAGIC
    return head.ljust(_SECTOR, b"\0") + tail
