"""The lines of a text that somebody has: UTF-8, or UTF-16 with its mark. Nothing is guessed of letters: names in an unknown
encoding would be other names.
"""

import codecs
import io
import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ListError
from engine.files.object_storage import local, uri

LARGEST = 1 << 30
"""Bytes of text that a list may have."""
# Letters of one line at most, so that a list is read piece by piece whatever is in it.
_LONGEST_LINE = 1 << 23

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, counted from 1, without their ends. Raises `ListError`."""
    return ((number, line.rstrip("\r\n")) for number, line in whole_lines(path))


def whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text, counted from 1, with their ends, of Unix, Windows or old Macs."""
    with _opened(path) as stream:
        head = stream.peek(4)
        encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")
        errors = "strict" if encoding == "utf-16" else "surrogateescape"
        number = letters = 0
        try:
            text = io.TextIOWrapper(stream, encoding, errors, newline="")
            while line := text.readline(_LONGEST_LINE):
                number, letters = number + 1, letters + len(line)
                if letters > LARGEST:  # out of a pipe, whose size nobody knows before
                    raise _too_long(path)
                _refuse_bytes(path, number, line)
                yield number, line
        except UnicodeDecodeError as error:
            raise ListError(
                f"{uri(path)}: not the {encoding.upper()} that its first bytes say, after line {number}; save it as UTF-8"
            ) from error
        except OSError as error:
            raise _unreadable(path, error) from error


def _opened(path: Path) -> io.BufferedReader:
    try:
        stream = local(path).open("rb")
    except FileNotFoundError as error:
        raise ListError(f"{uri(path)}: no such file; expected a list") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if os.fstat(stream.fileno()).st_size > LARGEST:
        stream.close()
        raise _too_long(path)
    return stream


def _too_long(path: Path) -> ListError:
    return ListError(f"{uri(path)}: a list of more than {LARGEST >> 20} MiB; cut it in pieces")


def _unreadable(path: Path, error: OSError) -> ListError:
    return ListError(f"{uri(path)}: cannot be read as a list: {error.strerror or error}")


def _refuse_bytes(path: Path, number: int, line: str) -> None:
    if len(line) == _LONGEST_LINE:
        raise ListError(f"{uri(path)}: line {number} has {_LONGEST_LINE:,} letters or more; is it a list, one picture a line?")
    if "\0" in line:
        raise ListError(
            f"{uri(path)}: line {number} holds a NUL, which no text has (a workbook? UTF-16 without its mark?); "
            "save it as CSV in UTF-8"
        )
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        byte, before = ord(line[error.start]) & 0xFF, line[max(0, error.start - 20) : error.start]
        raise ListError(
            f"{uri(path)}: line {number} is not UTF-8 (byte 0x{byte:02x} after {before!r}); "
            "save it as UTF-8, which spreadsheets call CSV UTF-8"
        ) from error
