"""Pickles are read as what they say, by whatever protocol, and nothing that they name is run."""

import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import TemplatesError
from engine.exchange.plain_pickle import plain_value

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN = [
    [{"identity": "a/é.jpg", "embedding": VECTORS[0].tolist(), "n": None, "yes": True, "no": False, "x": -5, "big": 2**70}] * 2,
    [("a", [1.5, -2.5, 1e300]), ["b", (1, 2, 3, 4)], b"\xff\x00", {}, [], ()],
    {"floats": [float(number) for number in range(10_000)], 7: {"deep": [[[[]]]]}},
    {"s": "x" * 70_000, "b": b"y" * 70_000},
]


class Planted:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_values_are_what_pickle_makes_of_them(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert plain_value(data, "p") == pickle.loads(data) == value  # noqa: S301 - our own


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_are_what_they_were(protocol: int) -> None:
    value = {
        "rows": list(VECTORS),
        "whole": VECTORS,
        "by columns": np.asfortranarray(VECTORS),
        "other bytes": VECTORS.astype(">f8"),
        "texts": np.array(["ab", "Zoë"]),
        "objects": np.array([VECTORS[0], None], dtype=object),
        "number": np.float64(2.5),
        "cut": VECTORS[:, 1:3],
    }
    got = plain_value(pickle.dumps(value, protocol), "p")
    assert all(np.array_equal(one, other) for one, other in zip(got["rows"], VECTORS, strict=True))
    for name in ("whole", "by columns", "other bytes", "cut"):
        assert np.array_equal(got[name], value[name]), name
    assert got["texts"].tolist() == ["ab", "Zoë"]
    assert np.array_equal(got["objects"][0], VECTORS[0])
    assert got["number"] == 2.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_that_a_pickle_names_is_run(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps([Planted(tmp_path / "planted")], protocol)
    with pytest.raises(TemplatesError, match=r"it names (posix|nt)\.mkdir, and nothing that a pickle names is run here"):
        plain_value(data, "people.pkl")
    assert not (tmp_path / "planted").exists()
    pickle.loads(data)  # noqa: S301 - it would have
    assert (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(OrderedDict(a=1)),
        pickle.dumps({1, 2}),
        pickle.dumps(1 + 2j),
        pickle.dumps(np.array([1 + 2j])),
        pickle.dumps(np.array(["2020-01-01"], "M8[D]")),
        pickle.dumps({(1, 2): 3}),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\ndtype\n(S'f4'\ntR(I3\nS'|'\ntb.",
        b"cnumpy\nndarray\n(tR.",
        b"(dS'a'\n]s}.",
        b"]]\x94h\x00.",
        b"]h\x00.",
        b"]e.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04B\x00\x00\x00\xf0x.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"Gabc",
        b"\x86.",
        b"R.",
        b"",
        b".",
        b"not a pickle",
        b"PK\x03\x04",
    ],
)
def test_what_is_no_plain_value_is_refused(data: bytes) -> None:
    with pytest.raises(TemplatesError, match=r"^p\.pkl: "):
        plain_value(data, "p.pkl")


def test_a_place_in_the_memo_takes_no_memory_however_far_it_is() -> None:
    assert plain_value(b"\x80\x04]r\xff\xff\xff\xff.", "p.pkl") == []


def test_arrays_claim_no_more_than_their_bytes() -> None:
    data = pickle.dumps(VECTORS, 2)
    assert b"K\x03K\x04\x86" in data
    with pytest.raises(TemplatesError, match="an array of another size than its bytes"):
        plain_value(data.replace(b"K\x03K\x04\x86", b"J\xff\xff\xff\x7fK\x04\x86"), "p")
    with pytest.raises(TemplatesError, match="another size"):
        plain_value(data.replace(b"K\x03K\x04\x86", b"J\xff\xff\xff\xffK\x04\x86"), "p")


def test_damaged_pickles_are_refused_and_nothing_else_is_raised() -> None:
    data = pickle.dumps([{"identity": "a/b.jpg", "embedding": VECTORS[0].tolist(), "array": VECTORS}] * 3)
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(3000):
        broken = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 6)):
            broken[at] = random.integers(256)
        try:
            plain_value(bytes(broken[: random.integers(1, len(broken) + 1)]), "p")
        except TemplatesError:
            refused += 1
    assert refused > 2000


def test_every_opcode_is_known_or_refused() -> None:
    for each in pickletools.opcodes:
        with pytest.raises(TemplatesError):
            plain_value(each.code.encode("latin1"), "p")
