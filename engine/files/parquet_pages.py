"""The pages of a Parquet file as their headers describe them, without decoding any: what a file unpacks to is in no other place.

Sums in the file's footer may say anything; a reader goes by the headers. These are Thrift's compact protocol
(https://github.com/apache/parquet-format, `PageHeader`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow.parquet as pq

DICTIONARY = 2
# How a page's values are written: as places in the dictionary, or each as what it shares with the one before, and the rest.
BY_NUMBER, BY_PREFIX = (2, 8), 7
# A header is short, but for a page's least and largest values; longer ones are taken for an attack.
_SHORT, _LONGEST = 1 << 10, 1 << 20
_DEEPEST = 8


@dataclass(frozen=True)
class Page:
    """`kind` is `DICTIONARY` or another; `values` it holds, nulls too, written as `encoding` says; its bytes lie `at` a place, so
    many of them `packed`.
    """

    kind: int
    values: int
    unpacked: int
    at: int
    packed: int
    encoding: int | None


def pages(stream: IO[bytes], chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """The pages of one column of a row group, in their order.

    Raises:
        ValueError: a header is none.
    """
    if not chunk.num_values:
        return  # no reader looks for pages
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    end, size = at + chunk.total_compressed_size, stream.seek(0, os.SEEK_END)
    while at < end:
        fields, length = _header(stream, at)
        said: dict[int, Any] = next((fields[field] for field in (5, 7, 8) if isinstance(fields.get(field), dict)), {})
        kind, unpacked, packed, values = *(_count(fields.get(field)) for field in (1, 2, 3)), _count(said.get(1, 0))
        if at + length + packed > size:
            raise ValueError(f"a page of {packed:,} bytes begins at {at:,} of {size:,}")
        yield Page(kind, values, unpacked, at + length, packed, said.get(4 if 8 in fields else 2))
        at += length + packed


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"a page's header says {str(value)[:20]} where a number belongs")
    return value


def _header(stream: IO[bytes], at: int) -> tuple[dict[int, Any], int]:
    """The fields of the header at a place, and how many bytes it has."""
    for size in (_SHORT, _LONGEST):
        stream.seek(at)
        reader = _Reader(stream.read(size))
        try:
            fields = reader.struct()
        except IndexError:
            continue
        return fields, reader.at
    raise ValueError("a page without a header")


class _Reader:
    """Thrift's compact protocol. Raises `IndexError` where the bytes end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Values by the numbers of their fields."""
        fields: dict[int, Any] = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._signed()
            fields[number] = self._value(byte & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("a page's header is too deep")
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._unsigned())
        if kind in (9, 10):
            size = self._byte()
            count = size >> 4 if size >> 4 < 15 else self._unsigned()
            # Of single bytes that stand for true and false too: each takes one.
            return [self._value(3 if size & 15 in (1, 2) else size & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"a page's header has a value of kind {kind}")

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a page's header holds a number that is too large")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
