"""Pickles of other tools, read without running anything: what is no plain value in them is refused.

Python's own reader calls whatever a pickle names. This one calls nothing: it knows lists, tuples, dicts, texts, bytes, numbers
and NumPy's arrays of numbers, which it puts together itself out of their bytes, and each name of anything else ends it.

A `pickle.Unpickler` whose `find_class` knows these names alone would be a third of this, and is not safe: nine bytes (a place in
the memo of 2^28, a text of 4 GiB) have Python 3.11's take gigabytes before it looks whether they are there. To look through every
opcode before, with `pickletools.genops`, takes three times as long as this reader does for all of it.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from engine.errors import TemplatesError

# NumPy's kinds of numbers and of texts that arrays may hold; of objects, an array is a list.
_KINDS = re.compile(r"f[248]|[iu][1248]|[US][1-9][0-9]{0,3}")
_OBJECTS = "O8"
# What a pickle may name, and what that is to us. NumPy moved its modules.
_NAMES = {
    ("_codecs", "encode"): "bytes",
    ("numpy", "ndarray"): "array type",
    ("numpy", "dtype"): "kind",
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "array" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "number" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "array of bytes" for core in ("core", "_core")},
}
# How many bytes say how long what follows is.
_TEXTS = {b"X": 4, b"\x8c": 1, b"\x8d": 8}
_BYTES = {b"B": 4, b"C": 1, b"\x8e": 8, b"\x96": 8, b"T": 4, b"U": 1}
_WHOLE = {b"J": "<i", b"K": "<B", b"M": "<H"}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_PUT = {b"q": 1, b"r": 4}
_GET = {b"h": 1, b"j": 4}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
# Floats behind each other are read at once, in so many at the most.
_RUN = 4096


@dataclass(frozen=True)
class _Named:
    """Something that the pickle names, and that we know."""

    what: str


class _Kind:
    """A kind of numbers on its way: its letters, and in which order its bytes are."""

    def __init__(self, letters: str) -> None:
        self.letters, self.order = letters, "="

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.letters}" if self.order in ("<", ">") else self.letters)


class _Array:
    """An array on its way: what it is, once its bytes have come."""

    value: Any = None


class _Refused(Exception):
    """What is wrong with a pickle."""


def plain_value(data: bytes, name: str) -> Any:
    """The lists, tuples, dicts, texts, bytes, numbers and arrays of numbers that a pickle holds.

    No text is longer, no array larger than the bytes that are there; what the pickle names twice is one value.

    Args:
        data: the pickle.
        name: what it is called in messages.

    Raises:
        TemplatesError: it holds something else, or is no pickle; names what it is.
    """
    try:
        return _Reader(data).value()
    except _Refused as refused:
        raise TemplatesError(
            f"{name}: {refused}; expected lists, dicts, texts, numbers and NumPy arrays, which need no code to be read"
        ) from refused
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise TemplatesError(f"{name}: not a pickle, or a damaged one ({type(error).__name__}: {error})") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def value(self) -> Any:
        while (code := self._take(1)) != b".":
            if code in _ONE_BY_ONE:
                _ONE_BY_ONE[code](self)
            else:
                self._push(code)
        if len(self._stack) != 1 or isinstance(found := self._stack[0], _Named | _Kind | _Array):
            raise ValueError("it ends too early")
        return found

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("it ends too early")
        self._at += count
        return taken

    def _long(self, width: int) -> bytes:
        return self._take(int.from_bytes(self._take(width), "little"))

    def _line(self) -> bytes:
        end = self._data.index(b"\n", self._at)
        line, self._at = self._data[self._at : end], end + 1
        return line

    def _push(self, code: bytes) -> None:
        """What stands for itself."""
        stack = self._stack
        if code in _TEXTS:
            stack.append(self._long(_TEXTS[code]).decode("utf-8", "surrogatepass"))
        elif code in _BYTES:
            stack.append(self._long(_BYTES[code]))
        elif code in _WHOLE:
            stack.append(struct.unpack(_WHOLE[code], self._take(struct.calcsize(_WHOLE[code])))[0])
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _PUT:
            self._memo[int.from_bytes(self._take(_PUT[code]), "little")] = stack[-1]
        elif code in _GET:
            self._again(int.from_bytes(self._take(_GET[code]), "little"))
        elif code in _TUPLES:
            count = _TUPLES[code]
            if len(stack) < count:
                raise ValueError("it ends too early")
            stack[-count:] = [tuple(stack[-count:])]
        else:
            raise _Refused(f"it is no pickle, or asks for {code!r} at byte {self._at - 1}, which is more than plain values")

    def _floats(self) -> None:
        """A float, and all that follow it one behind the other."""
        start = self._at - 1
        room = min(_RUN, (len(self._data) - start) // 9)
        if not room:
            raise ValueError("it ends too early")
        codes = np.frombuffer(self._data, np.uint8, room * 9, start).reshape(room, 9)
        others = np.flatnonzero(codes[:, 0] != ord("G"))
        count = int(others[0]) if len(others) else room
        self._stack += np.ascontiguousarray(codes[:count, 1:]).view(">f8").ravel().tolist()
        self._at = start + 9 * count

    def _again(self, number: int) -> None:
        found = self._memo[number]
        self._stack.append(found.value if isinstance(found, _Array) and found.value is not None else found)

    def _since_mark(self) -> list[Any]:
        at = self._marks.pop()
        since = self._stack[at:]
        del self._stack[at:]
        return since

    def _appends(self, values: Sequence[Any]) -> None:
        if not isinstance(target := self._stack[-1], list):
            raise ValueError("values for what is no list")
        target.extend(values)

    def _items(self, values: Sequence[Any]) -> None:
        if not isinstance(target := self._stack[-1], dict) or len(values) % 2:
            raise ValueError("values for what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | bytes):
                raise _Refused(f"a {type(key).__name__} as a key")
            target[key] = value

    def _name(self, module: object, name: object) -> None:
        known = _NAMES.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if known is None:
            raise _Refused(f"it names {str(module)[:80]}.{str(name)[:80]}, and nothing that a pickle names is run here")
        self._stack.append(_Named(known))

    def _reduce(self) -> None:
        given, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, _Named) or not isinstance(given, tuple):
            raise ValueError("a call of what is no name")
        self._stack.append(_MAKERS[called.what](*given))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Kind) and isinstance(state, tuple) and len(state) > 1:
            target.order = _text(state[1])
        elif isinstance(target, _Array) and target.value is None and isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, by_columns, content = state
            target.value = self._stack[-1] = _filled(shape, kind, bool(by_columns), content)
        else:
            raise _Refused("it says the state of something that is no NumPy array")


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _kind(letters: object, *_: object) -> _Kind:
    if (said := _text(letters)) != _OBJECTS and not _KINDS.fullmatch(said):
        raise _Refused(f"an array of {said[:20]!r}")
    return _Kind(said)


def _filled(shape: object, kind: object, by_columns: bool, content: object) -> Any:
    """An array of numbers, or the list that an array of objects is."""
    if not isinstance(kind, _Kind) or not isinstance(shape, tuple) or not all(isinstance(each, int) for each in shape):
        raise ValueError("an array without shape and kind")
    if kind.letters == _OBJECTS:
        if len(shape) != 1 or not isinstance(content, list):
            raise _Refused("an array of objects in several dimensions")
        return content
    if not isinstance(content, bytes) or min(shape, default=1) < 0 or prod(shape) * kind.dtype().itemsize != len(content):
        raise ValueError("an array of another size than its bytes")
    return np.frombuffer(content, kind.dtype()).reshape(shape, order="F" if by_columns else "C")


def _number(kind: object, content: object) -> Any:
    if isinstance(kind, _Kind) and kind.letters == _OBJECTS:
        raise ValueError("an object as a number")
    return _filled((1,), kind, False, content)[0].item()


def _encoded(text: object, encoding: object = "latin1") -> bytes:
    """How bytes stand in pickles that Python 2 can read."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes that are no text")
    return text.encode("latin1")


_MAKERS: dict[str, Callable[..., Any]] = {
    "kind": _kind,
    "array": lambda *_: _Array(),
    "array of bytes": lambda content, kind, shape, order: _filled(shape, kind, order == "F", content),
    "number": _number,
    "bytes": _encoded,
}


def _whole_line(reader: _Reader) -> None:
    line = reader._line()
    reader._stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.rstrip(b"L")))


def _whole_bytes(width: int) -> Callable[[_Reader], None]:
    return lambda reader: reader._stack.append(int.from_bytes(reader._long(width), "little", signed=True))


def _stack_global(reader: _Reader) -> None:
    name, module = reader._stack.pop(), reader._stack.pop()
    reader._name(module, name)


def _tuple(reader: _Reader) -> None:
    reader._stack.append(tuple(reader._since_mark()))


def _appends_one(reader: _Reader) -> None:
    reader._appends([reader._stack.pop()])


def _sets_one(reader: _Reader) -> None:
    value, key = reader._stack.pop(), reader._stack.pop()
    reader._items([key, value])


def _dict(reader: _Reader) -> None:
    values = reader._since_mark()
    reader._stack.append({})
    reader._items(values)


# By what the opcode is called in `pickletools`.
_ONE_BY_ONE: dict[bytes, Callable[[_Reader], object]] = {
    b"G": _Reader._floats,  # BINFLOAT
    b"F": lambda reader: reader._stack.append(float(reader._line())),  # FLOAT
    b"I": _whole_line,  # INT
    b"L": _whole_line,  # LONG
    b"\x8a": _whole_bytes(1),  # LONG1
    b"\x8b": _whole_bytes(4),  # LONG4
    b"V": lambda reader: reader._stack.append(reader._line().decode("raw_unicode_escape")),  # UNICODE
    b"\x80": lambda reader: reader._take(1),  # PROTO
    b"\x95": lambda reader: reader._take(8),  # FRAME
    b"(": lambda reader: reader._marks.append(len(reader._stack)),  # MARK
    b"]": lambda reader: reader._stack.append([]),  # EMPTY_LIST
    b"}": lambda reader: reader._stack.append({}),  # EMPTY_DICT
    b")": lambda reader: reader._stack.append(()),  # EMPTY_TUPLE
    b"l": lambda reader: reader._stack.append(reader._since_mark()),  # LIST
    b"t": _tuple,  # TUPLE
    b"d": _dict,  # DICT
    b"a": _appends_one,  # APPEND
    b"e": lambda reader: reader._appends(reader._since_mark()),  # APPENDS
    b"s": _sets_one,  # SETITEM
    b"u": lambda reader: reader._items(reader._since_mark()),  # SETITEMS
    b"p": lambda reader: reader._memo.__setitem__(int(reader._line()), reader._stack[-1]),  # PUT
    b"g": lambda reader: reader._again(int(reader._line())),  # GET
    b"\x94": lambda reader: reader._memo.__setitem__(len(reader._memo), reader._stack[-1]),  # MEMOIZE
    b"c": lambda reader: reader._name(reader._line().decode(), reader._line().decode()),  # GLOBAL
    b"\x93": _stack_global,  # STACK_GLOBAL
    b"R": _Reader._reduce,  # REDUCE
    b"b": _Reader._build,  # BUILD
}
