"""The file that says whose the rows of a segment are: plain arrays, used where they lie in the mapped file.

Who opens a gallery needs no more of its rows than that, and reading it from the rows takes a second for each million. The file
may be anybody's: whatever is used as an address is checked, and every text.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.errors import GalleryError
from engine.files.budgets import MOST_TEXT
from engine.storage.segments.labels import Labels
from indexes.files import checked_index, write_index

_KIND = "labels"


def save_labels(path: Path, labels: Labels) -> None:
    """Write the labels of a segment's rows."""
    arrays = {"codes": labels.codes, "quality": labels.quality}
    texts = {"names": pa.chunked_array([labels.identities], pa.string()), "ids": labels.template_ids}
    chunks = {name: _whole(column) for name, column in texts.items()}
    offsets = {f"{name}.{at}.offsets": _offsets(chunk) for name, column in chunks.items() for at, chunk in enumerate(column)}
    bytes_ = {f"{name}.{at}": _bytes(chunk) for name, column in chunks.items() for at, chunk in enumerate(column)}
    # The widest numbers come first, so that each array begins where its numbers may.
    write_index(path, _KIND, {}, {**arrays, **offsets, **bytes_})


def map_labels(path: Path, count: int) -> Labels:
    """The labels that `save_labels` wrote of `count` rows, memory-mapped.

    Raises:
        IndexFileError: it is no such file, or cut off or damaged.
        GalleryError: it does not say of `count` rows whose they are, or a text is none.
    """
    with checked_index(path) as (kind, _, arrays):
        return _labels(path, kind, arrays, count)


def _labels(path: Path, kind: str, arrays: dict[str, np.ndarray], count: int) -> Labels:
    codes, quality = (_numbers(arrays, name, type_) for name, type_ in (("codes", "<i4"), ("quality", "<f4")))
    try:
        names, ids = _texts(arrays, "names"), _texts(arrays, "ids")
    except pa.ArrowInvalid as error:
        raise GalleryError(f"{path}: its names or ids are damaged: {' '.join(str(error).split())}") from error
    if kind != _KIND or not len(codes) == len(quality) == len(ids) == count or len(names.chunks) != 1:
        raise GalleryError(
            f"{path}: {kind[:60]} of {len(codes)} rows, {len(ids)} ids and {len(names)} names; expected labels of {count} rows"
        )
    if codes.min() < 0 or codes.max() >= len(names) or not np.bincount(codes, minlength=len(names)).all():
        raise GalleryError(f"{path}: its numbers from {codes.min()} to {codes.max()} are not those of {len(names)} identities")
    return Labels(codes, names.chunk(0), ids, quality)


def _whole(column: pa.ChunkedArray) -> list[pa.StringArray]:
    """In one chunk, or in as few as 2 GiB of text allow."""
    whole = column.combine_chunks()
    return whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]


def _offsets(chunk: pa.StringArray) -> np.ndarray:
    """Where each text begins in `_bytes`, and the last one ends: int32 (n + 1,)."""
    if not len(chunk):
        return np.zeros(1, np.int32)
    offsets = np.frombuffer(chunk.buffers()[1], np.int32, len(chunk) + 1, 4 * chunk.offset)
    return offsets - offsets[0]


def _bytes(chunk: pa.StringArray) -> np.ndarray:
    """The texts (n,) of a chunk in UTF-8, one behind the other."""
    if not len(chunk) or chunk.buffers()[2] is None:
        return np.empty(0, np.uint8)
    offsets = np.frombuffer(chunk.buffers()[1], np.int32, len(chunk) + 1, 4 * chunk.offset)
    return np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]


def _numbers(arrays: dict[str, np.ndarray], name: str, type_: str) -> np.ndarray:
    """One of the arrays (n,); one of no numbers where there is none of this type."""
    found = arrays.get(name)
    return np.empty(0, type_) if found is None or found.ndim != 1 or found.dtype.str != type_ else found


def _texts(arrays: dict[str, np.ndarray], name: str) -> pa.ChunkedArray:
    """The texts of a column (n,). Raises `pyarrow.ArrowInvalid` where they are none."""
    chunks: list[pa.StringArray] = []
    while f"{name}.{len(chunks)}" in arrays:
        at = f"{name}.{len(chunks)}"
        offsets, bytes_ = _numbers(arrays, f"{at}.offsets", "<i4"), _numbers(arrays, at, "|u1")
        chunk = pa.StringArray.from_buffers(max(0, len(offsets) - 1), pa.py_buffer(offsets), pa.py_buffer(bytes_))
        chunk.validate(full=True)
        if (longest := int(np.diff(offsets).max(initial=0))) > MOST_TEXT:
            raise pa.ArrowInvalid(f"a text of {longest:,} bytes; at most {MOST_TEXT:,} are read")
        chunks.append(chunk)
    return pa.chunked_array(chunks, pa.string())
